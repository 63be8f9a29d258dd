"""What every test may ask for."""

import gc
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from collector.db.dsn import Dsn
from tests.support import postgres_server as databases
from tests.support.database_limits import widen_limits
from tests.support.memory_folder import memory_folder
from tests.support.postgres_server import Server
from tests.support.prepared_databases import PreparedDatabases

settings.register_profile("same", derandomize=True, database=None, deadline=None)
settings.load_profile("same")
"""The same examples in every run: a test passes or fails for what is in the code, not for the luck of a draw."""

widen_limits()

signal.signal(signal.SIGINT, signal.default_int_handler)
"""A shell has SIGINT ignored in what it starts in the background, and so would the commands that tests interrupt."""

gc.disable()
"""Until the tests are collected: almost nothing is garbage by then, and the search takes each worker two seconds."""

TOGETHER = (
    "tests/archive/test_object_store.py",
    "tests/cli/test_bad_input.py",
    "tests/cli/test_replay_witness.py",
    "tests/faults/test_out_of_step.py",
    "tests/project/test_architecture_rules.py",
    "tests/read/test_examples.py",
    "tests/sweep/test_sweeper.py",
    "tests/web/test_accessibility.py",
    "tests/web/test_browser.py",
)
"""Files whose tests share a costly fixture, which every worker that has one of them would make again."""

FIRST = (
    "tests/sweep/test_sweeper.py",
    "tests/web/test_accessibility.py",
    "tests/web/test_browser.py",
    "tests/notify/test_daemon.py",
    "tests/kiwoom/test_learn.py",
    "tests/archive/test_object_store.py",
)
"""Files with the longest tests. They begin first, so that no worker is left alone with one at the end."""


_FILES = pytest.StashKey[ExitStack]()


@pytest.hookimpl(tryfirst=True)  # pytest chooses its folder in the same hook
def pytest_configure(config: pytest.Config) -> None:
    """Have the files of tests in memory, unless `--basetemp` names a folder; workers write below it."""
    if config.option.basetemp is None:
        config.stash[_FILES] = stack = ExitStack()
        if folder := stack.enter_context(memory_folder()):
            config.option.basetemp = str(folder / "files")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Keep the files of tests that failed, until the next run."""
    if exitstatus and (stack := session.config.stash.get(_FILES, None)):
        stack.pop_all()


def pytest_unconfigure(config: pytest.Config) -> None:
    if stack := config.stash.get(_FILES, None):
        stack.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {file: position for position, file in enumerate(FIRST)}
    items.sort(key=lambda item: order.get(item.nodeid.partition("::")[0], len(FIRST)))


def pytest_collection_finish() -> None:
    """Have the garbage collector pass over the modules and the collected tests from now on."""
    gc.freeze()
    gc.enable()


class Scheduler(LoadScopeScheduling):
    """Gives each test to the next worker that is free, and all tests of some files to the same one.

    (pytest-xdist 3.8 does not see its own groups under pytest 9.)
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if file in TOGETHER else nodeid

    def mark_test_complete(self, node: WorkerController, item_index: int, duration: float = 0) -> None:
        """Forget a group whose tests are done: the base class counts all groups of a worker after each test."""
        group = self._split_scope(self.registered_collections[node][item_index])
        super().mark_test_complete(node, item_index, duration)
        if all(self.assigned_work[node][group].values()):
            del self.assigned_work[node][group]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduler:
    return Scheduler(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what was skipped by its reason, so that no test is left out without a word."""
    skipped: dict[str, set[str]] = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        skipped.setdefault(reason.removeprefix("Skipped: "), set()).add(report.nodeid)
    if skipped:
        terminalreporter.section("skipped, and why")
    for reason, tests in sorted(skipped.items()):
        files = ", ".join(sorted({test.partition("::")[0] for test in tests}))
        terminalreporter.line(f"{len(tests)} of {files}: {reason}")


@pytest.fixture(scope="session")
async def warm(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[None]:
    """A process from which commands are forked, for tests that use `tests.support.command_process`."""
    from tests.support.command_process import warmed  # brings the whole program, which few tests need

    async with warmed(tmp_path_factory.mktemp("commands")):
        yield


@pytest.fixture(scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """The run's PostgreSQL: DATABASE_URL, or a private one."""
    async with databases.server(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture(scope="session")
async def template(server: Server) -> AsyncIterator[str]:
    """The name of the database that `database` is copied from."""
    async with databases.migrated(server) as name:
        yield name


@pytest.fixture
async def database(server: Server, template: str) -> AsyncIterator[Dsn]:
    """A database of the test's own, with the real schema."""
    async with server.database(template=template) as address:
        yield address


@pytest.fixture(scope="session")
async def prepared(server: Server, template: str) -> AsyncIterator[PreparedDatabases]:
    """Databases that are filled once, for tests that begin with the same rows."""
    async with AsyncExitStack() as stack:
        yield PreparedDatabases(server, template, stack)


@pytest.fixture
async def blank(server: Server) -> AsyncIterator[Dsn]:
    """A database of the test's own with nothing in it."""
    async with server.database(options="ENCODING 'UTF8'") as address:
        yield address


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A COLLECTOR_HOME of the test's own."""
    return tmp_path / "home"
