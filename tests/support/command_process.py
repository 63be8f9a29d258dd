"""The command `collector` as a process, in an environment of the test's own."""

import asyncio
import json
import os
import signal
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from collector.db.dsn import Dsn
from collector.model import Target
from tests.support.harness import url, yaml

APP_KEY, SECRET_KEY = "s3ntinel/app+key", "s3ntinel/secret+key"
PASSWORD = "s3ntinel/pass+word"


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


def environment(
    base_url: str | None = None, address: Dsn | None = None, **more: str | None
) -> dict[str, str]:
    """What a process is given: keys, where the API and the database are; None in `more` takes one away."""
    found: dict[str, str | None] = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "LANG": "C.UTF-8",
        "KIWOOM_APP_KEY": APP_KEY,
        "KIWOOM_SECRET_KEY": SECRET_KEY,
        "KIWOOM_BASE_URL": base_url,
        "DATABASE_URL": url(address) if address else None,
        **more,
    }
    return {name: value for name, value in found.items() if value is not None}


def config(folder: Path, *targets: Target, **api: Any) -> Path:
    """The default configuration of a folder, with one universe `all`."""
    path = folder / "config" / "collector.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml(targets, **api), encoding="utf-8")
    return path


class Process:
    """A command under way, as asyncio has it: started from the warm one."""

    def __init__(self, pid: int, folder: Path, death: asyncio.Future[int]) -> None:
        self.pid = pid
        self._folder = folder
        self._death = death

    @property
    def returncode(self) -> int | None:
        return self._death.result() if self._death.done() else None

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):  # it has died, and we have not heard of it yet
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        return await asyncio.shield(self._death)

    async def communicate(self) -> tuple[bytes, bytes]:
        await self.wait()
        return (self._folder / "out").read_bytes(), (self._folder / "err").read_bytes()


class Starter:
    """The line to the warm process, which forks commands; see `warm`."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self._process = process
        self._folder = folder
        self._count = 0
        self._births: dict[str, asyncio.Future[Process]] = {}
        self._deaths: dict[int, asyncio.Future[int]] = {}
        """The exit codes to come, by process."""

    async def listen(self) -> None:
        assert self._process.stdout
        try:
            async for line in self._process.stdout:
                fact = json.loads(line)
                if "born" in fact:
                    death = self._deaths[fact["born"]] = asyncio.get_running_loop().create_future()
                    process = Process(fact["born"], Path(fact["out"]).parent, death)
                    self._births.pop(fact["out"]).set_result(process)
                else:
                    self._deaths.pop(fact["died"]).set_result(fact["code"])
        finally:
            self._hang_up()

    def _hang_up(self) -> None:
        """End all waiting, in a run that is broken off: nothing more will be told."""
        for birth in self._births.values():
            birth.cancel()
        for death in self._deaths.values():
            death.set_result(-signal.SIGKILL)

    async def start(
        self,
        *arguments: str,
        env: Mapping[str, str],
        cwd: Path,
        err: Path | None = None,
        streams: Mapping[str, str] = MappingProxyType({}),
    ) -> Process:
        """Start a command; its stderr goes to `err` if that is given, to be read while the command runs.

        `streams` names standard streams that are "closed", "broken" (without a reader) or another file.
        """
        self._count += 1
        folder = self._folder / str(self._count)
        folder.mkdir()
        out, err = folder / "out", err or folder / "err"
        out.touch()
        err.touch()
        birth: asyncio.Future[Process] = asyncio.get_running_loop().create_future()
        self._births[str(out)] = birth
        order = {
            "arguments": arguments,
            "env": dict(env),
            "cwd": str(cwd),
            "out": str(out),
            "err": str(err),
            "streams": dict(streams),
        }
        assert self._process.stdin
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        try:
            return await asyncio.shield(birth)
        except asyncio.CancelledError:  # it is born all the same
            birth.add_done_callback(lambda born: born.result().kill())
            raise


starter: Starter | None = None


@asynccontextmanager
async def warmed(folder: Path) -> AsyncIterator[None]:
    """Have a warm process to start commands from as long as this block runs."""
    global starter  # noqa: PLW0603 - one for all tests of commands
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.fork_server"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    starter = Starter(process, folder)
    listening = asyncio.ensure_future(starter.listen())
    try:
        yield
    finally:
        assert process.stdin
        process.stdin.close()
        await process.wait()
        await listening
        starter = None


@asynccontextmanager
async def started(
    *arguments: str, env: Mapping[str, str], cwd: Path, streams: Mapping[str, str] = MappingProxyType({})
) -> AsyncIterator[Process]:
    """A command under way; what is still there at the end is killed. `streams`: see `Starter.start`."""
    assert starter is not None
    process = await starter.start(*arguments, env=env, cwd=cwd, streams=streams)
    try:
        yield process
    finally:
        process.kill()
        async with asyncio.timeout(600):
            await process.communicate()


async def ended(process: Process | asyncio.subprocess.Process, *, within: float = 600) -> Ended:
    """The end of a command, and the proof that it kept its secrets and its tracebacks to itself."""
    async with asyncio.timeout(within):
        out, err = await process.communicate()
    assert process.returncode is not None
    found = Ended(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))
    assert secrets_in(found.out + found.err) == []
    assert "Traceback" not in found.err, found.err
    return found


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another process brings about."""
    while not condition():  # noqa: ASYNC110 - nobody there to set an event
        await asyncio.sleep(0.01)


async def run(*arguments: str, env: Mapping[str, str], cwd: Path) -> Ended:
    async with started(*arguments, env=env, cwd=cwd) as process:
        return await ended(process)


async def run_cold(*python: str, env: Mapping[str, str], cwd: Path) -> Ended:
    """A command from nothing; `python` is what follows the interpreter."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *python),
        env=env,
        cwd=cwd,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    return await ended(process)


def secrets_in(text: str) -> list[str]:
    """The forms of our secrets that stand in a text."""
    forms = [
        form
        for secret in (APP_KEY, SECRET_KEY, PASSWORD)
        for form in (
            secret,
            b64encode(secret.encode()).decode().rstrip("="),
            secret.encode().hex(),
            quote(secret, safe=""),
        )
    ]
    return [form for form in forms if form in text]
