"""Runs Python programs in forks of a process that has loaded what notebooks use: a fifth of a start from nothing.

`python -m tests.support.warm_python` reads an order from each line of stdin, as JSON, runs it to its end, and writes
its exit status to stdout. A program is a notebook's path or source text.
"""

import json
import os
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from tests.support.fork_server import refuse_threads, settle
from tests.support.notebook import run_notebook

MODULES = (
    *("altair", "pandas", "duckdb", "sqlalchemy.dialects.postgresql.psycopg"),
    *("adbc_driver_postgresql.dbapi", "collector.read.reader"),
)


def serve() -> None:
    for module in MODULES:
        import_module(module)
    for line in sys.stdin:
        order = json.loads(line)
        refuse_threads()
        pid = os.fork()
        if pid == 0:
            become(**order)
        _, status = os.waitpid(pid, 0)
        os.write(1, b"%d\n" % os.waitstatus_to_exitcode(status))


def become(*, program: str, env: dict[str, str], cwd: str, out: str, err: str) -> NoReturn:
    """The program, from here on."""
    settle(env, cwd, out, err)
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
