"""Turns the answers of a host into findings: pure functions, one question each.

A finding has a sentence for people and facts for the program. A question without a clear answer has no fact.
"""

from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from statistics import median
from typing import NamedTuple

from collector.errors import Throttled
from collector.kiwoom.api_facts import BY_CODE, KEY_OUTLIVES_TOKEN, ORDER, RATE, SCOPE
from collector.kiwoom.learn.observations import Observations
from collector.kiwoom.protocol.error_codes import quota_in
from collector.model import Exchange, Market, Page, Target

KEY_WIDE = (1701, 1702)
"""Codes of a refusal for all calls of a key, or for a group of them."""
WHOLE = {Market.KOSPI: Target.of("KOSPI", "001", "KRX"), Market.KOSDAQ: Target.of("KOSDAQ", "101", "KRX")}
NXT = Target.of("KOSPI", "001", "NXT")
DISPUTED = (Target.of("KOSPI", "013", "KRX"), Target.of("KOSPI", "016", "KRX"))
"""Sectors with different numbers of members in different sources."""
_UNKNOWN = "not clear"


class LearnedAnswer(NamedTuple):
    """One question with its answer; `facts` are texts by name, for the table `api_fact`."""

    question: str
    answer: str
    facts: Mapping[str, str] = {}


def find_all(seen: Observations) -> list[LearnedAnswer]:
    """All findings, in the order of the questions."""
    return [find(seen) for find in QUESTIONS]


def find_rate(seen: Observations) -> LearnedAnswer:
    """The rate of ka20002. The configured rate is the highest that is tried."""
    question = "How many requests of ka20002 a second does the host grant?"
    if not seen.asked_rate:
        return LearnedAnswer(question, _UNKNOWN)
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
    return LearnedAnswer(question, f"{_UNKNOWN}: each trial met a refusal" if seen.rounds else _UNKNOWN)


def find_reissue(seen: Observations) -> LearnedAnswer:
    """What a new token does to the one before it."""
    question = "Does a new token kill the one before it?"
    trial = seen.token
    if trial is None:
        return LearnedAnswer(question, _UNKNOWN)
    if trial.is_repeated:
        return LearnedAnswer(question, "no: the same token is handed out again", {"token.reissue": "repeats"})
    if trial.old_lives is None:
        return LearnedAnswer(question, _UNKNOWN)
    if trial.old_lives:
        return LearnedAnswer(question, "no: both are accepted", {"token.reissue": "keeps"})
    return LearnedAnswer(question, "yes", {"token.reissue": "replaces"})


def find_key_and_token(seen: Observations) -> LearnedAnswer:
    """Whether a walk can go on with its next-key after a new token."""
    question = "Does a next-key outlive a new token?"
    if seen.token is None or seen.token.is_repeated or seen.token.key_outlives is None:
        reason = ": there was no other token" if seen.token and seen.token.is_repeated else ""
        return LearnedAnswer(question, f"{_UNKNOWN}{reason}")
    answer = "yes" if seen.token.key_outlives else "no"
    return LearnedAnswer(question, answer, {KEY_OUTLIVES_TOKEN: answer})


def find_key_age(seen: Observations) -> LearnedAnswer:
    """Whether a next-key outlives a minute."""
    question = "How long does a next-key live?"
    if seen.key_age is None or seen.key_lives is None:
        return LearnedAnswer(question, _UNKNOWN)
    age = f"{seen.key_age:.0f} s"
    bound = f"more than {age}" if seen.key_lives else f"less than {age}"
    return LearnedAnswer(question, bound, {"page_key.age": bound})


def find_key_shape(seen: Observations) -> LearnedAnswer:
    """The shape of the next-keys, without their values, and whether they count rows."""
    question = "What does a next-key look like?"
    pages = max(seen.walks.values(), key=len, default=())
    keys = [page.next_key for page in pages if page.next_key]
    if not keys:
        return LearnedAnswer(question, _UNKNOWN)
    shape = describe_keys(keys)
    counts = _describe_counts(pages, keys)
    text = {
        "rows_left": "it ends with the number of rows to come",
        "rows_read": "it ends with the number of rows read",
    }
    return LearnedAnswer(
        question,
        f"{shape}; {text.get(counts, 'it counts no rows')}",
        {"page_key.shape": shape, "page_key.counts": counts},
    )


def describe_keys(keys: Sequence[str]) -> str:
    """The lengths and the kinds of characters of some keys."""
    lengths = sorted({len(key) for key in keys})
    classes: list[tuple[str, Callable[[str], bool]]] = [
        ("A-Z", lambda char: "A" <= char <= "Z"),
        ("a-z", lambda char: "a" <= char <= "z"),
        ("0-9", lambda char: "0" <= char <= "9"),
        ("other characters", lambda char: not char.isalnum()),
    ]
    kinds = [name for name, is_kind in classes if any(is_kind(char) for key in keys for char in key)]
    length = f"{lengths[0]}" if len(lengths) == 1 else f"{lengths[0]} to {lengths[-1]}"
    return f"{length} characters of {', '.join(kinds)}"


def _describe_counts(pages: Sequence[Page], keys: Sequence[str]) -> str:
    """`rows_left` or `rows_read` if all keys end with that number, else `none`."""
    total = sum(page.size for page in pages)
    read = [sum(page.size for page in pages[: index + 1]) for index in range(len(keys))]
    if pages[-1].next_key is None and all(
        key.endswith(str(total - rows)) for key, rows in zip(keys, read, strict=True)
    ):
        return "rows_left"
    return (
        "rows_read" if all(key.endswith(str(rows)) for key, rows in zip(keys, read, strict=True)) else "none"
    )


def find_order(seen: Observations) -> LearnedAnswer:
    """The order of the rows of ka20002, by exchange."""
    orders = {
        exchange: "other"
        if any(list(page.rows.symbol) != sorted(page.rows.symbol) for page in pages)
        else BY_CODE
        for exchange in Exchange
        if (pages := _pages_on(seen, exchange))
    }
    answer = ", ".join(f"{exchange}: by {order}" for exchange, order in orders.items())
    answer = answer.replace("by other", "in another order")
    facts = {f"{ORDER}{exchange}": order for exchange, order in orders.items()}
    return LearnedAnswer("In which order do the rows of ka20002 come?", answer or _UNKNOWN, facts)


def _pages_on(seen: Observations, exchange: Exchange) -> list[Page]:
    return [
        page
        for target, pages in seen.walks.items()
        if target.exchange is exchange
        for page in pages
        if len(page.rows) > 1
    ]


def find_exchanges(seen: Observations) -> LearnedAnswer:
    """Which exchanges the host serves."""
    served = {target.exchange for target, pages in seen.walks.items() if any(page.size for page in pages)}
    facts = {f"exchange.{name}": "yes" for name in Exchange if name in served}
    facts |= {f"exchange.{name}": "no" for name in seen.refused_exchanges if name not in served}
    answer = ", ".join(f"{name.removeprefix('exchange.')}: {value}" for name, value in facts.items())
    return LearnedAnswer("Which exchanges does the host serve?", answer or _UNKNOWN, facts)


def find_page_size(seen: Observations) -> LearnedAnswer:
    """The rows of a full page."""
    sizes = sorted({page.size for pages in seen.walks.values() for page in pages if page.next_key})
    facts = {"page.rows": str(sizes[0])} if len(sizes) == 1 else {}
    return LearnedAnswer(
        "How many rows has a full page of ka20002?", ", ".join(map(str, sizes)) or _UNKNOWN, facts
    )


def find_members(seen: Observations) -> LearnedAnswer:
    """Whether ka10099 lists the members of 001, 101 and, by its flag, of NXT."""
    facts: dict[str, str] = {}
    for board, target in WHOLE.items():
        if board in seen.listings:
            listed = {fact.symbol for fact in seen.listings[board].facts}
            facts |= _compare_members(seen, target, f"members.{target.sector}", listed)
    if Market.KOSPI in seen.listings:
        listed = {fact.symbol for fact in seen.listings[Market.KOSPI].facts if fact.nxt}
        facts |= _compare_members(seen, NXT, "members.NXT", listed)
    answer = "; ".join(f"{name.removeprefix('members.')}: {value}" for name, value in facts.items())
    return LearnedAnswer("Does ka10099 list the members of 001, 101 and NXT?", answer or _UNKNOWN, facts)


def _compare_members(seen: Observations, target: Target, name: str, listed: set[str]) -> dict[str, str]:
    pages = seen.walks.get(target, ())
    if not pages or pages[-1].next_key is not None:
        return {}
    walked = {symbol for page in pages for symbol in page.rows.symbol}
    if walked == listed:
        return {name: f"equal ({len(walked)})"}
    return {
        name: f"{len(walked)} rows, {len(listed)} listed: {len(listed - walked)} and {len(walked - listed)} differ"
    }


def find_counts(seen: Observations) -> LearnedAnswer:
    """Whether ka20003 counts as many members as ka20002 has rows in the sectors about which sources differ."""
    facts: dict[str, str] = {}
    counts = {level.sector: level.members for page in seen.counts.values() for level in page.levels}
    for target in DISPUTED:
        pages = seen.walks.get(target, ())
        if pages and pages[-1].next_key is None and target.sector in counts:
            rows = sum(page.size for page in pages)
            facts[f"members.{target.sector}"] = f"{rows} rows, ka20003 counts {counts[target.sector]}"
    answer = "; ".join(f"{name.removeprefix('members.')}: {value}" for name, value in facts.items())
    return LearnedAnswer("How many members have 013 and 016?", answer or _UNKNOWN, facts)


def find_lag(seen: Observations) -> LearnedAnswer:
    """How far ka20003 is behind ka20002."""
    question = "How far is ka20003 behind ka20002?"
    if seen.lag is None:
        return LearnedAnswer(question, _UNKNOWN)
    if seen.lag.seconds is None:
        return LearnedAnswer(
            question, "its volume stayed behind as long as it was watched", {"counts.lag": "not seen"}
        )
    if not seen.lag.has_moved:
        return LearnedAnswer(question, f"{_UNKNOWN}: nothing traded meanwhile")
    return LearnedAnswer(
        question, f"{seen.lag.seconds:.1f} s at most", {"counts.lag": f"{seen.lag.seconds:.1f}"}
    )


def find_headers(seen: Observations) -> LearnedAnswer:
    """The headers of an answer: names, the date, and compression."""
    names = sorted({name.lower() for name, _ in seen.headers})
    if not names or seen.arrived is None:
        return LearnedAnswer("Which headers has an answer?", _UNKNOWN)
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
        return LearnedAnswer(question, _UNKNOWN)
    warm = median(seen.warm_seconds)
    facts = {"latency.warm": f"{warm:.3f}"}
    answer = f"{warm:.3f} s (median of {len(seen.warm_seconds)})"
    if seen.first_seconds is not None:
        added = max(0.0, seen.first_seconds - warm)
        facts["latency.connection"] = f"{added:.3f}"
        answer += f", and {added:.3f} s more on a new connection"
    return LearnedAnswer(question, answer, facts)


QUESTIONS: Sequence[Callable[[Observations], LearnedAnswer]] = (
    find_rate,
    find_scope,
    find_reissue,
    find_key_and_token,
    find_key_age,
    find_key_shape,
    find_order,
    find_exchanges,
    find_page_size,
    find_members,
    find_counts,
    find_lag,
    find_headers,
    find_latency,
)
