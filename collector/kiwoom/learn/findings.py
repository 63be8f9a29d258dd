"""Turns the answers of a host into findings: pure functions, one question each.

A finding has a sentence for people and facts for the program.
"""

from collections.abc import Callable, Sequence

from collector.kiwoom.learn.answer import LearnedAnswer
from collector.kiwoom.learn.host_findings import find_headers, find_lag, find_latency, find_session
from collector.kiwoom.learn.list_findings import (
    find_counts,
    find_exchanges,
    find_members,
    find_order,
    find_page_size,
)
from collector.kiwoom.learn.observations import Observations, RefusalTrial
from collector.kiwoom.learn.quota_findings import (
    find_burst,
    find_counting,
    find_moment,
    find_rate,
    find_refusal,
    find_scope,
)
from collector.kiwoom.learn.token_findings import (
    find_key_age,
    find_key_and_token,
    find_key_shape,
    find_reissue,
    find_token_life,
)

QUESTIONS: Sequence[Callable[[Observations], LearnedAnswer]] = (
    find_rate,
    find_scope,
    find_reissue,
    find_token_life,
    find_key_and_token,
    find_key_age,
    find_key_shape,
    find_order,
    find_exchanges,
    find_page_size,
    find_members,
    find_counts,
    find_session,
    find_lag,
    find_headers,
    find_latency,
)
PROVOKED: Sequence[Callable[[RefusalTrial], LearnedAnswer]] = (
    find_refusal,
    find_burst,
    find_counting,
    find_moment,
)
"""Questions that only refusals answer."""


def find_all(seen: Observations) -> list[LearnedAnswer]:
    """All findings, in the order of the questions."""
    findings = [find(seen) for find in QUESTIONS]
    trial = seen.refusal
    return findings + ([find(trial) for find in PROVOKED] if trial is not None else [])
