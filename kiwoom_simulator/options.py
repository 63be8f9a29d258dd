"""The options of the simulator."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

MOCK_BURST = 2
"""Requests that the mock host grants at once (public clients, 2026)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The defaults are Kiwoom's documented real host, with its full quota and without faults."""

    host: str = "127.0.0.1"
    port: int = 0
    seed: int = 1
    mock: bool = False
    """Imitate the mock host: KRX only, one request a second (two at once), keys of the real host refused (8030)."""
    mock_consolidated: bool = False
    """Let the mock host answer stex_tp 3 all the same; one source reports it."""
    keys: Mapping[str, str] | None = None
    """App keys and their secret keys; None accepts any."""
    quota: int | None = None
    """Requests a second for each (app key, api-id). 0 turns it off. None is the policy: 5, and 1 on the mock
    host.
    """
    burst: int | None = None
    """A bucket of this many requests, refilled at the quota, instead of a strict window. 0: a strict window. None is
    the policy: a strict window, and a bucket of 2 at the mock host's own quota.
    """
    total: int = 0
    """Requests a second over all api-ids of a key (1701); 0 turns it off."""
    count_refused: bool = False
    """True if refused requests count in the window, too."""
    throttle_status: Literal[200, 429] = 429
    count: Literal["before", "middle", "after"] = "middle"
    """The moment at which the quota counts a request: before the round trip's work, half way, or after it."""
    latency: timedelta | Literal["real"] = timedelta()
    """The round trip; `real`: the durations of the real host, new connections included."""
    jitter: timedelta = timedelta()
    token_life: timedelta = timedelta(hours=24)
    token_rule: Literal["replace", "reuse", "keep"] = "replace"  # noqa: S105 - a rule, not a token
    """`replace`: a new token kills the previous one. `reuse`: the live token is handed out again. `keep`: both live."""
    tokens: tuple[str, ...] = ()
    """The first tokens to hand out, in this order; later tokens are generated."""
    tokens_ahead: timedelta = timedelta()
    """The time by which the tokens' clock is ahead of this machine's, for a client whose wall clock is, too."""
    keys_die_with_token: bool = False
    """True if a next-key is valid only with the token of its page."""
    key_life: timedelta | None = None
    """The age at which a next-key is refused; None: never."""
    counting_keys: bool = False
    """True if a next-key ends with the number of rows still to come, as those of ka10079 do."""
    now: datetime | None = None
    freeze: datetime | None = None
    speed: float = 1.0
    closed: bool = False
    """Today is a holiday absent from every calendar: the final state of the last session stays."""
    step: timedelta = timedelta(seconds=5)
    after_market_moves: bool = False
    """True if KRX's after-market (from 2026-09-14) moves the prices of ka20002; this is undocumented."""
    gzip: bool = False
    """Compress for clients with Accept-Encoding. Off by default: Kiwoom's behaviour is unknown."""
    faults: tuple[str, ...] = ()
    log_size: int = 65_536

    @property
    def requests_per_second(self) -> int:
        if self.quota is not None:
            return self.quota
        return 1 if self.mock else 5

    @property
    def bucket_size(self) -> int:
        """Requests at once by a bucket; 0: a strict window judges."""
        if self.burst is not None:
            return self.burst
        return MOCK_BURST if self.mock and self.quota is None else 0
