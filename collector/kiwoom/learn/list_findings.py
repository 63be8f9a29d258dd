"""Findings on the lists: order, exchanges, pages and members."""

from collector.kiwoom.api_facts import BY_CODE, ORDER
from collector.kiwoom.learn.answer import UNKNOWN, LearnedAnswer
from collector.kiwoom.learn.observations import Observations
from collector.model import Exchange, Market, Page, Target

WHOLE = {Market.KOSPI: Target.of("KOSPI", "001", "KRX"), Market.KOSDAQ: Target.of("KOSDAQ", "101", "KRX")}
NXT = Target.of("KOSPI", "001", "NXT")
DISPUTED = (Target.of("KOSPI", "013", "KRX"), Target.of("KOSPI", "016", "KRX"))
"""Sectors with different numbers of members in different sources."""


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
    return LearnedAnswer("In which order do the rows of ka20002 come?", answer or UNKNOWN, facts)


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
    return LearnedAnswer("Which exchanges does the host serve?", answer or UNKNOWN, facts)


def find_page_size(seen: Observations) -> LearnedAnswer:
    """The rows of a full page."""
    sizes = sorted({page.size for pages in seen.walks.values() for page in pages if page.next_key})
    facts = {"page.rows": str(sizes[0])} if len(sizes) == 1 else {}
    return LearnedAnswer(
        "How many rows has a full page of ka20002?", ", ".join(map(str, sizes)) or UNKNOWN, facts
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
    return LearnedAnswer("Does ka10099 list the members of 001, 101 and NXT?", answer or UNKNOWN, facts)


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
    return LearnedAnswer("How many members have 013 and 016?", answer or UNKNOWN, facts)
