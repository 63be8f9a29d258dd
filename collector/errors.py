"""The failures that are expected, as a tree: whose affair each is decides how far it travels.

    CollectorError
    ├── ConfigError         never starts (exit 2)
    ├── ApiError            one target's affair: its walk fails, the sweep goes on
    │   ├── Throttled       the pace is held for everybody, then again
    │   ├── Unavailable     back off with jitter, again, bounded
    │   ├── TokenExpired    renewed once for everybody, then again
    │   ├── Rejected        asking again will not help
    │   └── Unreadable      an answer that the API does not document
    ├── Denied              every target's affair: the sweep ends at its first answer
    ├── StoreError          the database's: the sweep ends
    └── ArchiveError        one file's of the cold tier: its day stays where it is

Whatever is not in this tree is a bug and ends in a traceback.
"""

from enum import StrEnum


class CollectorError(Exception):
    """The root. `str()` is one clear line, free of secrets; `hint` says what to do about it, or is empty."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(CollectorError):
    """What was asked for cannot be done; raised before anything is fetched."""


class ApiError(CollectorError):
    """An answer (or none) that fails one request.

    `code` is Kiwoom's own (1700, 8005 …), the HTTP status where there is none of Kiwoom's, or None where
    nothing answered. `text` is Kiwoom's message as it came, "" if there was none.
    """

    def __init__(self, message: str, *, code: int | None = None, text: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.text = text


class Throttled(ApiError):
    """Too many requests: the pace is held for everybody, then the request is sent again.

    `quota` is the 유량=N of the refusal: requests a second that the server grants, None if it did not say.
    """

    def __init__(
        self, message: str, *, code: int | None = None, text: str = "", quota: int | None = None
    ) -> None:
        super().__init__(message, code=code, text=text)
        self.quota = quota


class Unavailable(ApiError):
    """5xx, a timeout, a disconnect, a maintenance page, 1999: asking again later may help."""


class TokenExpired(ApiError):
    """The token that was sent is dead: renewed once for everybody, then the request is sent again."""


class Rejected(ApiError):
    """The request is wrong, or a code that nobody knows: asking again will not help."""


class Unreadable(ApiError):
    """An answer that the API does not document, such as broken JSON or a continuation without a key."""


class Denied(CollectorError):
    """The key, the host or the address is refused: every target's affair, and the operator's to mend.

    `code` and `text` as in `ApiError`.
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
    LOGIN_REFUSED = "login_refused"
    MISSING_NAME = "missing_name"
    """A table, column, function or schema that the statement names does not exist."""
    MISSING_TABLE = "missing_table"
    POOLER = "pooler"
    """A connection pooler stands between, and the address does not say so."""
    STALE_IDS = "stale_ids"
    """The database has other ids than those that the program has read."""
    TIMEOUT = "timeout"
    OTHER = "other"


class StoreError(CollectorError):
    """The database refused, is away, or did not answer in time; `kind` says how the program may react."""

    def __init__(self, message: str, *, hint: str = "", kind: StoreFailure = StoreFailure.OTHER) -> None:
        super().__init__(message, hint=hint)
        self.kind = kind


class ArchiveError(CollectorError):
    """A file of the cold tier cannot be written, or is not what it says; its path is in the message."""
