"""Tells by which rule a host counts requests: pure functions of sent requests and their answers.

Each rule that a host may have is compared with the requests of a trial. A request contradicts a rule if the rule could
not have granted it, or could not have refused it. The moment of the count is known up to `GRAIN` seconds.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

Moment = Literal["before", "middle", "after"]
"""Whether a request counts before the work of its round trip, half way, or after it."""
GRAIN = 0.02
"""Seconds between the count and its estimate: the network, and a busy machine at either end."""
DOUBT = 1
"""Contradictions beyond those of the best rule with which a rule is still possible."""
LEAST_SPREAD = 3 * GRAIN
"""Seconds by which round trips must differ for the moment of the count to be told."""
MOST_BURST = 40
WINDOW = 1.0
_SHARES: dict[Moment, float] = {"before": 0.0, "middle": 0.5, "after": 1.0}


class SentRequest(NamedTuple):
    """One request of a trial: seconds of one clock at which it was sent and its answer began."""

    sent: float
    answered: float
    is_refused: bool

    @property
    def seconds(self) -> float:
        return self.answered - self.sent


Round = Sequence[SentRequest]
"""Requests with a pause before the first one, long enough that no earlier request counts."""


class QuotaRule(NamedTuple):
    """How a host may count. `burst` is the size of a bucket that fills at the quota; 0: a strict second.

    `counts_refused`: a refused request counts in the strict second, too.
    """

    moment: Moment
    burst: int = 0
    counts_refused: bool = False


class _Count(NamedTuple):
    at: float
    is_refused: bool


def all_rules(quota: int) -> list[QuotaRule]:
    """All rules that can be told apart. A bucket of one request at one a second is a strict second."""
    moments: Sequence[Moment] = get_args(Moment)
    smallest = 2 if quota == 1 else 1
    return [
        *(QuotaRule(moment, 0, counts) for moment in moments for counts in (False, True)),
        *(QuotaRule(moment, burst) for moment in moments for burst in range(smallest, MOST_BURST + 1)),
    ]


def possible_rules(rounds: Sequence[Round], quota: int) -> list[QuotaRule]:
    """The rules that the rounds leave over; none without a refusal."""
    if not any(request.is_refused for requests in rounds for request in requests):
        return []
    by_round = [_contradictions(tuple(requests), quota) for requests in rounds]
    contradictions = [sum(counts) for counts in zip(*by_round, strict=True)]
    most = min(contradictions) + DOUBT
    return [rule for rule, count in zip(all_rules(quota), contradictions, strict=True) if count <= most]


@lru_cache(256)
def _contradictions(requests: tuple[SentRequest, ...], quota: int) -> Sequence[int]:
    """The contradictions of a round, by rule. Cached, because each round is judged again after every later one."""
    return [count_contradictions(rule, requests, quota) for rule in all_rules(quota)]


def count_contradictions(rule: QuotaRule, requests: Round, quota: int) -> int:
    """How many requests of a round the rule cannot have granted, or cannot have refused."""
    share = _SHARES[rule.moment]
    counts = sorted(_Count(each.sent + share * each.seconds, each.is_refused) for each in requests)
    contradicts = _contradicts_bucket if rule.burst else _contradicts_window
    return sum(contradicts(rule, counts, index, quota) for index in range(len(counts)))


def _contradicts_window(rule: QuotaRule, counts: Sequence[_Count], index: int, quota: int) -> bool:
    """Whether the strict second before a request was certainly full, or certainly not full, against its answer."""
    at, is_refused = counts[index]
    others = [
        (rank, other.at)
        for rank, other in enumerate(counts)
        if rank != index and (rule.counts_refused or not other.is_refused)
    ]
    if is_refused:
        return sum(at - WINDOW - GRAIN < other <= at + GRAIN for _, other in others) < quota
    certain = sum(rank < index and other > at - WINDOW + GRAIN for rank, other in others)
    # Refused requests of the same moment may have come after this one.
    if rule.counts_refused:
        certain -= sum(
            other.is_refused and rank < index and other.at > at - GRAIN for rank, other in enumerate(counts)
        )
    return certain >= quota


def _contradicts_bucket(rule: QuotaRule, counts: Sequence[_Count], index: int, quota: int) -> bool:
    """Whether the bucket certainly held a request, or certainly did not, against the answer."""
    at, is_refused = counts[index]
    if is_refused:
        grants = [
            min(other.at, at - GRAIN) for other in counts if not other.is_refused and other.at <= at + GRAIN
        ]
        return _fill(rule.burst, quota, grants, at - GRAIN) >= 1
    grants = [other.at for other in counts[:index] if not other.is_refused]
    return _fill(rule.burst, quota, grants, at + GRAIN) < 1


def _fill(burst: int, quota: int, grants: Iterable[float], at: float) -> float:
    """The requests in a bucket at a moment, after these grants."""
    level, last = float(burst), None
    for grant in grants:
        level = level - 1 if last is None else min(burst, level + (grant - last) * quota) - 1
        last = grant
    return level if last is None else min(burst, level + (at - last) * quota)


def agreed_burst(rules: Sequence[QuotaRule]) -> int | None:
    """The size of the bucket on which all rules agree, 0 for a strict second; None if they do not."""
    sizes = {rule.burst for rule in rules}
    return sizes.pop() if len(sizes) == 1 else None


def agreed_moment(rules: Sequence[QuotaRule]) -> Moment | None:
    """The moment of the count on which all rules agree."""
    moments = {rule.moment for rule in rules}
    return moments.pop() if len(moments) == 1 else None


def agreed_counting(rules: Sequence[QuotaRule]) -> bool | None:
    """Whether refused requests count, if all rules agree; None also for a bucket, in which they never do."""
    answers = {rule.counts_refused for rule in rules}
    return answers.pop() if len(answers) == 1 and agreed_burst(rules) == 0 else None


def spread(rounds: Sequence[Round]) -> float:
    """Seconds by which round trips differ, without the tenth at either end: without a spread no moment shows."""
    seconds = sorted(request.seconds for requests in rounds for request in requests)
    tenth = len(seconds) // 10
    return seconds[-1 - tenth] - seconds[tenth] if seconds else 0.0


def is_settled(rounds: Sequence[Round], rules: Sequence[QuotaRule]) -> bool:
    """Whether more rounds would tell nothing new."""
    burst = agreed_burst(rules)
    is_counting_known = burst != 0 or agreed_counting(rules) is not None
    is_moment_known = agreed_moment(rules) is not None or spread(rounds) < LEAST_SPREAD
    return burst is not None and is_counting_known and is_moment_known
