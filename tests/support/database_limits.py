"""Widens the program's time limits for the database: on a busy machine a live server may take long to answer."""

from typing import Any

from collector.db import pool, worklist
from collector.db.database import Database
from collector.db.lease import FencedDatabase

PATIENT = 600.0
"""Seconds, as for other guards against hanging."""


def widen_limits() -> None:
    """Have a wide limit where a caller names none, in this process.

    A test with a silent server as its subject names a limit of its own. Commands that tests start keep the limits
    of the program.
    """
    functions: tuple[Any, ...] = (
        Database.connection,
        Database.transaction,
        FencedDatabase.transaction,
        pool.connect,
        pool.open_pool,
    )
    for function in functions:
        function.__wrapped__.__kwdefaults__["timeout"] = PATIENT
    worklist.TIMEOUT = PATIENT
