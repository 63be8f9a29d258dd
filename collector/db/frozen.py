"""Ends sessions of programs that froze inside a transaction: their locks keep other programs waiting.

A stopped process (SIGSTOP, a paused container) keeps its connections open and its locks held. PostgreSQL ends such a
session after `idle_in_transaction_session_timeout`, a minute here. It never ends a session whose client stopped between
the preparation of a statement and its execution: the session counts as active, and `statement_timeout` does not
interrupt the wait for the client's next message.
"""

import asyncio
from contextlib import suppress
from datetime import timedelta

from collector.db.errors import DRIVER_ERRORS
from collector.db.pool import Pool
from collector.log import logger

SILENT = timedelta(seconds=15)
"""Silence after which a session inside a transaction counts as frozen: more than `Database` allows for one use of a
connection, with its rollback."""
_ANSWER = 2.0
"""Seconds for the answer: the caller has waited for a lock already, and tries again."""

# Only transactions that wrote or locked rows (backend_xid): others hold no lock that a sweep waits for. A COPY waits
# for its client, too, while that sends rows; `statement_timeout` ends a COPY.
_END_FROZEN = """
SELECT count(pg_terminate_backend(pid))
FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
  AND application_name LIKE 'collector%' AND application_name <> 'collector long work' AND backend_xid IS NOT NULL
  AND state IN ('active', 'idle in transaction', 'idle in transaction (aborted)')
  AND wait_event = 'ClientRead' AND query NOT ILIKE 'COPY%'
  AND state_change < clock_timestamp() - $1::interval
"""


async def end_frozen_sessions(pool: Pool, *, silent: timedelta = SILENT) -> int:
    """Ends the sessions of this program's kind that hold locks and were silent for `silent`; returns their number.

    The transactions are rolled back; a program that wakes up finds its connection lost and tries again. Errors are
    suppressed: the caller reports the lock that it waited for.
    """
    with suppress(*DRIVER_ERRORS):
        async with asyncio.timeout(_ANSWER), pool.acquire(timeout=_ANSWER) as connection:
            ended: int = await connection.fetchval(_END_FROZEN, silent)
            if ended:
                logger.warning("database.frozen_sessions_ended", sessions=ended)
            return ended
    return 0
