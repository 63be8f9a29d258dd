"""Whatever is wrong from the start gives one clear line and exit status 2, and nothing is fetched."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collector.db.dsn import Dsn
from collector.model import Target
from kiwoom_simulator import Simulator
from tests.support.byte_server import Visit, serving
from tests.support.command_process import APP_KEY, PASSWORD, Ended, config, environment, run
from tests.support.harness import STILL, execute, fetch, url
from tests.support.postgres_server import Server
from tests.support.tcp_proxy import proxied

KOSPI = Target.of("KOSPI", "013", "KRX")
AT_ONCE = 3
NOW = datetime.now(UTC).replace(microsecond=0)


@dataclass
class Ground:
    """Where all is well, for a case to spoil one thing of it."""

    folder: Path
    server: Server
    address: Dsn
    simulator: Simulator
    stack: AsyncExitStack

    def write(self, name: str, text: str, mode: int = 0o600) -> str:
        path = self.folder / name
        path.write_text(text)
        path.chmod(mode)
        return str(path)


Spoil = Callable[[Ground], Awaitable[Mapping[str, str | None]]]


async def _nothing(_: Ground) -> Mapping[str, str | None]:
    return {}


@dataclass
class Case:
    """A command, what spoils it (environment variables to set, None: to unset), and what is to be said."""

    says: str
    command: tuple[str, ...] = ("once",)
    spoil: Spoil = field(default=_nothing)


def unset(*names: str) -> Spoil:
    async def spoil(_: Ground) -> Mapping[str, str | None]:
        return dict.fromkeys(names)

    return spoil


def setting(**variables: str) -> Spoil:
    async def spoil(_: Ground) -> Mapping[str, str | None]:
        return variables

    return spoil


def yaml_of(text: str) -> Spoil:
    async def spoil(ground: Ground) -> Mapping[str, str | None]:
        return {"COLLECTOR_CONFIG": ground.write(f"{abs(hash(text))}.yaml", text)}

    return spoil


def key_file(text: str, mode: int) -> Spoil:
    async def spoil(ground: Ground) -> Mapping[str, str | None]:
        return {
            "KIWOOM_APP_KEY": None,
            "KIWOOM_APP_KEY_FILE": ground.write(f"key{mode}{len(text)}", text, mode),
        }

    return spoil


async def _guarded_by_password(ground: Ground) -> Mapping[str, str | None]:
    async def refuse(visit: Visit) -> None:
        await visit.reader.read(1024)
        fields = b'SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user "kim"\0\0'
        await visit.send(b"E" + (len(fields) + 4).to_bytes(4, "big") + fields)

    server = await ground.stack.enter_async_context(serving(refuse))
    password = PASSWORD.replace("/", "%2F")
    return {"DATABASE_URL": f"postgresql://kim:{password}@127.0.0.1:{server.port}/db?sslmode=disable"}


async def _older_server(ground: Ground) -> Mapping[str, str | None]:
    [[real]] = await fetch(ground.address, "SHOW server_version")
    old = "14.9".ljust(len(real), " ")
    proxy = await ground.stack.enter_async_context(
        proxied(
            ground.address, found=f"server_version\0{real}".encode(), given=f"server_version\0{old}".encode()
        )
    )
    return {"DATABASE_URL": url(proxy.address)}


def made_with(template: str, options: str, *statements: str) -> Spoil:
    async def spoil(ground: Ground) -> Mapping[str, str | None]:
        name = template or ground.address.database
        address = await ground.stack.enter_async_context(
            ground.server.database(template=name, options=options)
        )
        for statement in statements:
            await execute(address, statement)
        return {"DATABASE_URL": url(address)}

    return spoil


async def _missing_database(ground: Ground) -> Mapping[str, str | None]:
    return {"DATABASE_URL": url(replace(ground.address, database="no_such_database"))}


def denied(**options: object) -> Spoil:
    """Another simulator that refuses everybody, or everybody with our key."""

    async def spoil(ground: Ground) -> Mapping[str, str | None]:
        simulator = await ground.stack.enter_async_context(Simulator(replace(STILL, **options)))
        return {"KIWOOM_BASE_URL": simulator.url}

    return spoil


def slot(minutes: float) -> tuple[str, ...]:
    return ("once", "--slot", (NOW + timedelta(minutes=minutes)).isoformat())


NEWER = (
    "INSERT INTO collector.schema_migration (version, name, checksum)"
    " SELECT max(version) + 1, '9999_later.sql', '' FROM collector.schema_migration"
)
CLAIMED = "INSERT INTO collector.origin (kind) VALUES ('real')"

CASES = {
    "no configuration": Case("there is no configuration at config/collector.yaml", spoil=unset("COLLECTOR_CONFIG")),
    "a configuration that is not there": Case(r"nowhere\.yaml", ("once", "--config", "nowhere.yaml")),
    "a configuration in the environment that is not there": Case(
        r"nowhere\.yaml: no such file; create it", ("status",), setting(COLLECTOR_CONFIG="nowhere.yaml")
    ),
    "one that is not there for archiving": Case(
        r"nowhere\.yaml: no such file; create it, or correct the path",
        ("archive", "--before", "2026-10-01"),
        setting(COLLECTOR_CONFIG="nowhere.yaml"),
    ),
    "YAML that is none": Case(r"yaml:3: not YAML", spoil=yaml_of("api: {\nuniverses: [\n")),
    "a wrong type": Case(r":1: api\.concurrency", spoil=yaml_of("api: {concurrency: many}\nuniverses: {}\n")),
    "an unknown key": Case(r":1: .*did you mean timeout", spoil=yaml_of("api: {timout: 5s}\nuniverses: {}\n")),
    "an unknown universe": Case("there is no universe 'nope'; use one of: all", ("once", "--universe", "nope")),
    "a universe without a name": Case("there is no universe ''; use one of: all", ("once", "--universe", "")),
    "a slot that is empty": Case("'' is not an instant", ("once", "--slot", "")),
    "a configuration with a name too long": Case("cannot be read", ("check", "--config", "x" * 300)),
    "a file with a name too long": Case("neither a date nor a file", ("restore", "x" * 300)),
    "a port too high to listen on": Case(
        "--listen: '127.0.0.1:99999' is not HOST:PORT", ("web", "--listen", "127.0.0.1:99999")
    ),
    "a port to listen on that is none": Case("--listen: ':abc' is not HOST:PORT", ("web", "--listen", ":abc")),
    "a host to listen on without a port": Case("--listen: 'foo' is not HOST:PORT", ("web", "--listen", "foo")),
    "a host to listen on that nobody knows": Case(
        "web.listen: nowhere.invalid is not an address of this machine",
        ("web", "--listen", "nowhere.invalid:0"),
        spoil=setting(COLLECTOR_WEB_TOKEN="s3ntinel-token-of-the-page"),
    ),
    "no place to listen on": Case("--listen: '' is not HOST:PORT", ("web", "--listen", "")),
    "no key": Case("KIWOOM_APP_KEY is not set", spoil=unset("KIWOOM_APP_KEY")),
    "a missing key file": Case(
        "KIWOOM_APP_KEY_FILE: .*does not exist",
        spoil=setting(KIWOOM_APP_KEY_FILE="/nonexistent/key", KIWOOM_APP_KEY=""),
    ),
    "an empty key file": Case("is empty", spoil=key_file("\n", 0o600)),
    "a key file that others may read": Case("can be read by others .*chmod 600", spoil=key_file(APP_KEY, 0o644)),
    "a key and its file": Case("both .* are set", spoil=setting(KIWOOM_SECRET_KEY_FILE="/nonexistent")),
    "no such host allowed": Case("KIWOOM_BASE_URL .* a host that is not allowed", spoil=setting(KIWOOM_BASE_URL="https://api.kiwoom.com.example")),
    "a URL of another database": Case("not a PostgreSQL URL", spoil=setting(DATABASE_URL="mysql://a@b/c")),
    "a database that is not there": Case(
        "nothing answers there", spoil=setting(DATABASE_URL="postgresql://kim@127.0.0.1:1/db")
    ),
    "a wrong password": Case("the password for kim is wrong", spoil=_guarded_by_password),
    "a server older than 15": Case("PostgreSQL 14; 15 or newer", spoil=_older_server),
    "a database that is not UTF8": Case(
        "encoded in SQL_ASCII", spoil=made_with("template0", "ENCODING 'SQL_ASCII' LOCALE 'C'")
    ),
    "a database without a schema": Case(
        "run `collector migrate`", spoil=made_with("template0", "ENCODING 'UTF8'")
    ),
    "a newer schema": Case("is newer .* than this program", spoil=made_with("", "", NEWER)),
    "a missing database": Case("there is no database no_such_database", spoil=_missing_database),
    "a database of another source": Case("another source", spoil=made_with("", "", CLAIMED)),
    "a home that cannot be written": Case(
        "COLLECTOR_HOME .*cannot be written", ("status",), setting(COLLECTOR_HOME="/proc/nowhere", DATABASE_URL="")
    ),
    "dates reversed": Case("--to lies before --from", ("schedule", "--from", "2026-11-20", "--to", "2026-11-19")),
    "a slot that is none": Case("'noon' is not an instant", ("once", "--slot", "noon")),
    "a slot to come": Case("is in the future", slot(24 * 60)),
    "a slot long gone": Case("more than 10 minutes ago", slot(-11)),
    "a slot between seconds": Case("a whole second", ("once", "--slot", "2026-11-20T11:00:00.5")),
    "an unknown command": Case("No such command", ("onec",)),
    "an unknown option": Case("No such option", ("once", "--universes")),
    "no query": Case("Missing argument 'QUERY'", ("sql",)),
    "a query that is none": Case("syntax error", ("sql", "SELEC 1")),
    "a query that writes": Case("only reads", ("sql", "DELETE FROM collector.walk")),
    "a query that writes and returns": Case("read-only", ("sql", "DELETE FROM collector.walk RETURNING slot")),
    "a wrong key": Case("8001(.|\n)*KIWOOM_SECRET_KEY(.|\n)*확인하세요", spoil=denied(keys={"another": "pair"})),
    "the other host's key": Case(
        "8030(.|\n)*KIWOOM_BASE_URL(.|\n)*api.kiwoom.com", spoil=denied(faults=("wrong_host_8030",))
    ),
    "an address that is not registered": Case(
        "8050(.|\n)*register this machine(.|\n)*등록", spoil=denied(faults=("ip_8050",))
    ),
    "the firewall": Case("HTTP 400(.|\n)*user_agent(.|\n)*방화벽", spoil=denied(faults=("firewall_html_400",))),
}  # fmt: skip


@pytest.fixture(scope="module")
async def ground(
    server: Server, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Ground]:
    folder = tmp_path_factory.mktemp("ground")
    config(folder, KOSPI)
    (folder / "empty").mkdir()
    async with (
        AsyncExitStack() as stack,
        server.database(template=template) as address,
        Simulator(STILL) as simulator,
    ):
        yield Ground(folder, server, address, simulator, stack)


@pytest.fixture(scope="module")
async def ends(
    ground: Ground, request: pytest.FixtureRequest
) -> AsyncIterator[Mapping[str, asyncio.Task[Ended]]]:
    """The commands that this run asks for, a few at a time: a process spends its time in starting."""
    at_once = asyncio.Semaphore(AT_ONCE)
    spoiling = asyncio.Lock()

    async def end(case: Case) -> Ended:
        async with spoiling:  # some make databases, over one session
            spoilt = await case.spoil(ground)
        async with at_once:
            usual = {"COLLECTOR_CONFIG": str(ground.folder / "config" / "collector.yaml"), **spoilt}
            env = environment(
                ground.simulator.url, ground.address, **{n: v or None for n, v in usual.items()}
            )
            return await run(*case.command, env=env, cwd=ground.folder / "empty")

    items = [item for item in request.session.items if item.path == request.path]
    wanted = [item.callspec.params["name"] for item in items if hasattr(item, "callspec")]
    async with asyncio.TaskGroup() as group:
        yield {name: group.create_task(end(CASES[name])) for name in wanted}


@pytest.mark.parametrize("name", CASES)
async def test_it_is_refused_in_one_clear_line(
    ends: Mapping[str, asyncio.Task[Ended]], ground: Ground, name: str
) -> None:
    found = await ends[name]
    assert found.code == 2
    assert found.out == ""
    assert re.search(CASES[name].says, found.err), found.err
    lines = [line for line in found.err.splitlines() if "database.durability_warning" not in line]
    assert lines[0].startswith(("collector: ", "Usage: ")), found.err
    assert len(lines) <= 4
    assert ground.simulator.api.book.count == 0


async def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        found = await run("simulate", "--port", str(port), env=environment(), cwd=tmp_path)
    assert (found.code, found.out) == (2, "")
    assert re.match(rf"collector: cannot listen on 127.0.0.1:{port}: Address already in use\n", found.err)
