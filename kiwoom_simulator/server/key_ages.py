"""The age of each next-key, for a server that forgets them."""

import time
from dataclasses import dataclass, field
from datetime import timedelta


@dataclass
class KeyAges:
    """Knows when each next-key was issued, if keys have a life. Without one nothing is kept."""

    life: timedelta | None
    _issued_at: dict[str, float] = field(default_factory=dict)

    def note(self, key: str) -> None:
        """Record a key as issued now."""
        if self.life is not None:
            self._issued_at[key] = time.monotonic()

    def is_expired(self, key: str) -> bool:
        """Whether a key is older than the life of keys; "" is no key."""
        if self.life is None or not key:
            return False
        age = time.monotonic() - self._issued_at.get(key, float("-inf"))
        return age > self.life / timedelta(seconds=1)
