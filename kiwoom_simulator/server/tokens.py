"""App keys and their tokens. Both token rules reported for the real server are available."""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b, sha256
from typing import Literal

_PATIENCE = 60.0
"""Seconds after a wrong key. Another wrong attempt with the same key within them is refused as a flood."""


@dataclass(frozen=True, slots=True)
class IssuedToken:
    text: str
    app_key: str
    expires: datetime


@dataclass
class IssuedTokens:
    """The live tokens. `issued` counts issuances, including repeated hand-outs of the same token."""

    keys: Mapping[str, str] | None
    life: timedelta
    rule: Literal["replace", "reuse", "keep"]
    seed: int
    given: Sequence[str] = ()
    issued: int = 0
    _live: dict[str, IssuedToken] = field(default_factory=dict)
    _current: dict[str, IssuedToken] = field(default_factory=dict)
    _wrong_at: dict[str, float] = field(default_factory=dict)

    def knows(self, app_key: str, secret: str) -> bool:
        if self.keys is None:
            return True
        expected = self.keys.get(app_key)
        return expected is not None and hmac.compare_digest(expected.encode(), secret.encode())

    def is_flooding(self, app_key: str, at: float) -> bool:
        """Record a wrong key; True if the same key was wrong less than `_PATIENCE` seconds ago."""
        before = self._wrong_at.get(app_key)
        self._wrong_at[app_key] = at
        return before is not None and at - before < _PATIENCE

    def issue(self, app_key: str, now: datetime) -> IssuedToken:
        self.issued += 1
        current = self._current.get(app_key)
        if current is not None and self.rule == "reuse" and self.holder(current.text, now) is not None:
            return current
        if current is not None and self.rule != "keep":
            self._live.pop(current.text, None)
        token = IssuedToken(self._text(app_key), app_key, now + self.life)
        self._live[token.text] = self._current[app_key] = token
        return token

    def _text(self, app_key: str) -> str:
        if self.issued <= len(self.given):
            return self.given[self.issued - 1]
        return blake2b(f"{self.seed}/{app_key}/{self.issued}".encode(), digest_size=48).hexdigest()

    def holder(self, text: str, now: datetime) -> IssuedToken | None:
        """The live token with this text; None if it is unknown, revoked or expired."""
        token = self._live.get(text)
        return token if token is not None and now < token.expires else None

    def revoke(self, text: str) -> None:
        self._live.pop(text, None)

    def expire(self) -> int:
        """Revoke every live token; returns their number."""
        killed = len(self._live)
        self._live.clear()
        return killed


def digest(app_key: str) -> str:
    """The name of an app key in logs."""
    return sha256(app_key.encode()).hexdigest()[:12]
