"""Standard streams that are closed, full or without a reader: what was asked for is done all the same."""

import asyncio
import os
import shlex
import signal
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from collector.db.dsn import Dsn
from collector.db.pool import connect
from collector.model import Target
from kiwoom_simulator import Simulator
from tests.support.command_process import config, environment, started
from tests.support.harness import STILL, fetch

TARGETS = [Target.of("KOSPI", code, "KRX") for code in ("005", "006")]
Streams = Mapping[str, str]
FULL = "/dev/full"
OUT, ERR, EVERY = "stdout", "stderr", ("stdin", "stdout", "stderr")
ALL_CLOSED: Streams = dict.fromkeys(EVERY, "closed")
STREAMS: dict[str, Streams] = {
    "stdout closed": {OUT: "closed"},
    "stderr closed": {ERR: "closed"},
    "both closed": {OUT: "closed", ERR: "closed"},
    "stdin closed": {"stdin": "closed"},
    "all closed": ALL_CLOSED,
    "stdout full": {OUT: FULL},
    "stderr full": {ERR: FULL},
    "no reader of stdout": {OUT: "broken"},
    "no reader of stderr": {ERR: "broken"},
}
FURTHER = ("stderr closed", "both closed", "stdin closed", "stderr full")
"""`sql` and `gaps` meet these in every run, and a command with all of its streams closed does."""
SCHEDULE = 'schedules:\n  today: {universe: all, at: "00:00", days: all, grace: 1d}\n'
STATUS = "SELECT status, count(*) FROM walk GROUP BY 1"


async def ended(*words: str, streams: Streams, env: Mapping[str, str], cwd: Path) -> int:
    async with started(*words, env=env, cwd=cwd, streams=streams) as process, asyncio.timeout(600):
        return await process.wait()


REDIRECTIONS = {"closed": ">&-", FULL: f">{FULL}", "broken": ">&{broken}"}


@asynccontextmanager
async def started_cold(
    *words: str, streams: Streams, env: Mapping[str, str], cwd: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A command from nothing behind redirections of the shell; `{broken}` is a pipe whose reader is gone."""
    reader, writer = os.pipe()
    os.close(reader)
    command = shlex.join([sys.executable, "-m", "collector", *words])
    redirections = " ".join(f"{EVERY.index(name)}{REDIRECTIONS[state]}" for name, state in streams.items())
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", f"exec {command} {redirections.format(broken=writer)}"),
        env=env,
        cwd=cwd,
        pass_fds=(writer,),
        stdout=DEVNULL,
        stderr=DEVNULL,
    )
    os.close(writer)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.parametrize(
    "streams",
    [
        pytest.param(streams, id=name, marks=pytest.mark.extended if name in FURTHER else ())
        for name, streams in STREAMS.items()
    ],
)
async def test_once_stores_everything_and_says_so(database: Dsn, tmp_path: Path, streams: Streams) -> None:
    config(tmp_path, *TARGETS)
    async with Simulator(STILL) as simulator:
        env = environment(simulator.url, database)
        assert await ended("once", streams=streams, env=env, cwd=tmp_path) == 0
    assert await fetch(database, STATUS) == [("complete", 2)]


@pytest.mark.extended
@pytest.mark.parametrize(
    "name",
    [
        "all closed",
        "stdout full",
        "no reader of stderr",
    ],
)
async def test_the_interpreter_may_start_with_them(database: Dsn, tmp_path: Path, name: str) -> None:
    config(tmp_path, *TARGETS)
    async with Simulator(STILL) as simulator:
        env = environment(simulator.url, database)
        async with started_cold("once", streams=STREAMS[name], env=env, cwd=tmp_path) as process:
            async with asyncio.timeout(600):
                assert await process.wait() == 0
    assert await fetch(database, STATUS) == [("complete", 2)]


COMMANDS = [
    (["status"], 0),
    (["sql", "SELECT 1"], 0),
    (["sql", "SELECT FROM nothing"], 2),
    (["check"], 0),
    (["--help"], 0),
    (["plan"], 0),
    (["verify"], 0),
    (["gaps", "--day", "never"], 2),
]


@pytest.mark.parametrize(
    ("words", "code", "streams"),
    [
        *((words, code, streams) for words, code in COMMANDS for streams in (ALL_CLOSED, {ERR: "broken"})),
        # Each other kind of stream with an answer and with a complaint: one module opens the streams of all commands.
        *(
            (*COMMANDS[at], streams)
            for at in (1, 7)
            for streams in ({OUT: "closed"}, {ERR: "closed"}, {ERR: FULL})
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
async def test_other_commands_keep_their_exit_status(
    database: Dsn, tmp_path: Path, words: list[str], code: int, streams: Streams
) -> None:
    config(tmp_path, *TARGETS)
    env = environment("http://127.0.0.1:9", database)
    assert await ended(*words, streams=streams, env=env, cwd=tmp_path) == code


@pytest.mark.parametrize("words", [["status"], ["check"], ["--help"], ["plan"], ["sql", "SELECT 1"]])
async def test_an_answer_that_cannot_be_written_is_no_success(
    database: Dsn, tmp_path: Path, words: list[str]
) -> None:
    config(tmp_path, *TARGETS)
    env = environment("http://127.0.0.1:9", database)
    assert await ended(*words, streams={OUT: FULL}, env=env, cwd=tmp_path) == 2


@pytest.mark.extended
@pytest.mark.parametrize(
    "name",
    [
        "stdout full",
        "stderr full",
        "all closed",
        "no reader of stderr",
    ],
)
async def test_a_daemon_sweeps_whatever_they_are(database: Dsn, tmp_path: Path, name: str) -> None:
    path = config(tmp_path, *TARGETS)
    path.write_text(path.read_text(encoding="utf-8") + SCHEDULE, encoding="utf-8")
    async with Simulator(STILL) as simulator:
        env = environment(simulator.url, database)
        async with (
            connect(database) as observer,
            started("daemon", env=env, cwd=tmp_path, streams=STREAMS[name]) as process,
            asyncio.timeout(600),
        ):
            while [*map(tuple, await observer.fetch(STATUS))] != [("complete", 2)]:
                assert process.returncode is None
                await asyncio.sleep(0.05)  # looks again: another process
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
