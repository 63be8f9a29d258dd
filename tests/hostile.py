"""Runs the whole suite in fresh clones on a machine that is slow on purpose: `./dev test --hostile`.

    ./dev test --hostile [--runs N] [--parallel K] [--mode loops|half|both|clock] [--keep] [ARG ...]

`loops`: four busy loops run beside it. `half`: the run gets half a core, by a cgroup (as root: v2 `cpu.max` or v1
`cpu.cfs_quota_us`; otherwise `systemd-run --user`), or by `cpulimit`. Each mode is run N times (10). `--parallel K`
has K runs at once, beside the same loops; each gets less of the machine than one alone, and the series ends sooner.
`clock`: the runs begin at the instants of INSTANTS, one after another; a test must not depend on the date either.
Other arguments go to pytest. A clone holds what is committed.
Logs of runs that failed stay. Exit status: 0 every run passed, 1 one failed, 2 a mode is not possible here, 130 stopped
by Ctrl-C, SIGTERM or SIGHUP: then the runs under way are ended and their clones are removed.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import IO

from tests.support import moved_clock
from tests.support.interrupts import accept_interrupts

ROOT = Path(__file__).resolve().parents[1]
LOOPS = 4
BUSY = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass"
"""A busy loop that ends with its parent, however that ends."""
PERIOD, QUOTA = 100_000, 50_000
"""Microseconds of a period, and those in which the run may use a core: half of one."""
CGROUPS = Path("/sys/fs/cgroup")
INSTANTS = (
    "2026-12-01T08:57+09:00",  # KRX opens during the run
    "2026-12-01T15:27+09:00",  # KRX closes
    "2026-12-31T23:57+09:00",  # the year ends in Korea, on a closed day
    "2028-02-29T10:00+09:00",  # a leap day
    "2031-01-03T10:00+09:00",  # beyond the shipped calendar, and beyond each retention
)
PATIENCE = 60
"""Seconds in which an interrupted run may end its servers; what is left of its process group is killed then."""
_V1 = (CGROUPS / "cpu", CGROUPS / "cpu,cpuacct")
_SUMMARY = re.compile(r"^=* ?((?:\d+ [a-z]+(?:, )?)+) in [\d.]+s", re.MULTILINE)


@dataclass(frozen=True)
class Result:
    """What one run came to."""

    mode: str
    number: int
    code: int
    seconds: float
    summary: str
    failures: Sequence[str]


class ImpossibleError(Exception):
    """This machine has no means for a mode."""


class Commands:
    """The commands under way in all threads. Each has a process group of its own, so that `end` reaches all of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._ended = False

    def run(self, command: Sequence[str], folder: Path, output: IO[bytes] | None = None) -> int:
        """Run a command in `folder` and return its exit status; after `end` no further one begins."""
        with self._lock:
            if self._ended:
                raise StoppedError
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                process_group=0,  # no session of its own: Linux shares the processor out by sessions
            )
            self._processes.add(process)
        code = process.wait()
        with self._lock:
            self._processes.discard(process)
        return code

    def end(self) -> None:
        """Interrupt all commands, as Ctrl-C does, and kill what is left after `PATIENCE`."""
        with self._lock:
            self._ended = True
            processes = list(self._processes)
        deadline = time.monotonic() + PATIENCE
        for process in processes:
            _signal_group(process, signal.SIGINT)
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0, deadline - time.monotonic()))
            _signal_group(process, signal.SIGKILL)


class StoppedError(Exception):
    """No further command begins."""


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # macOS forbids to signal a group of zombies
        os.killpg(process.pid, number)


def main(arguments: Sequence[str]) -> int:
    options, rest = _options(arguments)
    modes = ("loops", "half") if options.mode == "both" else (options.mode,)
    try:
        limits = {mode: limiter(mode) for mode in modes}
    except ImpossibleError as error:
        print(f"hostile: {error}", file=sys.stderr)
        return 2
    if _git("status", "--porcelain").strip():
        print("hostile: changes that are not committed are NOT in the clones", file=sys.stderr)
    accept_interrupts()
    results: list[Result] = []
    commands = Commands()
    with tempfile.TemporaryDirectory(prefix="collector-hostile-") as folder:
        logs = Path(tempfile.mkdtemp(prefix="collector-hostile-logs-"))
        try:
            for mode in modes:
                run = partial(run_once, Path(folder), logs, mode, limits[mode], rest, commands)
                for result in _run_all(run, mode, options.runs, options.parallel, commands):
                    results.append(result)
                    print(_line(result), flush=True)
        except KeyboardInterrupt:
            print(f"{table(results)}\nhostile: stopped; logs: {logs}", file=sys.stderr)
            return 130
    print(table(results))
    if all(result.code == 0 for result in results) and not options.keep:
        shutil.rmtree(logs)
        return 0
    print(f"logs: {logs}")
    return int(any(result.code for result in results))


def _run_all(
    run: Callable[[int], Result], mode: str, runs: int, parallel: int, commands: Commands
) -> Iterator[Result]:
    """Yield the results of all runs of a mode in their order; an interrupt ends those under way."""
    with busy_loops(LOOPS if mode == "loops" else 0), ThreadPoolExecutor(parallel) as pool:
        try:
            yield from pool.map(run, range(1, runs + 1))
        except KeyboardInterrupt:
            commands.end()
            raise


def _options(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(prog="./dev test --hostile", allow_abbrev=False)
    parser.add_argument("--runs", type=int, default=10, help="runs in each mode (10)")
    parser.add_argument("--parallel", type=int, default=1, help="runs at once (1)")
    parser.add_argument("--mode", choices=("loops", "half", "both", "clock"), default="both")
    parser.add_argument("--keep", action="store_true", help="keep the logs of runs that passed, too")
    return parser.parse_known_args(arguments)


def run_once(
    folder: Path,
    logs: Path,
    mode: str,
    limit: Sequence[str],
    rest: Sequence[str],
    commands: Commands,
    number: int,
) -> Result:
    """One run in a clone of its own, which is gone afterwards."""
    clone, log = folder / f"{mode}-{number}", logs / f"{mode}-{number}.log"
    _git("clone", "--quiet", "--no-hardlinks", str(ROOT), str(clone))
    if code := commands.run([sys.executable, "-B", "dev", "setup"], clone):
        return Result(mode, number, code, 0, "not set up", ())
    began = time.monotonic()
    with _prefix(mode, clone, number) as prefix, log.open("wb") as output:
        # Names as they end: a run that is stopped halfway still tells its failures.
        test = [*prefix, *limit, sys.executable, "-B", "dev", "test", "-vv", *rest]
        code = commands.run(test, clone, output)
    seconds = time.monotonic() - began
    shutil.rmtree(clone, ignore_errors=True)
    text = log.read_text(errors="replace")
    found = _SUMMARY.findall(text)
    failures = re.findall(r"^(?:FAILED|ERROR) (\S+)", text, re.MULTILINE)
    summary = found[-1] if found else "no summary"
    if mode == "clock":
        summary += f", from {_instant(number)}"
    return Result(mode, number, code, seconds, summary, failures)


def _prefix(mode: str, clone: Path, number: int) -> AbstractContextManager[Sequence[str]]:
    """The words before the command of a run."""
    if mode == "half":
        return limited(f"{os.getpid()}-{number}")
    if mode == "clock":
        at = datetime.fromisoformat(_instant(number))
        return nullcontext(moved_clock.moved(clone.with_name(f"{clone.name}-clock"), at))
    return nullcontext([])


def _instant(number: int) -> str:
    return INSTANTS[(number - 1) % len(INSTANTS)]


def environment() -> dict[str, str]:
    """Ours without the virtual environment of this checkout: the clone has its own."""
    own = str(ROOT / ".venv")
    path = [part for part in os.environ.get("PATH", os.defpath).split(os.pathsep) if not part.startswith(own)]
    kept = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    return {**kept, "PATH": os.pathsep.join(path)}


def limiter(mode: str) -> list[str]:
    """The words before a command that limit it; none where a cgroup of ours does it, or nothing is to be limited."""
    if mode == "clock" and (reason := moved_clock.unavailable()):
        raise ImpossibleError(f"another clock is NOT POSSIBLE here: {reason}")
    if mode in ("loops", "clock") or _cgroup_parent():
        return []
    if shutil.which("systemd-run"):
        scope = ["systemd-run", "--user", "--scope", "--quiet", "-p", "CPUQuota=50%"]
        if subprocess.run([*scope, "true"], capture_output=True, check=False).returncode == 0:
            return scope
    if shutil.which("cpulimit"):
        # It stops and continues the processes that it limits, and so wakes those that a test has stopped.
        print("hostile: no cgroup to be had; cpulimit disturbs tests that stop processes", file=sys.stderr)
        return ["cpulimit", "--limit=50", "--include-children", "--foreground", "--quiet", "--"]
    raise ImpossibleError(
        "half a core is NOT POSSIBLE here: it takes root and cgroups, systemd-run --user, or cpulimit; "
        "`--mode loops` needs none of them"
    )


@contextmanager
def limited(name: str) -> Iterator[Sequence[str]]:
    """Yield the words before a command that put it into a cgroup with half a core; none where there are no cgroups."""
    if (parent := _cgroup_parent()) is None:
        yield []
        return
    with cgroup(parent / f"collector-hostile-{name}") as group:
        yield ["sh", "-c", 'echo $$ >"$0"/cgroup.procs && exec "$@"', str(group)]


@contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """Keep the machine busy while this lasts."""
    processes = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _cgroup_parent() -> Path | None:
    """Where a cgroup with a limit of the processor can be made."""
    if os.geteuid() != 0:
        return None
    controllers = CGROUPS / "cgroup.controllers"
    if controllers.is_file() and "cpu" in controllers.read_text().split():
        with suppress(OSError):
            (CGROUPS / "cgroup.subtree_control").write_text("+cpu")
            return CGROUPS
    return next((root for root in _V1 if (root / "cpu.cfs_quota_us").is_file()), None)


@contextmanager
def cgroup(group: Path) -> Iterator[Path]:
    """A cgroup with half a core; whatever is left in it at the end is killed."""
    group.mkdir()
    try:
        if (group / "cpu.max").exists():
            (group / "cpu.max").write_text(f"{QUOTA} {PERIOD}")
        else:
            (group / "cpu.cfs_period_us").write_text(str(PERIOD))
            (group / "cpu.cfs_quota_us").write_text(str(QUOTA))
        yield group
    finally:
        _empty(group)
        group.rmdir()


def _empty(group: Path) -> None:
    while pids := (group / "cgroup.procs").read_text().split():
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        time.sleep(0.05)  # until the kernel has taken them out


def table(results: Sequence[Result]) -> str:
    """All runs, and how many of each mode passed."""
    lines = [_line(result) for result in results]
    for mode in dict.fromkeys(result.mode for result in results):
        codes = [result.code for result in results if result.mode == mode]
        lines.append(f"{mode}: {codes.count(0)} of {len(codes)} passed")
    return "\n".join(["", "mode   run  result  seconds  summary", *lines])


def _line(result: Result) -> str:
    verdict = "passed" if result.code == 0 else "FAILED"
    line = f"{result.mode:<6} {result.number:>3}  {verdict}  {result.seconds:>7.0f}  {result.summary}"
    return "\n".join([line, *(f"             {failure}" for failure in result.failures)])


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
