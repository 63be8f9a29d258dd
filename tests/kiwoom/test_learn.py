"""`check --learn` against the simulator: every switch for what nobody knows of the real host is recognized."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from collector.cli import bootstrap
from collector.config import ApiConfig
from collector.db.api_facts import read_api_facts, save_api_facts
from collector.db.dsn import Dsn
from collector.kiwoom.api_facts import ApiFacts
from collector.kiwoom.learn.findings import find_all
from collector.kiwoom.learn.host_findings import find_lag
from collector.kiwoom.learn.observations import LagTrial, Observations
from collector.kiwoom.learn.observe import Observer, observe
from collector.kiwoom.learn.report import write_report
from collector.kiwoom.learn.token_findings import describe_keys
from collector.model import Target
from collector.sweep.sweeper import Collector
from kiwoom_simulator import Options, Simulator
from tests.support.harness import APP_KEY, OPEN, SECRET_KEY, STILL, collecting, fetch

PLAIN: dict[str, Any] = {"quota": 0, "freeze": OPEN}
EXTENDED = pytest.mark.extended
RATE = 4
"""Requests a second of each call that a trial sends: so few that a machine ten times slower exceeds a quota, too."""


async def learn(
    database: Dsn, *, rate: int = 0, key_age: float = 0.2, longest: float = 600, **options: Any
) -> dict[str, str]:
    """The facts of one run against a simulator with these options."""
    async with (
        Simulator(Options(**options)) as simulator,
        collecting(database, simulator.url, requests_per_second=rate, timeout="20s") as collector,
    ):
        seen = await observe(collector.kiwoom, rate, key_age=key_age, lag_watched=0.5, longest=longest)
        return {name: value for finding in find_all(seen) for name, value in finding.facts.items()}


@pytest.mark.extended
async def test_a_plain_host_answers_every_question_but_that_of_the_lag(database: Dsn) -> None:
    facts = await learn(database, **PLAIN)
    varying = ("latency.warm", "latency.connection", "latency.range", "header.names", "page_key.age")
    assert facts | dict.fromkeys(varying, "") == {
        "quota.ka20002": "5",
        "quota.scope": "call",
        "token.reissue": "replaces",
        "token.life": "24.0 h",
        "session.day": "2026-11-20",
        "page_key.outlives_token": "yes",
        "page_key.age": "",
        "page_key.shape": "33 characters of A-Z, 0-9",
        "page_key.counts": "none",
        "order.KRX": "code",
        "order.NXT": "code",
        "order.CONSOLIDATED": "code",
        "exchange.KRX": "yes",
        "exchange.NXT": "yes",
        "exchange.CONSOLIDATED": "yes",
        "page.rows": "100",
        "members.001": "equal (2477)",
        "members.101": "equal (1821)",
        "members.NXT": "equal (350)",
        "members.013": "81 rows, ka20003 counts 81",
        "members.016": "62 rows, ka20003 counts 62",
        "header.names": "",
        "header.date": "right",
        "header.gzip": "no",
        "latency.warm": "",
        "latency.connection": "",
        "latency.range": "",
    }


@pytest.mark.extended
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param(
            {"token_rule": "reuse", "counting_keys": True, "gzip": True, "faults": ("wrong_date",)},
            {
                "token.reissue": "repeats",
                "page_key.counts": "rows_left",
                "header.gzip": "yes",
                "header.date": "off",
            },
            id="token reuse, counting keys, gzip, date",
        ),
        pytest.param(
            {
                "token_rule": "keep",
                "keys_die_with_token": True,
                "token_life": timedelta(hours=6),
                "closed": True,
                "faults": ("rows_by_name", "listings_truncated:rows=3"),
            },
            {
                "token.reissue": "keeps",
                "page_key.outlives_token": "no",
                "token.life": "6.0 h",
                "session.day": "2026-11-19",
                "order.KRX": "other",
                "order.NXT": "other",
                "members.101": "1821 rows, 1818 listed: 0 and 3 differ",
            },
            id="token keep, keys die, token life, closed, order, members",
        ),
        pytest.param(
            {"mock": True, "quota": 0},
            {"exchange.KRX": "yes", "exchange.NXT": "no", "exchange.CONSOLIDATED": "no"},
            id="mock host",
        ),
        pytest.param(
            {"mock": True, "quota": 0, "mock_consolidated": True},
            {"exchange.NXT": "no", "exchange.CONSOLIDATED": "yes"},
            id="mock host with CONSOLIDATED",
        ),
    ],
)
async def test_a_switch_is_recognized(
    database: Dsn, options: dict[str, Any], expected: dict[str, str]
) -> None:
    facts = await learn(database, **{**PLAIN, **options})
    for name, value in expected.items():
        assert value in facts[name], name


@pytest.mark.extended
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({}, {"quota.ka20002": "4", "quota.scope": "call"}, id="lanes of their own"),
        pytest.param({"quota": 2}, {"quota.ka20002": "2", "quota.scope": "call"}, id="a lower rate"),
        pytest.param(
            {"quota": 2, "throttle_status": 200},
            {"quota.ka20002": "2", "quota.scope": "call"},
            id="as HTTP 200",
        ),
        pytest.param(
            {"total": 5},
            {"quota.ka20002": "4", "quota.scope": "key", "quota.total": "5"},
            id="one quota for all calls",
        ),
        pytest.param(
            {"total": 3},
            {"quota.ka20002": "3", "quota.scope": "key", "quota.total": "3"},
            id="a low total",
        ),
    ],
)
async def test_the_quota_and_its_scope_are_learned_at_the_configured_rate(
    database: Dsn, options: dict[str, Any], expected: dict[str, str]
) -> None:
    async with (
        Simulator(Options(**{"quota": RATE, "freeze": OPEN, **options})) as simulator,
        collecting(database, simulator.url, requests_per_second=RATE, timeout="20s") as collector,
    ):
        observer = Observer(collector.kiwoom, Observations(RATE), await collector.kiwoom.token())
        await observer.try_quota()
    facts = {name: value for finding in find_all(observer.seen) for name, value in finding.facts.items()}
    assert {name: facts.get(name) for name in expected} == expected
    assert ("quota.total" in facts) == ("quota.total" in expected)


@EXTENDED
async def test_a_run_within_a_quota_meets_no_refusal(database: Dsn) -> None:
    facts = await learn(database, rate=20, quota=20, freeze=OPEN)
    assert (facts["quota.ka20002"], facts["quota.scope"]) == ("20", "call")


@pytest.mark.extended
@pytest.mark.parametrize(("life", "bound"), [(0.05, "less than"), (3_600, "more than")])
async def test_the_life_of_a_next_key_is_bounded(database: Dsn, life: float, bound: str) -> None:
    # The keys of the walks are used at once, and those walks may fail on a slow machine: only the old key is judged.
    facts = await learn(database, **PLAIN, key_life=timedelta(seconds=life))
    assert facts["page_key.age"].startswith(bound)


@EXTENDED
async def test_lagging_counts_are_seen_while_the_market_moves(database: Dsn) -> None:
    options = {"quota": 0, "now": OPEN, "speed": 20.0, "faults": ("lagging_counts:seconds=3600",)}
    facts = await learn(database, **options)
    assert facts["counts.lag"] == "not seen"


@pytest.mark.parametrize(
    ("trial", "facts"),
    [
        (LagTrial(4.0, has_moved=True), {"counts.lag": "4.0"}),
        (LagTrial(0.1, has_moved=False), {}),
        (LagTrial(None, has_moved=True), {"counts.lag": "not seen"}),
    ],
)
def test_a_lag_counts_only_if_something_traded(trial: LagTrial, facts: dict[str, str]) -> None:
    assert find_lag(Observations(5, lag=trial)).facts == facts


@EXTENDED
async def test_durations_and_their_spread_are_recognized(database: Dsn) -> None:
    spread = {"latency": timedelta(milliseconds=50), "jitter": timedelta(milliseconds=60)}
    facts = await learn(database, **PLAIN, **spread)
    assert float(facts["latency.warm"]) >= 0.05
    shortest, longest = map(float, facts["latency.range"].split(" to "))
    assert longest - shortest > 0.02


@pytest.mark.extended
async def test_an_opened_connection_is_told_from_a_warm_one(database: Dsn) -> None:
    facts = await learn(database, **PLAIN, latency="real", longest=10)
    assert float(facts["latency.warm"]) >= 0.37
    assert float(facts["latency.connection"]) > 0.3


@pytest.mark.extended
async def test_a_run_ends_in_time_with_what_it_has(database: Dsn) -> None:
    async with (
        Simulator(Options(**PLAIN, faults=("stall_body:api=ka10099",))) as simulator,
        collecting(database, simulator.url) as collector,
    ):
        async with asyncio.timeout(600):
            seen = await observe(collector.kiwoom, 0, key_age=3_600, lag_watched=0.1, longest=5)
    answers = {finding.question: finding.facts for finding in find_all(seen)}
    assert answers["Does each call have a quota of its own?"] == {"quota.scope": "call"}
    assert answers["Does a new token kill the one before it?"] == {}


def test_the_shape_of_keys_shows_no_value() -> None:
    assert describe_keys(["NABC12", "NABD13"]) == "6 characters of A-Z, 0-9"
    assert describe_keys(["a=", "bcd="]) == "2 to 4 characters of a-z, other characters"


@pytest.mark.extended
async def test_the_report_holds_no_secret_and_no_next_key(database: Dsn) -> None:
    async with (
        Simulator(Options(**PLAIN, tokens=("t0ken-first", "t0ken-second"))) as simulator,
        collecting(database, simulator.url) as collector,
    ):
        seen = await observe(collector.kiwoom, 0, key_age=0.1, lag_watched=0.1)
        keys = [page.next_key for pages in seen.walks.values() for page in pages if page.next_key]
        report = write_report("host", OPEN, 1, find_all(seen))
    assert len(keys) > 40
    for secret in (APP_KEY, SECRET_KEY, "t0ken-first", "t0ken-second", collector.kiwoom.key_digest, *keys):
        assert secret not in report


BOOKED = "SELECT api_id, count(*) FROM collector.place WHERE booked GROUP BY api_id ORDER BY api_id"
SECTOR = Target.of("KOSPI", "027", "KRX")
"""Six pages."""


@asynccontextmanager
async def knowing(
    database: Dsn, facts: Mapping[str, str], *, rate: int = 0, scope: str = "learned", **options: Any
) -> AsyncIterator[tuple[Simulator, Collector]]:
    """A collector that has learned these facts about its host."""
    async with Simulator(replace(STILL, **options)) as simulator:
        async with collecting(database, simulator.url, SECTOR) as collector:
            await save_api_facts(collector.store.database, urlsplit(simulator.url).netloc, facts)
        api = {"requests_per_second": rate, "scope": scope}
        async with collecting(database, simulator.url, SECTOR, **api) as collector:
            yield simulator, collector


@pytest.mark.parametrize(
    ("facts", "written", "lanes"),
    [
        ({"quota.scope": "key"}, "learned", [("ka20002", 1)]),
        ({"quota.scope": "call"}, "learned", [("ka20003", 1)]),
        ({}, "learned", [("ka20003", 1)]),
        ({"quota.scope": "call"}, "key", [("ka20002", 1)]),
        ({"quota.scope": "key"}, "call", [("ka20003", 1)]),
        ({}, "key", [("ka20002", 1)]),
    ],
)
async def test_the_scope_decides_in_which_lane_a_call_counts(
    database: Dsn, facts: dict[str, str], written: str, lanes: list[tuple[str, int]]
) -> None:
    async with (
        knowing(database, facts, rate=5, scope=written) as (_, collector),
        collector.kiwoom._rate_limiter.acquire("ka20003"),
    ):
        assert await fetch(database, BOOKED) == lanes


async def test_a_learned_rate_lowers_the_configured_one(database: Dsn) -> None:
    async with (
        knowing(database, {"quota.ka20002": "2"}, rate=5) as (_, collector),
        collector.kiwoom._rate_limiter.acquire("ka20002"),
    ):
        assert await fetch(database, "SELECT count(*) FROM collector.place") == [(2,)]


@pytest.mark.parametrize(("answer", "pages"), [("yes", 7), ("no", 8)])
async def test_a_walk_goes_on_with_its_page_if_a_next_key_outlives_a_token(
    database: Dsn, answer: str, pages: int
) -> None:
    facts = {"page_key.outlives_token": answer}
    async with knowing(database, facts, faults=("token_8005:page=2,times=1",)) as (_, collector):
        sweep = await collector.sweep(OPEN, "all", [SECTOR])
    [outcome] = sweep.outcomes
    # Six pages and the refused request; from the first page again without the fact.
    assert (outcome.status, outcome.attempts) == ("complete", pages)


@pytest.mark.parametrize(
    ("facts", "remarks"), [({"order.KRX": "code"}, ("page_order",)), ({"order.KRX": "other"}, ()), ({}, ())]
)
async def test_an_unsorted_page_is_suspect_only_on_a_host_that_sorts(
    database: Dsn, facts: dict[str, str], remarks: tuple[str, ...]
) -> None:
    async with knowing(database, facts, faults=("rows_by_name",)) as (_, collector):
        sweep = await collector.sweep(OPEN, "all", [SECTOR])
    assert sweep.outcomes[0].remarks == remarks


async def test_facts_are_kept_by_host_and_replaced(database: Dsn) -> None:
    async with collecting(database, "http://127.0.0.1:9") as collector:
        held = collector.store.database
        await save_api_facts(held, "a", {"x": "1", "y": "2"})
        await save_api_facts(held, "a", {"x": "3"})
        assert await read_api_facts(held, "a") == {"x": "3", "y": "2"}
        assert await read_api_facts(held, "b") == {}


@pytest.mark.parametrize(
    ("host", "configured", "learned", "rate"),
    [
        ("api.kiwoom.com", 5, None, 5), ("api.kiwoom.com", 5, 3, 3), ("api.kiwoom.com", 2, 5, 2),
        ("mockapi.kiwoom.com", 5, None, 1), ("mockapi.kiwoom.com", 5, 2, 2),
    ],
)  # fmt: skip
def test_each_host_begins_with_the_rate_that_is_known_of_it(
    host: str, configured: int, learned: int | None, rate: int
) -> None:
    api = ApiConfig(base_url=f"https://{host}", requests_per_second=configured)
    assert bootstrap.rate_of(api, ApiFacts(rate=learned)) == rate


def test_facts_without_sense_are_passed_over() -> None:
    odd = {
        "quota.scope": "moon",
        "quota.ka20002": "many",
        "page_key.outlives_token": "perhaps",
        "order.KRX": "x",
    }
    assert ApiFacts.from_texts(odd) == ApiFacts()
