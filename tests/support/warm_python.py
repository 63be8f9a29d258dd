"""Runs Python programs in forks of a process that has loaded what notebooks use: a fifth of a start from nothing.

`python -m tests.support.warm_python` reads an order from each line of stdin, as JSON, runs it to its end, and writes
its exit status to stdout. A program is a notebook's path or source text. Where a library has started a thread all the
same, each program starts from nothing: a fork would keep the locks of that thread.
"""

import json
import os
import subprocess
import sys
import traceback
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from tests.support.fork_server import count_threads, settle
from tests.support.notebook import run_notebook

MODULES = ("altair", "pandas", "duckdb", "sqlalchemy.dialects.postgresql.psycopg")
ADBC_MODULES = ("adbc_driver_postgresql.dbapi", "collector.read.reader")
"""They load polars where it is installed, and polars starts threads."""


def serve() -> None:
    for module in MODULES if find_spec("polars") else MODULES + ADBC_MODULES:
        import_module(module)
    for line in sys.stdin:
        order = json.loads(line)
        code = run_in_fork(**order) if count_threads() == 1 else run_in_new_process(**order)
        os.write(1, b"%d\n" % code)


def run_in_fork(*, program: str, env: dict[str, str], cwd: str, out: str, err: str) -> int:
    pid = os.fork()
    if pid == 0:
        settle(env, cwd, out, err)
        become(program)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def run_in_new_process(*, program: str, env: dict[str, str], cwd: str, out: str, err: str) -> int:
    arguments = ["-m", "tests.support.notebook"] if program.endswith(".ipynb") else ["-c"]
    with Path(out).open("w") as output, Path(err).open("w") as errors:
        return subprocess.run(
            [sys.executable, *arguments, program],
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            check=False,
        ).returncode


def become(program: str) -> NoReturn:
    """The program, from here on."""
    code = 0
    try:
        if program.endswith(".ipynb"):
            run_notebook(Path(program))
        else:
            exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})
    except BaseException:  # noqa: BLE001 - as the interpreter itself would end it
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    serve()
