"""What a simulator can be asked to be."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Everything at its default is Kiwoom's real host as documented, with a full quota and no faults."""

    host: str = "127.0.0.1"
    port: int = 0
    seed: int = 1
    mock: bool = False
    """Play the mock host: KRX only, one request a second, keys of the real host refused (8030)."""
    mock_consolidated: bool = False
    """Let the mock host answer stex_tp 3 all the same, as one source saw."""
    keys: Mapping[str, str] | None = None
    """App keys and their secret keys; None takes any."""
    quota: int | None = None
    """Requests a second for each (app key, api-id); 0 is off, None is the policy: 5, and 1 on the mock host."""
    burst: int | None = None
    """Instead of a strict window: a bucket of this many requests, refilled at the quota."""
    total: int = 0
    """Requests a second over all api-ids of a key (1701); 0 is off."""
    count_refused: bool = False
    """Whether a refused request takes a place in the window too."""
    throttle_status: Literal[200, 429] = 429
    latency: timedelta = timedelta()
    jitter: timedelta = timedelta()
    token_life: timedelta = timedelta(hours=24)
    token_rule: Literal["replace", "reuse"] = "replace"  # noqa: S105 - a rule, not a token
    """A second issuance kills the token before it, or hands the live one out again."""
    tokens: tuple[str, ...] = ()
    """The first tokens to hand out, in this order; later ones are invented."""
    keys_die_with_token: bool = False
    """Whether a next-key is worthless to another token than the one that it was given to."""
    now: datetime | None = None
    freeze: datetime | None = None
    speed: float = 1.0
    closed: bool = False
    """Today is a holiday that no calendar knows: the last session's final state stays."""
    step: timedelta = timedelta(seconds=5)
    after_market_moves: bool = False
    """Whether KRX's after-market (from 2026-09-14) moves what ka20002 shows, which nobody documents."""
    gzip: bool = False
    """Compress for clients that ask for it; off, because whether Kiwoom does is unknown."""
    faults: tuple[str, ...] = ()
    log_size: int = 65_536

    @property
    def requests_per_second(self) -> int:
        if self.quota is not None:
            return self.quota
        return 1 if self.mock else 5
