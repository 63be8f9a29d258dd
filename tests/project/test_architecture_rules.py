"""The codebase keeps its own rules, and each rule bites."""

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.support import architecture_rules

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for name in ("collector", "kiwoom_simulator") for path in (ROOT / name).rglob("*.py"))
PACKAGE = ROOT / "collector"
PURE = [
    *(
        PACKAGE / f"{name}.py"
        for name in ("model", "errors", "base/duration", "kiwoom/retry", "db/copy_format")
    ),
    *(PACKAGE / f"ratelimit/{name}.py" for name in ("window", "rtt", "clock_offset")),
    *(PACKAGE / f"{name}.py" for name in ("sweep/certify", "sweep/estimate", "backfill/certify_bars")),
    *(PACKAGE / f"market/{name}.py" for name in ("schedule", "schedule_spec", "schedule_lint", "membership")),
    *sorted((PACKAGE / "kiwoom" / "protocol").rglob("*.py")),
]
SENDING = sorted(PACKAGE.rglob("*.py"))

EXCEPTED = {
    ("no_secret_argument", "collector/cli/simulate.py"): "the simulator's own keys open nothing",
    ("no_group_of_tasks", "collector/base/aio.py"): "it is there so that nobody else needs one",
}

BROKEN = {
    "no_wait_for": ["import asyncio\nawait asyncio.wait_for(work, 1)", "from asyncio import wait_for"],
    "no_raise_in_a_group": ["try:\n ask()\nexcept* OSError as group:\n raise group.exceptions[0]"],
    "no_group_of_tasks": [
        "import asyncio\nasync with asyncio.TaskGroup() as group:\n pass",
        "from asyncio import TaskGroup",
    ],
    "no_built_sql": [
        "await connection.fetch(f'SELECT * FROM {table}')",
        "await connection.execute('DROP TABLE ' + name)",
        "await connection.fetchval('SELECT %s' % name)",
        "await connection.execute('SELECT {}'.format(name))",
        "_ASK = f'SELECT * FROM {table}'",
    ],
    "no_blind_tls": [
        "TCPConnector(ssl=False)",
        "get(url, verify=False)",
        "context.verify_mode = ssl.CERT_NONE",
        "context.check_hostname = False",
        "ssl._create_unverified_context()",
    ],
    "no_code_from_data": ["import pickle", "eval(text)", "yaml.load(text, Loader)", "run(line, shell=True)"],
    "no_foreign_repr": [
        "try:\n ask()\nexcept OSError as error:\n log(repr(error))",
        "try:\n ask()\nexcept OSError as error:\n log(f'{error!r}')",
    ],
    "no_silent_catch_all": [
        "try:\n ask()\nexcept Exception:\n pass",
        "try:\n ask()\nexcept:\n pass",
        "try:\n ask()\nexcept (ValueError, BaseException) as error:\n log(error)",
    ],
    "no_trading": ["send('kt10000')", "ALL = {'ka20002', 'kt10001'}"],
    "no_secret_argument": ["click.option('--password')", "click.option('-k', '--secret', envvar='SECRET')"],
    "no_naive_time": [
        "datetime.now()",
        "datetime.datetime.now()",
        "datetime.utcnow()",
        "datetime.fromtimestamp(1)",
    ],
    "no_outside": [
        "import time",
        "from asyncio import sleep",
        "datetime.now(UTC)",
        "date.today()",
        "async def ask(): ...",
        "import os.path",
    ],
}


def broken(rule, path):
    if (rule.__name__, str(path.relative_to(ROOT))) in EXCEPTED:
        return []
    return [f"{path.relative_to(ROOT)}:{line}" for line in rule(tree(path))]


@cache
def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", architecture_rules.EVERYWHERE)
def test_every_module_keeps_the_rule(name):
    assert [place for path in SOURCES for place in broken(architecture_rules.EVERYWHERE[name], path)] == []


def test_what_is_pure_knows_nothing_of_the_outside():
    assert [place for path in PURE for place in broken(architecture_rules.no_outside, path)] == []


def test_nothing_that_is_sent_can_trade():
    assert [place for path in SENDING for place in broken(architecture_rules.no_trading, path)] == []


@pytest.mark.parametrize(
    ("name", "source"),
    [(name, source) for name, sources in BROKEN.items() for source in sources],
)
def test_a_breach_is_found(name, source):
    assert list(getattr(architecture_rules, name)(ast.parse(source)))
