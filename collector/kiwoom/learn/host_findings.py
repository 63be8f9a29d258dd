"""Findings on the host itself: session, lag, headers and durations."""

from email.utils import parsedate_to_datetime
from statistics import median, quantiles

from collector.kiwoom.learn.answer import UNKNOWN, LearnedAnswer
from collector.kiwoom.learn.observations import Observations

_ENOUGH_PAGES = 20
"""Pages from which on the shortest and the longest twentieth say something."""


def find_session(seen: Observations) -> LearnedAnswer:
    """Whether the host shows the session of today."""
    question = "Of which day is the session shown?"
    if seen.session is None or seen.arrived is None:
        return LearnedAnswer(question, UNKNOWN)
    day = seen.session.isoformat()
    return LearnedAnswer(question, day, {"session.day": day})


def find_lag(seen: Observations) -> LearnedAnswer:
    """How far ka20003 is behind ka20002."""
    question = "How far is ka20003 behind ka20002?"
    if seen.lag is None:
        return LearnedAnswer(question, UNKNOWN)
    if seen.lag.seconds is None:
        return LearnedAnswer(
            question, "its volume stayed behind as long as it was watched", {"counts.lag": "not seen"}
        )
    if not seen.lag.has_moved:
        return LearnedAnswer(question, f"{UNKNOWN}: nothing traded meanwhile")
    return LearnedAnswer(
        question, f"{seen.lag.seconds:.1f} s at most", {"counts.lag": f"{seen.lag.seconds:.1f}"}
    )


def find_headers(seen: Observations) -> LearnedAnswer:
    """The headers of an answer: names, the date, and compression."""
    names = sorted({name.lower() for name, _ in seen.headers})
    if not names or seen.arrived is None:
        return LearnedAnswer("Which headers has an answer?", UNKNOWN)
    facts = {"header.names": " ".join(names)}
    shown = next((value for name, value in seen.headers if name.lower() == "date"), "")
    try:
        difference = abs((parsedate_to_datetime(shown) - seen.arrived).total_seconds())
        facts["header.date"] = "right" if difference < 60 else f"{difference:.0f} s off"
    except (TypeError, ValueError):
        facts["header.date"] = "none"
    if seen.gzip is not None:
        facts["header.gzip"] = "yes" if seen.gzip else "no"
    answer = f"{', '.join(names)}; Date {facts['header.date']}; compressed on request: {facts.get('header.gzip', '?')}"
    return LearnedAnswer("Which headers has an answer?", answer, facts)


def find_latency(seen: Observations) -> LearnedAnswer:
    """The duration of a call on an open connection, and what a new connection adds."""
    question = "How long does a call take?"
    if not seen.warm_seconds:
        return LearnedAnswer(question, UNKNOWN)
    warm = median(seen.warm_seconds)
    facts = {"latency.warm": f"{warm:.3f}"}
    answer = f"{warm:.3f} s (median of {len(seen.warm_seconds)})"
    if seen.first_seconds is not None:
        added = max(0.0, seen.first_seconds - warm)
        facts["latency.connection"] = f"{added:.3f}"
        answer += f", and {added:.3f} s more on a new connection"
    if len(seen.page_seconds) >= _ENOUGH_PAGES:
        twentieths = quantiles(seen.page_seconds, n=20)
        facts["latency.range"] = f"{twentieths[0]:.3f} to {twentieths[-1]:.3f}"
        answer += f"; pages of ka20002 {facts['latency.range']} s (5 % to 95 %)"
    return LearnedAnswer(question, answer, facts)
