"""Findings on the quota: rate, scope, and what a refusal shows."""

from collections.abc import Sequence
from statistics import median

from collector.errors import Throttled
from collector.kiwoom.api_facts import RATE, SCOPE
from collector.kiwoom.learn.answer import UNKNOWN, LearnedAnswer
from collector.kiwoom.learn.observations import Observations, RefusalTrial
from collector.kiwoom.learn.quota_rules import (
    LEAST_SPREAD,
    agreed_burst,
    agreed_counting,
    agreed_moment,
    spread,
)
from collector.kiwoom.protocol.error_codes import KEY_WIDE, quota_in


def find_rate(seen: Observations) -> LearnedAnswer:
    """The rate of ka20002. The configured rate is the highest that is tried."""
    question = "How many requests of ka20002 a second does the host grant?"
    if not seen.asked_rate:
        return LearnedAnswer(question, UNKNOWN)
    if seen.granted is not None:
        return LearnedAnswer(question, f"{seen.granted}, as a refusal says", {RATE: str(seen.granted)})
    if seen.refusals and all(error.code in KEY_WIDE for error in seen.refusals):
        rate = min(seen.asked_rate, total_in(seen.refusals) or seen.asked_rate)
        return LearnedAnswer(question, f"{rate} at most, together with all other calls", {RATE: str(rate)})
    if seen.refusals:
        return LearnedAnswer(question, f"fewer than {seen.asked_rate}: a refusal named no number")
    text = f"at least {seen.asked_rate}: all were answered, and more were not sent"
    return LearnedAnswer(question, text, {RATE: str(seen.asked_rate)})


def total_in(refusals: Sequence[Throttled]) -> int | None:
    """The lowest rate for all calls together that refusals name; None if none does."""
    totals = [quota_in(error.text) for error in refusals if error.code in KEY_WIDE]
    return min([total for total in totals if total is not None], default=None)


def find_scope(seen: Observations) -> LearnedAnswer:
    """Whether each call has a quota of its own: two calls were sent at the full rate at the same time."""
    question = "Does each call have a quota of its own?"
    wide = [error for error in seen.refusals if error.code in KEY_WIDE]
    if wide:
        total = total_in(wide)
        facts = {SCOPE: "key"} | ({"quota.total": str(total)} if total is not None else {})
        return LearnedAnswer(
            question, f"no: a refusal names {total or 'a'} a second for all calls of the key", facts
        )
    if seen.rounds and seen.rounds_refused < seen.rounds:
        text = f"yes: {seen.asked_rate} a second of ka20002 and of ka20003 were answered at the same time"
        return LearnedAnswer(question, text, {SCOPE: "call"})
    return LearnedAnswer(question, f"{UNKNOWN}: each trial met a refusal" if seen.rounds else UNKNOWN)


def find_refusal(trial: RefusalTrial) -> LearnedAnswer:
    """Status, return code and duration of a refusal."""
    question = "What does a refusal for quota look like?"
    if trial.status is None:
        reason = (
            f": {trial.ended_by}" if trial.ended_by else f": {trial.quota} a second and more were granted"
        )
        return LearnedAnswer(question, UNKNOWN + reason)
    facts = {"refusal.status": str(trial.status), "refusal.return_code": str(trial.return_code)}
    times = {
        is_refused: [each.seconds for each in requests if each.is_refused is is_refused]
        for requests in [[request for requests in trial.rounds for request in requests]]
        for is_refused in (False, True)
    }
    text = f"HTTP {trial.status} with return_code {trial.return_code}"
    if times[True] and times[False]:
        facts["latency.refusal"] = f"{median(times[True]):.3f}"
        text += f"; it takes {median(times[True]):.3f} s, an answer {median(times[False]):.3f} s"
    return LearnedAnswer(question, text, facts)


def find_burst(trial: RefusalTrial) -> LearnedAnswer:
    """Whether the host judges by a strict second or by a bucket."""
    question = "How many requests may come at once?"
    burst = agreed_burst(trial.rules)
    if burst is None:
        return LearnedAnswer(question, UNKNOWN)
    if burst:
        text = f"{burst}, and {trial.quota} a second after that"
        return LearnedAnswer(question, text, {"quota.burst": str(burst)})
    return LearnedAnswer(question, f"{trial.quota} in any second", {"quota.burst": "none"})


def find_counting(trial: RefusalTrial) -> LearnedAnswer:
    """Whether a refused request takes a place in the second."""
    question = "Does a refused request count?"
    counts = agreed_counting(trial.rules)
    if counts is None:
        return LearnedAnswer(question, "no, as from a bucket" if agreed_burst(trial.rules) else UNKNOWN)
    answer = "yes" if counts else "no"
    return LearnedAnswer(question, answer, {"quota.counts_refused": answer})


def find_moment(trial: RefusalTrial) -> LearnedAnswer:
    """The moment of a round trip at which a request counts."""
    question = "When does a request count?"
    moment = agreed_moment(trial.rules)
    if moment is None:
        is_even = bool(trial.rounds) and spread(trial.rounds) < LEAST_SPREAD
        return LearnedAnswer(question, f"{UNKNOWN}: all answers take as long" if is_even else UNKNOWN)
    texts = {
        "before": "before its work",
        "middle": "in the middle of its round trip",
        "after": "after its work",
    }
    return LearnedAnswer(question, texts[moment], {"quota.count_moment": moment})
