"""The only package with the PostgreSQL driver: addresses, connections, errors and all stores."""

from collector.db.dsn import Dsn, parse_dsn
from collector.db.errors import (
    DROP_REFUSED,
    LockNotAvailableError,
    describe_refusal,
    is_refusal,
    translate_errors,
)
from collector.db.pool import Connection, Pool, check_server, connect, open_pool, transaction

__all__ = [
    "DROP_REFUSED",
    "Connection",
    "Dsn",
    "LockNotAvailableError",
    "Pool",
    "check_server",
    "connect",
    "describe_refusal",
    "is_refusal",
    "open_pool",
    "parse_dsn",
    "transaction",
    "translate_errors",
]
