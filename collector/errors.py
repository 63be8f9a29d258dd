"""Defines the tree of expected errors. The class of an error decides how far it travels.

    CollectorError
    ├── ConfigError         the program never starts (exit 2)
    ├── ApiError            concerns one target: its walk fails, the sweep goes on
    │   ├── Throttled       every caller pauses, then the request is repeated
    │   ├── Unavailable     bounded retries after a backoff with jitter
    │   ├── TokenExpired    renewed once for all callers, then the request is repeated
    │   ├── Rejected        a retry will not help
    │   └── Unreadable      an answer outside the documented API
    ├── Denied              concerns every target: the sweep ends at the first such answer
    ├── StoreError          concerns the database: the sweep ends
    └── ArchiveError        concerns one archive file: its day stays in the database

Any exception outside this tree is a bug and ends in a traceback.
"""

from enum import StrEnum


class CollectorError(Exception):
    """The root. `str()` is one clear line without secrets; `hint` tells the operator how to fix it, or is
    empty."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(CollectorError):
    """The request cannot be carried out; raised before anything is fetched."""


class ApiError(CollectorError):
    """An answer, or the lack of one, that fails one request.

    `code` is Kiwoom's own code (1700, 8005 …), else the HTTP status, or None if there was no answer. `text`
    is Kiwoom's message as received, "" if there was none.
    """

    def __init__(self, message: str, *, code: int | None = None, text: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.text = text


class Throttled(ApiError):
    """Too many requests (HTTP 429, codes 1700 to 1702): every caller pauses, then the request is repeated.

    `quota` is the 유량=N of the refusal, the requests a second granted by the server; None if the refusal has
    no such number.
    """

    def __init__(
        self, message: str, *, code: int | None = None, text: str = "", quota: int | None = None
    ) -> None:
        super().__init__(message, code=code, text=text)
        self.quota = quota


class Unavailable(ApiError):
    """A 5xx status, a timeout, a disconnect, a maintenance page or code 1999: a later retry may help."""


class TokenExpired(ApiError):
    """The token is dead: it is renewed once for all callers, then the request is repeated."""


class Rejected(ApiError):
    """The request is wrong, or its error code is unknown: a retry will not help."""


class Unreadable(ApiError):
    """An answer outside the documented API, such as broken JSON or a continuation without a key."""


class Denied(CollectorError):
    """The key, the host or the IP address is refused. This affects every target, and the operator must fix it.

    `code` and `text` are as in `ApiError`.
    """

    def __init__(self, message: str, *, code: int | None = None, text: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.text = text


class StoreFailure(StrEnum):
    """The kind of a StoreError, as far as the program acts on it."""

    CONFLICT = "conflict"
    """A serialization failure or a deadlock: the same transaction may succeed at once."""
    DISK_FULL = "disk_full"
    LOCKED = "locked"
    """A lock was not granted in time."""
    LOGIN_REFUSED = "login_refused"
    MISSING_NAME = "missing_name"
    """The statement names a table, column, function or schema that does not exist."""
    MISSING_TABLE = "missing_table"
    POOLER = "pooler"
    """A connection pooler is in between, and the database address does not say so."""
    STALE_IDS = "stale_ids"
    """The database has other ids than the program's cache."""
    TIMEOUT = "timeout"
    OTHER = "other"


class StoreError(CollectorError):
    """The database refused, is unreachable, or did not answer in time; `kind` tells how the program may
    react."""

    def __init__(self, message: str, *, hint: str = "", kind: StoreFailure = StoreFailure.OTHER) -> None:
        super().__init__(message, hint=hint)
        self.kind = kind


class ArchiveError(CollectorError):
    """An archive file cannot be written, or its content differs from its metadata; the message has its path."""
