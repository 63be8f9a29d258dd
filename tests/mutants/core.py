"""Every possible small bug in the pure core, one module after another: `python -m tests.mutants.core [MODULE ...]`.

mutmut makes them (`pip install mutmut==3.8.1` beside the development requirements) in a copy of the tree, and
runs the tests of that module alone against each. What survives is listed in docs/explanation/proofs/mutation.md.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
ENVELOPE, FIELDS = "tests/kiwoom/protocol/test_envelope.py", "tests/kiwoom/protocol/test_fields.py"
PRICES, BARS = "tests/kiwoom/protocol/test_prices.py", "tests/kiwoom/protocol/test_sectors_bars.py"
SLOTS = "tests/market/test_schedule.py"
MODULES: dict[str, tuple[str, tuple[str, ...]]] = {
    "pace": ("collector/ratelimit/window.py", ("tests/ratelimit/test_window.py",)),
    "patience": ("collector/kiwoom/retry.py", ("tests/kiwoom/test_retry.py",)),
    "duration": ("collector/base/duration.py", ("tests/base/test_duration.py",)),
    "certify": ("collector/sweep/certify.py", ("tests/sweep/test_certify.py",)),
    "certify_bars": ("collector/backfill/certify_bars.py", ("tests/backfill/test_certify_bars.py",)),
    "reply": ("collector/kiwoom/protocol/response.py", ("tests/kiwoom/protocol/test_reply.py", PRICES)),
    "codes": ("collector/kiwoom/protocol/error_codes.py", (ENVELOPE,)),
    "text": (
        "collector/kiwoom/protocol/strict_json.py",
        ("tests/kiwoom/protocol/test_text.py", ENVELOPE, PRICES),
    ),
    "fields": ("collector/kiwoom/protocol/numbers.py", (FIELDS,)),
    "calls": ("collector/kiwoom/protocol/requests.py", ("tests/kiwoom/protocol/test_calls.py",)),
    "prices": ("collector/kiwoom/protocol/quotes.py", (PRICES,)),
    "bars": ("collector/kiwoom/protocol/bars.py", (BARS, "tests/backfill/test_bar_pages.py")),
    "answers": (
        "collector/kiwoom/protocol/responses.py",
        (ENVELOPE, PRICES, BARS, "tests/kiwoom/protocol/test_token.py"),
    ),
    "calendar": ("collector/market/calendar.py", ("tests/market/test_calendar.py",)),
    "table": ("collector/market/calendar_file.py", ("tests/market/test_calendar.py",)),
    "form": (
        "collector/market/schedule_spec.py",
        (
            f"{SLOTS}::test_slots_fall_where_the_schedule_says",
            f"{SLOTS}::test_nonsense_is_refused_with_its_key_and_what_is_allowed",
        ),
    ),
    "schedule": ("collector/market/schedule.py", (SLOTS,)),
    "sanity": ("collector/market/schedule_lint.py", (SLOTS,)),
    "plan": (
        "collector/sweep/estimate.py",
        ("tests/sweep/test_estimate.py", "tests/daemon/test_feasible.py"),
    ),
    "rows": ("collector/db/copy_format.py", ("tests/db/test_copy_format.py",)),
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
