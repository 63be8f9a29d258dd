"""A private PostgreSQL under COLLECTOR_HOME, for users without a server; stops after its last user."""

import asyncio
import hashlib
import os
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from collector.db.dsn import Dsn
from collector.db.embedded import binaries, keeper
from collector.errors import ConfigError, StoreError

LONGEST = 86
"""Longest path of a socket folder in bytes: leaves room for the socket's name in the 104 bytes of macOS."""
TRIES = 5
"""Keepers in a row allowed to leave before they answer; each may have served another, faster user."""
COMING = 90.0
GOING = 90.0
"""Seconds to wait for the server's start and for its end; slightly more than the keeper's own limit."""

_FOR_TESTS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


@asynccontextmanager
async def running(
    home: Path, *, durable: bool = True, environ: Mapping[str, str] = os.environ
) -> AsyncIterator[Dsn]:
    """Runs the server of `home` for this block, shared with other processes.

    The last process to leave stops it. `durable=False` trades safety for speed, and counts only for the
    process starting the server. ConfigError if no server can run.
    """
    folder = _folder(home)
    run = _run_folder(folder)
    programs = binaries.find(environ)
    settings = () if durable else _FOR_TESTS
    command = [sys.executable, "-I", "-S", keeper.__file__, folder, run / "line", programs, *settings]
    reader, writer = await _line(run / "line", command, folder)
    try:
        yield _dsn(run)
    finally:
        await _leave(reader, writer)


def private_address(home: Path) -> Dsn:
    """Where the server of `home` is reached while it runs; ConfigError if that folder cannot be written."""
    return _dsn(_run_folder(_folder(home)))


def _dsn(run: Path) -> Dsn:
    return Dsn(host=str(run), database="postgres", user="postgres", is_private=True)


def _folder(home: Path) -> Path:
    folder = home.absolute() / "postgres"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "keeper.lock").touch(mode=0o600)
        folder.chmod(0o700)
    except OSError as error:
        raise ConfigError(
            f"COLLECTOR_HOME {home} cannot be written: {error.strerror}",
            hint="name another folder in COLLECTOR_HOME, or set DATABASE_URL",
        ) from error
    return folder


def _run_folder(folder: Path) -> Path:
    """Returns the folder of the sockets: beside the data, or in /tmp if that path is too long.

    /tmp is fixed, TMPDIR is ignored: every process must find the same folder.
    """
    run = folder / "run"
    if len(os.fsencode(run)) > LONGEST:
        digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
        run = Path(f"/tmp/collector-{os.geteuid()}-{digest}")  # nosec B108  # noqa: S108 - its owner and mode are checked
    run.mkdir(mode=0o700, exist_ok=True)
    stat_result = run.lstat()
    if (
        not stat.S_ISDIR(stat_result.st_mode)
        or stat_result.st_uid != os.geteuid()
        or stat_result.st_mode & 0o077
    ):
        raise ConfigError(
            f"{run} is not a private folder of this user",
            hint="remove it, or choose a shorter COLLECTOR_HOME",
        )
    return run


async def _line(
    line: Path, command: list[str | Path], folder: Path
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connects to the keeper. Waits for a leaving keeper to end; gives up if no keeper answers in time."""
    keepers = 0
    try:
        async with asyncio.timeout(COMING):
            while keepers <= TRIES:
                with suppress(ConnectionError, FileNotFoundError):
                    reader, writer = await asyncio.open_unix_connection(line)
                    if await _is_ready(reader, writer, folder):
                        return reader, writer
                keepers += await _start(command)
    except TimeoutError:
        pass
    raise StoreError("the private PostgreSQL does not come up", hint=f"see {folder / 'server.log'}")


async def _is_ready(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, folder: Path) -> bool:
    try:
        answer = (await reader.readline()).decode().strip()
    except BaseException:
        writer.close()
        raise
    if answer == "ready":
        return True
    writer.close()
    if answer:
        raise ConfigError(
            f"the private PostgreSQL does not start: {answer.removeprefix('failed ')}",
            hint=f"see {folder / 'server.log'}, or set DATABASE_URL",
        )
    return False


async def _start(command: list[str | Path]) -> bool:
    """Starts a keeper with an environment free of secrets; returns False if a keeper is running."""
    environ = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
    starter = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environ
    )
    _, complaint = await starter.communicate()
    if starter.returncode == keeper.TAKEN:
        await asyncio.sleep(0.02)
    elif starter.returncode:
        last = complaint.decode(errors="replace").strip().splitlines()[-1:]
        raise ConfigError(f"the private PostgreSQL does not start: {''.join(last)}", hint="set DATABASE_URL")
    return starter.returncode == 0


async def _leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says goodbye, and waits until the server has stopped or other users need it."""
    try:
        with suppress(OSError):
            async with asyncio.timeout(GOING):
                writer.write(keeper.BYE)
                await reader.read()
    finally:
        writer.close()
