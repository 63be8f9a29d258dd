"""Starts commands by forking from a process that has imported them: a tenth of the time of a start from nothing.

A command is a process like any other, with its own arguments, environment, folder and output. Orders come in
on stdin, a JSON object a line; the start of a process and then its end go out on stdout, a JSON object a line.
"""

import faulthandler
import gc
import json
import os
import select
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from collector.cli.early_signals import open_standard_streams, prepare_daemon
from collector.cli.main import VERBS, main

_THREADS = Path("/proc/self/task")
"""Has one folder for each thread of this process, on Linux."""
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""Variables with which numpy and pyarrow start no thread; the second is of an allocator that pyarrow has in it."""
PLAIN = "COLLECTOR_TESTS_FORK_PLAIN"
"""The variable of a process that leaves out the libraries with threads."""


def serve() -> None:
    commands = (place.partition(":")[0] for place in VERBS.values())
    for module in (*commands, "collector.kiwoom.transport", *_list_file_modules()):
        import_module(module)
    if count_threads() > 1 and PLAIN not in os.environ:  # another build of a library: do without them
        os.execve(
            sys.executable, [sys.executable, "-m", "tests.support.fork_server"], {**os.environ, PLAIN: "1"}
        )
    gc.freeze()  # a child's collector leaves alone, and so does not copy, what all share
    for order in read_orders():
        refuse_threads()
        pid = os.fork()
        if pid == 0:
            become(**order)
        say(born=pid, out=order["out"])


def read_orders() -> Iterator[dict[str, Any]]:
    """Yield the orders, and tell of each process that ends between them, until stdin is closed.

    A signal just before a blocking read would be handled only after it, so with the next order. The byte that
    the signal writes to the pipe ends `select` whenever it comes.
    """
    ended, signalled = os.pipe()
    for end in (ended, signalled):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(signalled, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    line = b""
    while True:
        ready, _, _ = select.select([0, ended], [], [])
        if ended in ready:
            os.read(ended, 65536)
            bury()
        if 0 in ready:
            if not (data := os.read(0, 65536)):
                return
            *lines, line = (line + data).split(b"\n")
            yield from map(json.loads, lines)


def _list_file_modules() -> list[str]:
    """The modules that read and write Parquet files, if pyarrow can be kept from starting threads here."""
    if find_spec("pyarrow") is None or not _THREADS.is_dir() or PLAIN in os.environ:
        return []
    os.environ.update(ONE_THREAD)
    return ["collector.archive.write", "collector.archive.restore", "collector.archive.output"]


def refuse_threads() -> None:
    """End, rather than fork while another thread is there: its locks would stay locked in the child forever."""
    if count_threads() > 1:
        names = [(thread / "comm").read_text().strip() for thread in _THREADS.iterdir()]
        raise SystemExit(f"the process that starts commands has other threads: {', '.join(names)}")


def count_threads() -> int:
    """The threads of this process; 1 where the system does not list them."""
    return sum(1 for _ in _THREADS.iterdir()) if _THREADS.is_dir() else 1


def bury() -> None:
    """Tell of each process that has ended."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        say(died=pid, code=os.waitstatus_to_exitcode(status))


def say(**facts: object) -> None:
    os.write(1, json.dumps(facts).encode() + b"\n")


def become(
    *, arguments: list[str], env: dict[str, str], cwd: str, out: str, err: str, streams: Mapping[str, str]
) -> NoReturn:
    """The command, from here on."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    settle(env, cwd, out, err)
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115 - may be a pipe now
    faulthandler.enable(2)
    for name, state in streams.items():
        replace_stream(name, state)
    sys.argv = ["collector", *arguments]
    if arguments[:1] == ["daemon"]:
        prepare_daemon()
    code: Any = 0
    try:
        open_standard_streams()
        main()
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:  # noqa: BLE001 - as the interpreter itself would end it
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)


def settle(env: Mapping[str, str], cwd: str, out: str, err: str) -> None:
    """Have a child's own output, folder and environment in place of the parent's."""
    for number, path, flags in ((0, os.devnull, os.O_RDONLY), (1, out, os.O_WRONLY), (2, err, os.O_WRONLY)):
        os.dup2(os.open(path, flags), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)


def replace_stream(name: str, state: str) -> None:
    """Have a standard stream that is "closed", "broken" (without a reader) or a file, as at an interpreter's start."""
    number = ("stdin", "stdout", "stderr").index(name)
    if state == "closed":
        os.close(number)
        setattr(sys, name, None)
        return
    if state == "broken":
        reader, writer = os.pipe()
        os.dup2(writer, number)
        os.close(reader)
    else:
        os.dup2(os.open(state, os.O_RDWR | os.O_NOCTTY), number)
    buffering = 1 if name == "stderr" or os.isatty(number) else -1
    errors = "backslashreplace" if name == "stderr" else "strict"
    mode = "r" if name == "stdin" else "w"
    setattr(sys, name, open(number, mode, buffering=buffering, errors=errors, closefd=False))  # noqa: SIM115


if __name__ == "__main__":
    serve()
