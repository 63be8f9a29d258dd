"""One live token for each app key, shared by every program through the database.

Issuing a token seems to kill the one before, so two programs that each renewed for themselves would kill
each other's for ever. The row is locked while a token is issued, and one that was replaced meanwhile is
taken instead. It is kept sealed with a key that only the secret key yields: a dump of the database does
not show it.

A token call that fails without being a refusal (429, 5xx, a timeout, garbage) is everybody's failure: it is noted
in the row, and nobody asks again before the time that stands there. So a sweep costs a few token calls, not a few
for each of its targets, and so do all the sweeps that come while it lasts.
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
"""Renewed this long before its end, as the official client does; one of a short life after nine tenths of it."""
LONGEST = timedelta(days=8)
"""No token lasts longer (documented: 24 hours); one that says so is not believed."""

FIRST_PAUSE = timedelta(seconds=60)
"""How long nobody asks after the token call has failed; it doubles with each failure in a row."""
LONGEST_PAUSE = timedelta(minutes=4)
"""The most that it grows to: less than the usual distance of two slots, five minutes, so that each slot tries."""

_READ = "SELECT sealed, issued_at, expires_at FROM collector.token WHERE key = $1"
_LOCK = """
INSERT INTO collector.token (key) VALUES ($1)
ON CONFLICT (key) DO UPDATE SET key = EXCLUDED.key
RETURNING sealed, issued_at, expires_at, failures, failure,
          extract(epoch FROM retry_at - clock_timestamp())::float8 AS wait
"""
ISSUED_WITHIN = 40.0
"""Seconds in which the API gives a token or is taken to be away, whatever `api.timeout` allows a single request."""
# Whoever holds the row is asking the API.
_LONG_TIMEOUTS = "SET LOCAL lock_timeout = '60s'; SET LOCAL statement_timeout = '60s'"
_RENEWED_WITHIN = 60.0 + ISSUED_WITHIN + 10.0
_NOT_ISSUED = (
    "see whether api.base_url leads to Kiwoom, and whether the key is in force"
    " / api.base_url이 키움을 가리키는지, 키가 유효한지 확인하세요"
)
_KEEP = """
UPDATE collector.token
SET sealed = $2, issued_at = $3, expires_at = $4, failures = 0, retry_at = NULL, failure = NULL
WHERE key = $1
"""
_FAIL = """
UPDATE collector.token
SET failures = failures + 1, failure = $2, retry_at = clock_timestamp() + $3::interval
WHERE key = $1
"""


def key_digest(app_key: Secret) -> str:
    """What stands for an app key in the database and in logs: enough to tell two apart, too little to use."""
    return sha256(b"collector app key\0" + app_key.reveal().encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class _CachedToken:
    value: Secret
    renew_at: datetime
    expires_at: datetime


def pause_after(failures: int) -> timedelta:
    """How long nobody asks for a token after so many failures in a row."""
    doubled: int = 2 ** min(failures - 1, 10)
    return min(LONGEST_PAUSE, FIRST_PAUSE * doubled)


class TokenStore:
    """Where a token is had. `issue` asks the API for a new one; the current one is remembered in between."""

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
        self._one_at_a_time = asyncio.Lock()
        self._arrived = asyncio.Event()
        self.is_failing = False
        """Whether the last try to get a token failed, ours or, while we may not try, another program's."""

    async def current(self, *, ignore_pause: bool = False) -> Secret:
        """The live token: the one held, the one that another program got, or a new one.

        Unavailable: the token call fails, or failed a moment ago; `ignore_pause` asks all the same.
        """
        if self._is_live(self._cached):
            assert self._cached is not None
            return self._cached.value
        return await self._read_or_issue(failed=None, ignore_pause=ignore_pause)

    async def wait_for_live(self) -> Secret:
        """The live token as soon as another call has brought one; this call asks for none."""
        while not self._is_live(self._cached):
            self._arrived.clear()
            await self._arrived.wait()
        assert self._cached is not None
        return self._cached.value

    async def renew(self, failed: Secret) -> Secret:
        """The token after `failed` was refused: another program's newer one, or else a new one."""
        if self._cached is not None and self._cached.value != failed:
            return await self.current()
        return await self._read_or_issue(failed=failed)

    async def _read_or_issue(self, failed: Secret | None, *, ignore_pause: bool = False) -> Secret:
        async with self._one_at_a_time:
            if self._is_usable(self._cached, failed):
                assert self._cached is not None
                return self._cached.value
            self._cached = await self._read() if failed is None else None
            if not self._is_live(self._cached):
                self._cached = await self._issued_or_old(failed, ignore_pause=ignore_pause)
            self.is_failing = False
            self._arrived.set()
            return self._cached.value if self._cached else Secret("")

    async def _read(self) -> _CachedToken | None:
        async with self._database.connection("reading the token") as connection:
            row = await connection.fetchrow(_READ, self._key)
        return self._decrypt(row) if row else None

    async def _issued_or_old(self, failed: Secret | None, *, ignore_pause: bool) -> _CachedToken:
        """A new token; while none is to be had, one that is due for renewal is used until its end."""
        old = self._cached
        try:
            return await self._issue_locked(failed, ignore_pause=ignore_pause)
        except Unavailable:
            if old is None or old.expires_at <= self._now():
                raise
            return old

    async def _issue_locked(self, failed: Secret | None, *, ignore_pause: bool) -> _CachedToken:
        """A new token, unless another program was quicker. The row is locked while the API is asked.

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
                raise Unavailable(f"no token: {row['failure']}; asked for again in {ceil(wait)} s")
            try:
                token = await self._new()
            except (Unavailable, Unreadable) as error:
                failure: Unavailable | Unreadable = error
            else:
                sealed = self._seal.encrypt(token.value.reveal().encode())
                issued_at = self._now()
                await connection.execute(_KEEP, self._key, sealed, issued_at, token.expires_at)
                return _cache_token(token.value, issued_at, token.expires_at)
            pause = pause_after(row["failures"] + 1)
            await connection.execute(_FAIL, self._key, str(failure), pause)
        raise self._explain_failure(failure, pause)

    def _explain_failure(self, failure: Unavailable | Unreadable, pause: timedelta) -> CollectorError:
        """What a failed token call is to whoever wanted the token; an answer that is none is everybody's affair."""
        self.is_failing = True
        seconds = int(pause.total_seconds())
        logger.info("token.unavailable", key=self._key, reason=str(failure), again_in=seconds)
        if isinstance(failure, Unreadable):
            return _make_denied(failure)
        text = f"no token: {failure}; asked for again in {seconds} s"
        return Unavailable(text, code=failure.code, text=failure.text)

    async def _new(self) -> Token:
        """A new token from the API. Denied where it is refused: it would be so for every target."""
        try:
            async with asyncio.timeout(self._within):
                token = await self._issue()
        except TimeoutError:
            raise Unavailable(f"no token within {self._within:g} s") from None
        except Throttled as error:
            raise Unavailable(str(error), code=error.code, text=error.text) from error
        except (Rejected, TokenExpired) as error:
            raise _make_denied(error) from error
        self._believable(token)
        return token

    def _decrypt(self, row: Any) -> _CachedToken | None:
        """The token in the database, None if there is none or another secret key sealed it."""
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

    def _believable(self, token: Token) -> None:
        left = token.expires_at - self._now()
        if not timedelta(0) < left < LONGEST:
            raise Unreadable("the token that was issued ends in the past or in the far future")


def _cache_token(value: Secret, issued_at: datetime, expires_at: datetime) -> _CachedToken:
    return _CachedToken(value, expires_at - min(MARGIN, (expires_at - issued_at) / 10), expires_at)


def _make_denied(error: ApiError) -> Denied:
    return Denied(f"no token is to be had: {error}", code=error.code, text=error.text, hint=_NOT_ISSUED)


def _sealing_key(app_key: Secret, secret_key: Secret) -> bytes:
    salt = key_digest(app_key).encode()
    return blake2b(
        secret_key.reveal().encode(), digest_size=32, salt=salt, person=b"collector token"
    ).digest()
