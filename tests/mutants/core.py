"""Every possible small bug in the pure core, one module after another: `python -m tests.mutants.core [MODULE ...]`.

mutmut makes them (`pip install mutmut==3.8.1` beside the development requirements) in a copy of the tree, and
runs the tests of that module alone against each. What survives is listed; docs/mutation.md says what it means.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
ENVELOPE, FIELDS = "tests/wire/test_envelope.py", "tests/wire/test_fields.py"
PRICES, BARS = "tests/wire/test_prices.py", "tests/wire/test_sectors_bars.py"
SLOTS = "tests/test_schedule.py"
MODULES: dict[str, tuple[str, tuple[str, ...]]] = {
    "pace": ("collector/pace.py", ("tests/test_pace.py",)),
    "patience": ("collector/patience.py", ("tests/test_patience.py",)),
    "duration": ("collector/duration.py", ("tests/test_duration.py",)),
    "certify": ("collector/certify.py", ("tests/test_certify.py",)),
    "certify_bars": ("collector/certify_bars.py", ("tests/backfill/test_certify_bars.py",)),
    "reply": ("collector/wire/reply.py", ("tests/wire/test_reply.py", PRICES)),
    "codes": ("collector/wire/codes.py", (ENVELOPE,)),
    "text": ("collector/wire/text.py", ("tests/wire/test_text.py", ENVELOPE, PRICES)),
    "fields": ("collector/wire/fields.py", (FIELDS,)),
    "calls": ("collector/wire/calls.py", ("tests/wire/test_calls.py",)),
    "prices": ("collector/wire/prices.py", (PRICES,)),
    "bars": ("collector/wire/bars.py", (BARS, "tests/backfill/test_bar_pages.py")),
    "answers": ("collector/wire/answers.py", (ENVELOPE, PRICES, BARS, "tests/wire/test_token.py")),
    "calendar": ("collector/calendar/__init__.py", ("tests/test_calendar.py",)),
    "table": ("collector/calendar/table.py", ("tests/test_calendar.py",)),
    "form": (
        "collector/schedule/form.py",
        (
            f"{SLOTS}::test_slots_fall_where_the_schedule_says",
            f"{SLOTS}::test_nonsense_is_refused_with_its_key_and_what_is_allowed",
        ),
    ),
    "schedule": ("collector/schedule/__init__.py", (SLOTS,)),
    "sanity": ("collector/schedule/sanity.py", (SLOTS,)),
    "plan": ("collector/plan.py", ("tests/test_plan.py", "tests/daemon/test_feasible.py")),
    "rows": ("collector/rows.py", ("tests/test_rows.py",)),
}
_PARTS = ("collector", "tests", "migrations", "config", "pyproject.toml")
_SETTINGS = """
[tool.mutmut]
source_paths = ["collector"]
only_mutate = ["{file}"]
also_copy = ["migrations", "config"]
pytest_add_cli_args = ["-p", "no:cacheprovider", "-p", "no:xdist"]
pytest_add_cli_args_test_selection = {tests}
"""
_SHOW = """
import sys
from mutmut.mutation.diff_apply import get_diff_for_mutant
for mutant in sys.argv[1:]:
    print("#", mutant)
    print(get_diff_for_mutant(mutant))
"""
_RESULT = re.compile(r"^\s*(collector\S+): (.+)$", re.MULTILINE)


def main(names: list[str]) -> None:
    for name in names or MODULES:
        with TemporaryDirectory(prefix=f"mutated-{name}-") as folder:
            tree = Path(folder)
            _copy(tree, *MODULES[name])
            _run(tree, "-m", "mutmut", "run", "--max-children", "1")
            results = dict(_RESULT.findall(_run(tree, "-m", "mutmut", "results", "--all", "true")))
            left = [mutant for mutant, result in results.items() if result not in ("killed", "timeout")]
            count = len(results)
            print(f"{name}: {count - len(left)} of {count}, {100 * (count - len(left)) // max(1, count)} %")
            print(_changed(_run(tree, "-c", _SHOW, *left)), flush=True)


def _copy(tree: Path, file: str, tests: tuple[str, ...]) -> None:
    for part in _PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, tree / part)
    with (tree / "pyproject.toml").open("a", encoding="utf-8") as settings:
        settings.write(_SETTINGS.format(file=file, tests=json.dumps(tests)))


def _run(tree: Path, *arguments: str) -> str:
    command = (sys.executable, *arguments)
    return subprocess.run(command, cwd=tree, check=False, capture_output=True, text=True).stdout


def _changed(shown: str) -> str:
    """The lines of differences that differ, and where they stand."""
    lines = (line for line in shown.splitlines() if line[:1] in ("-", "+", "#"))
    return "\n".join(line for line in lines if line[:3] not in ("---", "+++"))


if __name__ == "__main__":
    main(sys.argv[1:])
