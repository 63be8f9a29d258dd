"""The facts about a host, learned by `collector check --learn`, that change the program's behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self, get_args

from collector.ratelimit.limiter import QuotaScope

RATE, SCOPE = "quota.ka20002", "quota.scope"
KEY_OUTLIVES_TOKEN = "page_key.outlives_token"  # noqa: S105 - the name of a fact
ORDER = "order."
"""Followed by an exchange: the order of the rows of ka20002 on it."""
BY_CODE = "code"


@dataclass(frozen=True)
class ApiFacts:
    """Learned facts of one host. The defaults stand for a host of which nothing is known."""

    scope: QuotaScope | None = None
    rate: int | None = None
    """Requests of ka20002 a second."""
    keys_outlive_token: bool = False
    sorted_exchanges: frozenset[str] = frozenset()
    """Exchanges with the rows of each page in the order of codes."""

    @classmethod
    def from_texts(cls, texts: Mapping[str, str]) -> Self:
        """Read the facts of a host; a text that says nothing to this program is passed over."""
        scope = next((scope for scope in get_args(QuotaScope) if texts.get(SCOPE) == scope), None)
        rate = texts.get(RATE, "")
        return cls(
            scope,
            int(rate) if rate.isascii() and rate.isdigit() and int(rate) else None,
            texts.get(KEY_OUTLIVES_TOKEN) == "yes",
            frozenset(
                name.removeprefix(ORDER)
                for name, value in texts.items()
                if name.startswith(ORDER) and value == BY_CODE
            ),
        )

    def override_scope(self, setting: str) -> Self:
        """The facts with the scope of the configuration; any other word than a scope leaves them as they are."""
        scope = next((scope for scope in get_args(QuotaScope) if setting == scope), None)
        return replace(self, scope=scope) if scope else self

    def limit_rate(self, configured: int) -> int:
        """The configured rate, or the learned one if that is lower; 0 stays without a limit."""
        return min(configured, self.rate) if self.rate else configured
