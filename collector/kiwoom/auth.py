"""Keeps one live token for each app key, shared by every program through the database.

Issuing a token seems to invalidate the one before, so two programs with separate renewals would invalidate
each other's tokens for ever. The row is locked while a token is issued, and a token replaced meanwhile is
used instead. The stored token is encrypted with a key derived from the secret key: a dump of the database
does not reveal it.

A failed token call that is no refusal (429, 5xx, a timeout, garbage) concerns every program. It is recorded
in the row with a retry time, and nobody asks again before that time. An outage thus costs each sweep a few
token calls in all, not a few for each of its targets.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b, sha256
from math import ceil
from typing import Any

from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from collector.db.database import Database
from collector.errors import (
    ApiError,
    CollectorError,
    Denied,
    Rejected,
    Throttled,
    TokenExpired,
    Unavailable,
    Unreadable,
)
from collector.kiwoom.protocol import Token
from collector.log import logger
from collector.secret import Secret

MARGIN = timedelta(minutes=10)
"""Renewal time before the token's end, as in the official client; a short-lived token is renewed after nine
tenths of its life."""
LONGEST = timedelta(days=8)
"""Longest believable life of a token (documented: 24 hours); a longer one is refused."""

FIRST_PAUSE = timedelta(seconds=60)
"""Pause of all programs after a failed token call; it doubles with each failure in a row."""
LONGEST_PAUSE = timedelta(minutes=4)
"""Longest such pause: less than the usual distance of two slots, five minutes, so each slot makes an attempt."""

_READ = "SELECT sealed, issued_at, expires_at FROM collector.token WHERE key = $1"
# DO UPDATE instead of DO NOTHING: it locks an existing row and returns it.
# A database clock that was set back shows as a wait beyond LONGEST_PAUSE, and is ignored by the caller.
_LOCK = """
INSERT INTO collector.token (key) VALUES ($1)
ON CONFLICT (key) DO UPDATE SET key = EXCLUDED.key
RETURNING sealed, issued_at, expires_at, failures, failure,
          extract(epoch FROM retry_at - clock_timestamp())::float8 AS wait
"""
ISSUED_WITHIN = 40.0
"""Time limit in seconds for a token call with all its retries, independent of `api.timeout` for a single
request."""
# The program with the row lock is waiting for the API, so other programs wait for up to 60 s.
_LONG_TIMEOUTS = "SET LOCAL lock_timeout = '60s'; SET LOCAL statement_timeout = '60s'"
_RENEWED_WITHIN = 60.0 + ISSUED_WITHIN + 10.0
_NOT_ISSUED = (
    "see whether api.base_url leads to Kiwoom, and whether the key is in force"
    " / api.base_url이 키움을 가리키는지, 키가 유효한지 확인하세요"
)
# A new token ends the pause.
_STORE = """
UPDATE collector.token
SET sealed = $2, issued_at = $3, expires_at = $4, failures = 0, retry_at = NULL, failure = NULL
WHERE key = $1
"""
# The count of failures stays in the row, so all programs share one growing pause.
_FAIL = """
UPDATE collector.token
SET failures = failures + 1, failure = $2, retry_at = clock_timestamp() + $3::interval
WHERE key = $1
"""


def key_digest(app_key: Secret) -> str:
    """Return the stand-in for an app key in the database and in logs: long enough to distinguish keys,
    useless as a key."""
    return sha256(b"collector app key\0" + app_key.reveal().encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class _CachedToken:
    value: Secret
    renew_at: datetime
    expires_at: datetime


def pause_after(failures: int) -> timedelta:
    """Return the pause of all programs after this many failures in a row."""
    doubled: int = 2 ** min(failures - 1, 10)
    return min(LONGEST_PAUSE, FIRST_PAUSE * doubled)


class TokenStore:
    """Stores the token of one key. `issue` asks the API for a new token; the current one is cached in
    between."""

    def __init__(
        self,
        database: Database,
        app_key: Secret,
        secret_key: Secret,
        *,
        issue: Callable[[], Awaitable[Token]],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        within: float = ISSUED_WITHIN,
    ) -> None:
        self._within = within
        self._database = database
        self._key = key_digest(app_key)
        self._seal = SecretBox(_sealing_key(app_key, secret_key))
        self._issue = issue
        self._now = now
        self._cached: _CachedToken | None = None
        self._lock = asyncio.Lock()
        self._arrived = asyncio.Event()
        self.is_failing = False
        """Whether the last attempt to get a token failed, by this program or, during a pause, by another one."""

    async def current(self, *, ignore_pause: bool = False) -> Secret:
        """Return the live token: the cached one, one issued by another program, or a new one.

        Unavailable: the token call fails, or failed a moment ago; `ignore_pause` asks all the same.
        """
        if self._is_live(self._cached):
            assert self._cached is not None
            return self._cached.value
        return await self._read_or_issue(failed=None, ignore_pause=ignore_pause)

    @property
    def expires_at(self) -> datetime | None:
        """The end of the cached token; None without one."""
        return self._cached.expires_at if self._cached else None

    async def wait_for_live(self) -> Secret:
        """The live token as soon as another call has brought one; this call asks for none."""
        while not self._is_live(self._cached):
            self._arrived.clear()
            await self._arrived.wait()
        assert self._cached is not None
        return self._cached.value

    async def renew(self, failed: Secret) -> Secret:
        """Return a token after `failed` was refused: another program's newer one, or else a new one."""
        if self._cached is not None and self._cached.value != failed:
            return await self.current()
        return await self._read_or_issue(failed=failed)

    async def _read_or_issue(self, failed: Secret | None, *, ignore_pause: bool = False) -> Secret:
        async with self._lock:
            if self._is_usable(self._cached, failed):
                assert self._cached is not None
                return self._cached.value
            self._cached = await self._read() if failed is None else None
            if not self._is_live(self._cached):
                self._cached = await self._issue_or_keep_old(failed, ignore_pause=ignore_pause)
            self.is_failing = False
            self._arrived.set()
            return self._cached.value if self._cached else Secret("")

    async def _read(self) -> _CachedToken | None:
        async with self._database.connection("reading the token") as connection:
            row = await connection.fetchrow(_READ, self._key)
        return self._decrypt(row) if row else None

    async def _issue_or_keep_old(self, failed: Secret | None, *, ignore_pause: bool) -> _CachedToken:
        """Return a new token; while none can be issued, the old one is used until its end."""
        old = self._cached
        try:
            return await self._issue_locked(failed, ignore_pause=ignore_pause)
        except Unavailable:
            if old is None or old.expires_at <= self._now():
                raise
            return old

    async def _issue_locked(self, failed: Secret | None, *, ignore_pause: bool) -> _CachedToken:
        """Issue a new token, unless another program was faster. The row is locked during the API call.

        A failure is committed with the row, and raised after that.
        """
        async with self._database.transaction("renewing the token", timeout=_RENEWED_WITHIN) as connection:
            await connection.execute(_LONG_TIMEOUTS)
            row = await connection.fetchrow(_LOCK, self._key)
            stored = self._decrypt(row)
            if stored is not None and self._is_usable(stored, failed):
                return stored
            wait = row["wait"]
            if not ignore_pause and wait is not None and 0 < wait <= LONGEST_PAUSE.total_seconds():
                self.is_failing = True
                raise Unavailable(f"no token: {row['failure']}; next attempt in {ceil(wait)} s")
            try:
                token = await self._issue_checked()
            except (Unavailable, Unreadable) as error:
                failure: Unavailable | Unreadable = error
            else:
                sealed = self._seal.encrypt(token.value.reveal().encode())
                issued_at = self._now()
                await connection.execute(_STORE, self._key, sealed, issued_at, token.expires_at)
                return _cache_token(token.value, issued_at, token.expires_at)
            pause = pause_after(row["failures"] + 1)
            await connection.execute(_FAIL, self._key, str(failure), pause)
        raise self._explain_failure(failure, pause)

    def _explain_failure(self, failure: Unavailable | Unreadable, pause: timedelta) -> CollectorError:
        """Convert a failed token call into the caller's error; an unreadable answer is Denied, since it
        affects every target."""
        self.is_failing = True
        seconds = int(pause.total_seconds())
        logger.info("token.unavailable", key=self._key, reason=str(failure), again_in=seconds)
        if isinstance(failure, Unreadable):
            return _make_denied(failure)
        text = f"no token: {failure}; next attempt in {seconds} s"
        return Unavailable(text, code=failure.code, text=failure.text)

    async def _issue_checked(self) -> Token:
        """Issue a token through the API. Denied if it is refused, because every target would be refused."""
        try:
            async with asyncio.timeout(self._within):
                token = await self._issue()
        except TimeoutError:
            raise Unavailable(f"no token within {self._within:g} s") from None
        except Throttled as error:
            raise Unavailable(str(error), code=error.code, text=error.text) from error
        except (Rejected, TokenExpired) as error:
            raise _make_denied(error) from error
        self._check_expiry(token)
        return token

    def _decrypt(self, row: Any) -> _CachedToken | None:
        """Decrypt the token in the database; None if there is none or another secret key encrypted it."""
        sealed, issued_at, expires_at = row["sealed"], row["issued_at"], row["expires_at"]
        if sealed is None or issued_at is None or expires_at is None:
            return None
        try:
            return _cache_token(Secret(self._seal.decrypt(sealed).decode()), issued_at, expires_at)
        except CryptoError:
            return None

    def _is_live(self, token: _CachedToken | None) -> bool:
        return token is not None and token.renew_at > self._now()

    def _is_usable(self, token: _CachedToken | None, failed: Secret | None) -> bool:
        return token is not None and self._is_live(token) and token.value != failed

    def _check_expiry(self, token: Token) -> None:
        left = token.expires_at - self._now()
        if not timedelta(0) < left < LONGEST:
            raise Unreadable("the token that was issued ends in the past or in the far future")


def _cache_token(value: Secret, issued_at: datetime, expires_at: datetime) -> _CachedToken:
    return _CachedToken(value, expires_at - min(MARGIN, (expires_at - issued_at) / 10), expires_at)


def _make_denied(error: ApiError) -> Denied:
    return Denied(f"no token can be issued: {error}", code=error.code, text=error.text, hint=_NOT_ISSUED)


def _sealing_key(app_key: Secret, secret_key: Secret) -> bytes:
    salt = key_digest(app_key).encode()
    return blake2b(
        secret_key.reveal().encode(), digest_size=32, salt=salt, person=b"collector token"
    ).digest()
