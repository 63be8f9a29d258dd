"""The one path from a slot to committed rows: healthy, and under every fault that the simulator can play."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from collector.db import Connection
from collector.db.database import Database
from collector.db.dsn import Dsn
from collector.db.pool import connect
from collector.errors import CollectorError, Denied, StoreError
from collector.kiwoom.transport import RESTING
from collector.model import Certificate, Outcome, Remark, Status, Target
from kiwoom_simulator import Simulator
from kiwoom_simulator.faults import FAULTS
from tests.support.harness import (
    OPEN,
    STILL,
    as_stored,
    collecting,
    execute,
    fetch,
    fetch_walk,
    opened_database,
    reading,
    snapshots,
    stored,
)
from tests.support.postgres_server import Server
from tests.support.tcp_proxy import proxied

BENT = Target.of("KOSDAQ", "139", "KRX")
"""Three pages: 100, 100 and 99 rows."""
SOUND = Target.of("KOSPI", "020", "KRX")
EARLIER = OPEN - timedelta(minutes=5)
EXTENDED = pytest.mark.extended
AT_ONCE = 8
"""Sweeps side by side: enough for the waiting of some to be the work of others."""

Rows = Mapping[Target, list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Played:
    """What a sweep under faults came to: the error that ended it, the ledger, the rows as stored and as served."""

    error: CollectorError | None
    ledger: Mapping[Target, Outcome]
    rows: Rows
    served: Rows
    tokens: int
    requests: int
    quarantined: int

    def end(self, target: Target) -> str:
        """How a target ended, as the tables below have it."""
        if self.error is not None:
            return type(self.error).__name__.lower()
        outcome = self.ledger[target]
        return " ".join([outcome.status, *outcome.remarks, outcome.error.partition(":")[0]]).strip()


@dataclass(frozen=True)
class Lane:
    """A database in which both targets have a good walk of the same day, and what reads and cleans it.

    Its sessions and its simulator go on from sweep to sweep, since it takes a while to make them.
    """

    database: Database
    connection: Connection
    simulator: Simulator
    served: Rows

    async def clean(self) -> None:
        for table in ("snapshot", "walk", "quarantine"):
            await self.connection.execute(f"DELETE FROM collector.{table} WHERE slot = $1", OPEN)
        await self.connection.execute("DELETE FROM collector.token")


class Stage:
    """Lanes, each lent for one sweep after the earlier one."""

    def __init__(self, lanes: Iterable[Lane]) -> None:
        self._free: asyncio.Queue[Lane] = asyncio.Queue()
        for lane in lanes:
            self._free.put_nowait(lane)

    async def play(self, *faults: str) -> Played:
        lane = await self._free.get()
        try:
            return await _played(lane, faults)
        finally:
            await lane.clean()
            self._free.put_nowait(lane)


async def _played(lane: Lane, faults: tuple[str, ...]) -> Played:
    database, connection, simulator = lane.database, lane.connection, lane.simulator
    simulator.api.faults.put(faults)
    issued, asked = simulator.api.tokens.issued, simulator.api.book.count
    timeout = timeout_under(faults)
    async with collecting(
        database.address, simulator.url, BENT, SOUND, timeout=timeout, concurrency=2, opened=database
    ) as collector:
        error = None
        try:
            await collector.sweep(OPEN, "all", [BENT, SOUND])
        except CollectorError as ended:
            error = ended
        return Played(
            error,
            await collector.store.ledger(OPEN),
            {target: await fetch_walk(connection, OPEN, target) for target in (BENT, SOUND)},
            lane.served,
            simulator.api.tokens.issued - issued,
            simulator.api.book.count - asked,
            len(await connection.fetch("SELECT page FROM quarantine")),
        )


@pytest.fixture(scope="session")
async def stage(server: Server, template: str) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(server.database(template=template))
        async with (
            Simulator(STILL) as simulator,
            collecting(first, simulator.url, BENT, SOUND) as collector,
        ):
            assert (await collector.sweep(EARLIER, "all", [BENT, SOUND])).is_whole
            served = {target: [as_stored(row) for row in simulator.rows(target)] for target in (BENT, SOUND)}
        await execute(first, "DELETE FROM collector.token")
        lanes = []
        for _ in range(AT_ONCE):
            address = await stack.enter_async_context(server.database(template=first.database))
            database = await stack.enter_async_context(opened_database(address))
            connection = await stack.enter_async_context(connect(address))
            simulator = await stack.enter_async_context(Simulator(STILL))
            lanes.append(Lane(database, connection, simulator, served))
        yield Stage(lanes)


LACKING = "suspect undecoded"
"""More than one row in a hundred went to quarantine."""

ENDS = {
    "empty_list": "suspect empty_page empty",
    "listings_truncated": "complete",
    "listings_doubled": "complete",
    "listings_stranger": "complete",
    "listings_of_other_board": "complete",
    "zero_counts": "complete",
    "text_counts": "complete",
    "lagging_counts": "complete",
    "off_hours_volume": "complete",
    "old_date": "complete",
    "future_date": "complete",
    "throttle_429": "failed Throttled",
    "throttle_200": "failed Throttled",
    "throttle_1701": "failed Throttled",
    "throttle_1702": "failed Throttled",
    "throttle_bare_429": "failed Throttled",
    "too_many_codes_1634": "failed Rejected",
    "token_8005": "denied",
    "http_401": "denied",
    "wrong_host_8030": "denied",
    "ip_8050": "denied",
    "ip_8010": "denied",
    "wrong_keys_8001": "denied",
    "firewall_html_400": "denied",
    "maintenance_html_200": "failed Unavailable",
    "maintenance_text": "failed Unavailable",
    "maintenance_json": "failed Unavailable",
    "gateway_json": "failed Unavailable",
    "unavailable_html_403": "failed Unavailable",
    "auth_without_code": "denied",
    "http_403": "denied",
    "changed_list": "failed Rejected",
    "expired_key": "failed Rejected",
    "not_offered_8104": "failed Rejected",
    "not_offered_rc9000": "failed Rejected",
    "http_5xx": "failed Unavailable",
    "http_4xx": "failed Rejected",
    "error_1999": "failed Unavailable",
    "rejected_15xx": "failed Rejected",
    "unknown_code": "failed Rejected",
    "code_as_text": "denied",
    "no_data_20": "failed Rejected",
    "quoted_request": "failed Rejected",
    "redirect_307": "failed Rejected",
    "token_500": "failed Unavailable",
    "token_slow": "failed Unavailable",
    "token_429": "failed Unavailable",
    "token_empty": "denied",
    "token_no_expires": "denied",
    "token_odd_expiry": "denied",
    "token_far_expiry": "denied",
    "token_garbage": "denied",
    "token_long": "denied",
    "token_missing": "denied",
    "token_odd_type": "complete",
    "token_stillborn": "denied",
    "string_return_code": "complete",
    "odd_return_code": "failed Unreadable",
    "missing_return_code": "failed Unreadable",
    "ok_with_error_text": "failed Unavailable",
    "list_null": "failed Unreadable",
    "list_object": "failed Unreadable",
    "list_missing": "failed Unreadable",
    "wrong_api_id": "failed Unreadable",
    "wrong_resp_cnt": "suspect page_count",
    "repeated_key": "suspect repeated_key row_count",
    "cycling_keys": "suspect repeated_key page_order short_page duplicate_symbol row_count",
    "endless_new_keys": "suspect page_cap page_order short_page duplicate_symbol row_count",
    "endless_empty_pages": "suspect empty_page row_count",
    "yes_without_key": "failed Unreadable",
    "long_key": "failed Unreadable",
    "non_ascii_key": "failed Unreadable",
    "bad_key_crlf": "failed Rejected",
    "control_key": "failed Unreadable",
    "empty_first_page": "suspect empty",
    "empty_last_page": "suspect empty_page short_page",
    "short_middle_page": "suspect short_page row_count",
    "early_end": "suspect row_count",
    "shifted_rows": "suspect membership",
    "duplicated_rows": "suspect duplicate_symbol",
    "dropped_rows": "suspect short_page membership",
    "rows_by_name": "complete",
    "wrong_market": "suspect foreign membership",
    "stale": "complete",
    "blank_rows": LACKING,
    "double_minus": "complete",
    "garbage_number": LACKING,
    "comma_number": "complete",
    "padded_number": "complete",
    "blank_around_number": "complete",
    "empty_number": "complete",
    "minus_zero": "complete",
    "full_width_number": LACKING,
    "huge_number": LACKING,
    "unsigned_number": LACKING,
    "missing_field": LACKING,
    "extra_field": "complete",
    "renamed_field": LACKING,
    "null_field": LACKING,
    "wrong_type": LACKING,
    "wrong_suffix": LACKING,
    "bad_symbol": LACKING,
    "foreign_symbol": "suspect duplicate_symbol membership",
    "script_name": "complete",
    "nul_name": LACKING,
    "control_name": LACKING,
    "surrogate_name": LACKING,
    "long_name": LACKING,
    "price_absurd": "complete",
    "lower_case_headers": "complete",
    "upper_case_headers": "complete",
    "duplicate_cont_header": "failed Unreadable",
    "contradictory_cont_headers": "failed Unreadable",
    "odd_cont_yn": "failed Unreadable",
    "no_cont_headers": "suspect no_end row_count",
    "text_plain": "complete",
    "no_content_type": "complete",
    "many_headers": "failed Unreadable",
    "long_header": "failed Unreadable",
    "cookies": "complete",
    "wrong_date": "complete",
    "encoding_euckr": "failed Unreadable",
    "encoding_utf16": "failed Unreadable",
    "bom": "complete",
    "bad_utf8": "failed Unreadable",
    "duplicate_json_key": "failed Unreadable",
    "nan": "failed Unreadable",
    "deep_json": "failed Unreadable",
    "huge_integer": "failed Unreadable",
    "empty_body": "failed Unreadable",
    "other_json": "failed Unreadable",
    "gzip": "complete",
    "gzip_bomb": "failed Unreadable",
    "gzip_many_members": "failed Unreadable",
    "gzip_twice": "failed Unreadable",
    "content_encoding_garbage": "failed Unreadable",
    "reset_before": "failed Unavailable",
    "reset_headers": "failed Unavailable",
    "reset_body": "failed Unreadable",
    "close_after": "complete",
    "truncated_json": "failed Unreadable",
    "short_content_length": "failed Unreadable",
    "close_delimited": "failed Unreadable",
    "chunked": "complete",
    "cut_chunk": "failed Unreadable",
    "slow_drip": "failed Unavailable",
    "stall_headers": "failed Unavailable",
    "stall_body": "failed Unavailable",
    "latency_spike": "failed Unavailable",
    "surplus_answer": "complete",
    "unasked_408": "complete",
    "surplus_chunk": "complete",
    "huge_body": "failed Unreadable",
    "endless_body": "failed Unreadable",
    "absent_total_volume": "complete",
    "half_minute_labels": "complete",
    "cut_day": "complete",
    "empty_day": "complete",
}
"""How the target that a fault strikes ends: status and remarks, the class of its error, or what ends the sweep."""

LIKE = {
    "throttle_1702": "throttle_1701",
    "too_many_codes_1634": "rejected_15xx",
    **dict.fromkeys(["wrong_host_8030", "ip_8050", "ip_8010"], "wrong_keys_8001"),
    "gateway_json": "http_5xx",
    "expired_key": "changed_list",
    **dict.fromkeys(["token_slow", "token_429"], "token_500"),
    **dict.fromkeys(["token_empty", "token_long", "token_missing"], "token_garbage"),
    **dict.fromkeys(["token_no_expires", "token_far_expiry"], "token_odd_expiry"),
    "missing_return_code": "odd_return_code",
    **dict.fromkeys(["list_object", "list_missing"], "list_null"),
    "non_ascii_key": "control_key",
    **dict.fromkeys(["blank_rows", "full_width_number"], "garbage_number"),
    "renamed_field": "missing_field",
    "null_field": "wrong_type",
    "bad_symbol": "wrong_suffix",
    **dict.fromkeys(["control_name", "long_name"], "nul_name"),
    **dict.fromkeys(["padded_number", "blank_around_number"], "comma_number"),
    "lower_case_headers": "upper_case_headers",
    "text_plain": "no_content_type",
    "contradictory_cont_headers": "duplicate_cont_header",
    "long_header": "many_headers",
    **dict.fromkeys(["encoding_utf16", "bad_utf8"], "encoding_euckr"),
    "empty_body": "other_json",
    "gzip_twice": "content_encoding_garbage",
    "reset_headers": "reset_before",
    **dict.fromkeys(["short_content_length", "cut_chunk"], "reset_body"),
    **dict.fromkeys(["stall_headers", "latency_spike"], "stall_body"),
    "huge_body": "endless_body",
    **dict.fromkeys(["unasked_408", "surplus_chunk"], "surplus_answer"),
    **dict.fromkeys(
        [
            "listings_doubled",
            "listings_stranger",
            "listings_of_other_board",
            "zero_counts",
            "text_counts",
            "lagging_counts",
            "off_hours_volume",
            "old_date",
            "future_date",
        ],
        "listings_truncated",
    ),
    **dict.fromkeys(["absent_total_volume", "half_minute_labels", "empty_day"], "cut_day"),
}
"""Faults that a plain run does not play, each with one that takes the same path of the program.

The last two lines: those strike calls that a sweep without witnesses does not make.
"""

ALTERS = {"stale", "rows_by_name", "empty_number", "minus_zero", "script_name", "price_absurd"}
"""What they change is stored as it came: nothing in the answer tells."""
SIZES = {"gzip_bomb": "bytes=20000000", "huge_body": "bytes=20000000", "latency_spike": "seconds=60"}
"""Over the limit of 8 MiB, and yet quick to make; later than any timeout."""

PASSING = [
    "throttle_429", "throttle_200", "throttle_bare_429", "maintenance_html_200", "http_5xx", "error_1999",
    "wrong_api_id", "truncated_json", "reset_before", "reset_headers", "reset_body", "cut_chunk", "stall_body",
    "close_delimited", "latency_spike", "token_8005", "http_401", "http_403", "auth_without_code",
    "maintenance_text", "maintenance_json", "gateway_json", "unavailable_html_403", "changed_list", "expired_key",
]  # fmt: skip
"""What is made good if it happens once, in the middle of a walk."""
PLAIN = {
    "throttle_429", "maintenance_html_200", "error_1999", "truncated_json", "reset_before", "stall_body",
    "close_delimited", "token_8005", "http_403", "changed_list",
}  # fmt: skip
"""One for each way of making it good; the others are `extended`."""
RENEWS = {"token_8005", "http_401", "http_403", "auth_without_code"}
BEGINS_ANEW = {"changed_list", "expired_key"}
"""What costs the walk its first page once more, with another token or with the same."""


def spec(fault: str) -> str:
    """The switch that strikes BENT, every time; a token is everybody's."""
    where = "" if FAULTS[fault].apis.startswith("au") else "sector=139"
    return f"{fault}:{','.join(filter(None, (SIZES.get(fault), where)))}"


def case(fault: str, *values: object) -> Any:
    """The fault that strikes every time, as a case of a test; `extended` if it is like another one."""
    return pytest.param(spec(fault), *values, id=fault, marks=EXTENDED if fault in LIKE else ())


def passing(fault: str) -> str:
    return ",".join(filter(None, (f"{fault}:sector=139,page=2,times=1", SIZES.get(fault))))


LATE = ("slow_drip", "stall_headers", "stall_body", "latency_spike")
"""Faults that end with the timeout of a request, which is therefore waited for."""


def timeout_under(faults: Iterable[str]) -> str:
    """The timeout of a sweep under these faults.

    A sound answer takes some 20 ms here, and up to a second where the machine is busy. A timeout near that
    makes the program ask once more, and the counts of requests and tokens below would depend on the machine.
    """
    return "5s" if any(fault.startswith(LATE) for fault in faults) else "60s"


@pytest.fixture(scope="session")
async def plays(
    stage: Stage, request: pytest.FixtureRequest
) -> AsyncIterator[Mapping[str, asyncio.Task[Played]]]:
    """The sweeps of all the faults that this run asks for, under way side by side: most of it is waiting."""
    mine = [
        item
        for item in request.session.items
        if isinstance(item, pytest.Function) and "plays" in item.fixturenames
    ]
    wanted = {item.callspec.params["switch"] for item in mine}
    async with asyncio.TaskGroup() as group:
        first_what_waits = sorted(wanted, key=lambda switch: (not switch.startswith(LATE), switch))
        yield {switch: group.create_task(stage.play(switch)) for switch in first_what_waits}


def test_every_fault_of_the_simulator_has_its_expected_end() -> None:
    assert ENDS.keys() == FAULTS.keys()
    assert {fault: ENDS[fault] for fault in LIKE} == {fault: ENDS[like] for fault, like in LIKE.items()}
    assert LIKE.keys().isdisjoint(LIKE.values())


@pytest.mark.parametrize(("switch", "end"), [case(fault, end) for fault, end in ENDS.items()])
async def test_a_fault_ends_as_it_should(
    plays: Mapping[str, asyncio.Task[Played]], switch: str, end: str
) -> None:
    played = await plays[switch]
    fault = switch.partition(":")[0]
    assert played.end(BENT) == end
    if played.error is not None:
        assert BENT not in played.ledger  # the other may have been quicker
        return
    if end == "complete" and fault not in ALTERS:
        assert played.rows[BENT] == played.served[BENT]
    assert len(played.rows[BENT]) == played.ledger[BENT].rows
    assert played.quarantined == (3 if end == LACKING else 0)
    if "sector" in switch:
        assert played.end(SOUND) == "complete"
        assert played.rows[SOUND] == played.served[SOUND]


@pytest.mark.parametrize(
    "switch",
    [pytest.param(passing(fault), id=fault, marks=() if fault in PLAIN else EXTENDED) for fault in PASSING],
)
async def test_what_happens_once_is_made_good(plays: Mapping[str, asyncio.Task[Played]], switch: str) -> None:
    played = await plays[switch]
    assert (played.end(BENT), played.end(SOUND)) == ("complete", "complete")
    assert played.rows == played.served
    fault = switch.partition(":")[0]
    assert played.ledger[BENT].attempts == (5 if fault in RENEWS | BEGINS_ANEW else 4)
    assert played.tokens == (2 if fault in RENEWS else 1)


@pytest.mark.parametrize("switch", ["firewall_html_400:agent=aiohttp"], ids=["firewall_html_400"])
async def test_the_firewall_that_refuses_aiohttps_own_name_lets_ours_pass(
    plays: Mapping[str, asyncio.Task[Played]], switch: str
) -> None:
    played = await plays[switch]
    assert (played.error, played.end(BENT), played.end(SOUND)) == (None, "complete", "complete")


@pytest.mark.parametrize("switch", [passing("token_8005")], ids=["token_8005"])
async def test_a_walk_whose_token_died_between_two_pages_begins_anew(
    plays: Mapping[str, asyncio.Task[Played]], switch: str
) -> None:
    """Nobody knows whether the key of a next page outlives the token: one page, a refusal, then all three."""
    played = await plays[switch]
    assert played.ledger[BENT].attempts == 5


MOST = {
    **dict.fromkeys(
        [
            "not_offered_8104",
            "not_offered_rc9000",
            "too_many_codes_1634",
            "rejected_15xx",
            "http_4xx",
            "unknown_code",
            "no_data_20",
            "redirect_307",
        ],
        1,
    ),
    **dict.fromkeys(["throttle_429", "http_5xx", "maintenance_html_200", "reset_before", "stall_body"], 3),
    "repeated_key": 3,
    "cycling_keys": 5,
    "endless_empty_pages": 4,
    "endless_new_keys": 200,
}
"""Requests that a walk may cost at most: one where asking again cannot help, three where it may, few in a circle.

The last page of a circle is asked once more over a new connection: its answer may have been one to an earlier request.
"""


@pytest.mark.parametrize(("switch", "most"), [case(fault, most) for fault, most in MOST.items()])
async def test_a_fault_costs_few_requests(
    plays: Mapping[str, asyncio.Task[Played]], switch: str, most: int
) -> None:
    assert (await plays[switch]).ledger[BENT].attempts <= most


@pytest.mark.parametrize(
    "switch",
    [case(fault) for fault in FAULTS if FAULTS[fault].apis.startswith("au")],
)
async def test_a_token_that_is_not_to_be_had_is_asked_for_three_times_a_walk_at_most(
    plays: Mapping[str, asyncio.Task[Played]], switch: str
) -> None:
    played = await plays[switch]
    assert played.tokens <= (3 if played.error else 3 * len(played.ledger))


@pytest.mark.parametrize(
    ("switch", "attempts"),
    [
        pytest.param("token_8005:sector=139,page=1,times=1", 4, id="first page", marks=EXTENDED),
        pytest.param("token_8005:sector=139,page=2,times=1", 5, id="middle page"),
        pytest.param("token_8005:sector=139,page=last,times=1", 6, id="last page"),
    ],
)
async def test_a_token_that_dies_at_any_page_costs_one_issuance_and_no_row(
    plays: Mapping[str, asyncio.Task[Played]], switch: str, attempts: int
) -> None:
    played = await plays[switch]
    assert (played.end(BENT), played.tokens) == ("complete", 2)
    assert played.ledger[BENT].attempts == attempts
    assert played.rows[BENT] == played.served[BENT]


@pytest.mark.parametrize(
    ("switch", "end"),
    [
        pytest.param("shifted_rows:sector=139,by=-1", "suspect duplicate_symbol", id="a row comes twice"),
        pytest.param(
            "shifted_rows:sector=139,by=1", "suspect membership", id="a row is missed", marks=EXTENDED
        ),
        pytest.param(
            "shifted_rows:sector=139,by=-7",
            "suspect page_order duplicate_symbol membership",
            id="many come twice",
        ),
        pytest.param(
            "shifted_rows:sector=139,by=40", "suspect row_count", id="many are missed", marks=EXTENDED
        ),
    ],
)
async def test_a_list_that_moves_under_the_walk_is_suspect_whichever_way_it_moves(
    plays: Mapping[str, asyncio.Task[Played]], switch: str, end: str
) -> None:
    assert (await plays[switch]).end(BENT) == end


@pytest.mark.parametrize(
    "switch",
    [
        pytest.param(
            f"{fault}:sector=139,page={page},times=2",
            marks=() if (fault, page) in {("changed_list", "last"), ("http_4xx", 2)} else EXTENDED,
        )
        for fault in ("changed_list", "expired_key", "rejected_15xx", "unknown_code", "http_4xx")
        for page in (2, "last")
    ],
)
async def test_a_key_that_is_refused_twice_fails_the_walk_with_the_servers_words(
    plays: Mapping[str, asyncio.Task[Played]], switch: str
) -> None:
    played = await plays[switch]
    assert (played.end(BENT), played.end(SOUND)) == ("failed Rejected", "complete")
    assert played.ledger[BENT].attempts == (6 if "last" in switch else 4)
    assert ("HTTP 404" if "4xx" in switch else "Kiwoom says: ") in played.ledger[BENT].error
    assert played.tokens == 1


@pytest.mark.parametrize(
    "switch", ["auth_without_code:sector=139,page=2", "http_403:sector=139,page=2,kills=0"]
)
async def test_a_key_that_is_always_refused_as_a_token_is_costs_one_token(
    plays: Mapping[str, asyncio.Task[Played]], switch: str
) -> None:
    played = await plays[switch]
    assert (played.end(BENT), played.end(SOUND)) == ("failed TokenExpired", "complete")
    assert (played.ledger[BENT].attempts, played.tokens) == (4, 2)


@pytest.mark.parametrize(
    "switch", ["auth_without_code", "http_403", "auth_without_code:status=403,return_code=1"]
)
async def test_an_authentication_that_fails_without_a_code_renews_once_and_ends_the_sweep_with_a_hint(
    plays: Mapping[str, asyncio.Task[Played]], switch: str
) -> None:
    played = await plays[switch]
    assert isinstance(played.error, Denied)
    assert "앱키" in played.error.hint
    assert played.tokens == 2
    assert played.requests <= 2 + 2 * 2  # two tokens, and each target asks at most twice


TOKEN_FAILURES = [
    "token_500", "token_slow:seconds=30", "token_garbage",
    "token_429", "token_no_expires", "token_empty", "token_odd_expiry", "maintenance_html_200:api=au10001",
    "http_5xx:api=au10001",
    "token_500:status=503", "token_odd_expiry:value=tomorrow", "token_far_expiry", "token_missing", "token_long",
    "maintenance_text:api=au10001", "maintenance_json:api=au10001", "gateway_json:api=au10001",
    "throttle_bare_429:api=au10001",
]  # fmt: skip


@pytest.mark.extended
@pytest.mark.parametrize("fault", TOKEN_FAILURES)
async def test_a_failing_token_call_costs_three_calls_a_sweep_and_none_in_the_next(
    database: Dsn, fault: str
) -> None:
    targets = [Target.of("KOSPI", f"{number:03}", "KRX") for number in range(5, 11)]
    options = replace(STILL, faults=(fault,))
    async with (
        Simulator(options) as simulator,
        collecting(database, simulator.url, *targets, timeout="1s") as one,
        collecting(database, simulator.url, *targets, timeout="1s") as other,
    ):
        for _ in range(2):
            sweeps = await asyncio.gather(
                *(each.sweep(OPEN, "all", targets) for each in (one, other)), return_exceptions=True
            )
            assert 1 <= simulator.api.book.count <= 3
            for sweep in sweeps:
                if isinstance(sweep, BaseException):
                    assert isinstance(sweep, Denied), sweep
                else:
                    assert {outcome.status for outcome in sweep.outcomes} <= {Status.FAILED, Status.MISSED}
        await execute(database, "UPDATE collector.token SET retry_at = retry_at - interval '61 seconds'")
        simulator.api.faults.put(())
        assert (await one.sweep(OPEN, "all", targets)).is_whole
    errors = await fetch(database, "SELECT DISTINCT error FROM walk WHERE error IS NOT NULL")
    assert errors == []


@pytest.mark.extended
async def test_a_key_without_a_token_leaves_its_targets_to_the_others(database: Dsn) -> None:
    targets = [Target.of("KOSPI", f"{number:03}", "KRX") for number in range(2, 12)]
    async with (
        Simulator(replace(STILL, faults=("token_500",))) as away,
        Simulator(STILL) as good,
        collecting(database, good.url, *targets) as collector,
        collecting(database, away.url, *targets, app_key="another") as other,
    ):
        both = replace(collector, others=[other.kiwoom])
        with pytest.raises(CollectorError, match="no token"):
            await other.kiwoom.token()
        assert (await both.sweep(OPEN, "all", targets)).is_whole


@pytest.mark.extended
async def test_walks_that_end_soon_find_connections_that_were_opened_ahead(database: Dsn) -> None:
    """More walks than are under way at once end within the rest of a connection, and none opens another one."""
    targets = [Target.of("KOSPI", f"{number:03}", "KRX") for number in range(6, 18)]
    async with Simulator(STILL) as simulator, collecting(database, simulator.url, *targets) as collector:
        await collector.kiwoom.token()
        await collector.warm(100)
        while len(simulator._open) < collector.concurrency + RESTING:  # noqa: ASYNC110 - a server accepts without an event
            await asyncio.sleep(0.01)
        ahead = set(simulator._open)
        assert len(targets) > 2 * collector.concurrency
        assert (await collector.sweep(OPEN, "all", targets)).is_whole
        assert simulator._open <= ahead


async def test_a_sweep_stores_what_was_served_row_by_row(database: Dsn) -> None:
    targets = [
        Target.of(*names)
        for names in [("KOSPI", "027", "KRX"), ("KOSPI", "027", "NXT"), ("KOSPI", "027", "CONSOLIDATED"),
                      ("KOSDAQ", "138", "KRX"), ("KOSPI", "603", "KRX"), ("KOSPI200", "201", "KRX")]
    ]  # fmt: skip
    async with Simulator(STILL) as simulator, collecting(database, simulator.url, *targets) as collector:
        sweep = await collector.sweep(OPEN, "all", targets)
        served = {target: [as_stored(row) for row in simulator.rows(target)] for target in targets}
        pages = sum(max(1, -(-len(rows) // 100)) for rows in served.values())
        assert simulator.api.book.count == pages + 1
    assert sweep.is_whole
    assert [outcome.target for outcome in sweep.outcomes] == targets
    assert {target: await stored(database, OPEN, target) for target in targets} == served
    assert sum(len(rows) for rows in served.values()) > 1_500
    assert (sweep.requests, sum(outcome.pages for outcome in sweep.outcomes)) == (pages + 1, pages)


async def test_fields_that_no_document_knows_are_told_of_once_a_sweep(
    database: Dsn, capsys: pytest.CaptureFixture[str]
) -> None:
    options = replace(STILL, faults=("extra_field:sector=139,rows=5",))
    async with Simulator(options) as simulator, collecting(database, simulator.url, BENT, SOUND) as collector:
        assert (await collector.sweep(OPEN, "all", [BENT, SOUND])).is_whole
    [line] = [line for line in capsys.readouterr().out.splitlines() if "api.unknown_fields" in line]
    assert "fields=15" in line


async def test_numbers_that_are_written_oddly_are_told_of_once_a_sweep(
    database: Dsn, capsys: pytest.CaptureFixture[str]
) -> None:
    options = replace(STILL, faults=("padded_number:sector=139,rows=5", "double_minus:sector=139,page=2"))
    async with Simulator(options) as simulator, collecting(database, simulator.url, BENT, SOUND) as collector:
        assert (await collector.sweep(OPEN, "all", [BENT, SOUND])).is_whole
    [line] = [line for line in capsys.readouterr().out.splitlines() if "api.noncanonical_numbers" in line]
    assert "numbers=16" in line


async def test_a_second_sweep_of_the_same_slot_takes_only_what_is_left(database: Dsn) -> None:
    async with Simulator(STILL) as simulator, collecting(database, simulator.url, BENT, SOUND) as collector:
        await collector.sweep(OPEN, "all", [BENT])
        before = simulator.api.book.count
        sweep = await collector.sweep(OPEN, "all", [SOUND, BENT])
        assert simulator.api.book.count == before + 1
    assert [(o.target, o.status, o.rows) for o in sweep.outcomes] == [
        (SOUND, Status.COMPLETE, 5),
        (BENT, Status.COMPLETE, 299),
    ]


async def test_a_target_that_failed_is_tried_again_and_its_attempts_add_up(database: Dsn) -> None:
    faulty = replace(STILL, faults=("rejected_15xx:sector=139,times=1",))
    async with Simulator(faulty) as simulator, collecting(database, simulator.url, BENT, SOUND) as collector:
        first = await collector.sweep(OPEN, "all", [BENT, SOUND])
        second = await collector.sweep(OPEN, "all", [BENT, SOUND])
    assert [outcome.status for outcome in first.outcomes] == [Status.FAILED, Status.COMPLETE]
    assert second.is_whole
    assert await fetch(database, "SELECT status, attempts, error FROM walk WHERE sector = '139'") == [
        ("complete", 4, None)
    ]


async def test_two_collectors_at_one_slot_store_each_target_once(database: Dsn) -> None:
    targets = [Target.of("KOSDAQ", code, "KRX") for code in ("139", "138", "103", "106")]
    async with (
        Simulator(STILL) as simulator,
        collecting(database, simulator.url, *targets) as one,
        collecting(database, simulator.url, *targets) as other,
    ):
        sweeps = await asyncio.gather(
            one.sweep(OPEN, "all", targets), other.sweep(OPEN, "all", targets[::-1])
        )
        served = {target: [as_stored(row) for row in simulator.rows(target)] for target in targets}
    assert all(sweep.is_whole for sweep in sweeps)
    assert {target: await stored(database, OPEN, target) for target in targets} == served


@pytest.mark.extended
async def test_two_programs_at_one_slot_report_the_one_walk_that_is_stored(database: Dsn) -> None:
    async with (
        Simulator(replace(STILL, faults=("short_middle_page:sector=139",))) as bad,
        Simulator(STILL) as good,
        collecting(database, bad.url, BENT) as one,
        collecting(database, good.url, BENT, secret_key="another") as other,
    ):
        sweeps = await asyncio.gather(one.sweep(OPEN, "all", [BENT]), other.sweep(OPEN, "all", [BENT]))
    stored = await fetch(database, "SELECT status, rows FROM walk")
    assert [[(o.status, o.rows) for o in sweep.outcomes] for sweep in sweeps] == [stored] * 2
    assert stored in ([("complete", 299)], [("suspect", 262)])


async def test_a_denial_ends_the_sweep_at_its_first_answer(database: Dsn) -> None:
    targets = [Target.of("KOSDAQ", code, "KRX") for code in ("139", "138", "103", "106", "108")]
    options = replace(STILL, keys={"another": "pair"})
    async with Simulator(options) as simulator, collecting(database, simulator.url, *targets) as collector:
        with pytest.raises(Denied, match="8001") as caught:
            await collector.sweep(OPEN, "all", targets)
        assert simulator.api.book.count == 1
    assert "KIWOOM_APP_KEY" in caught.value.hint
    assert await fetch(database, "SELECT * FROM walk") == []


@pytest.mark.extended
async def test_a_database_that_stays_away_ends_the_sweep_and_what_was_stored_stays(database: Dsn) -> None:
    targets = [Target.of("KOSDAQ", code, "KRX") for code in ("138", "139")]
    async with (
        Simulator(STILL) as simulator,
        proxied(database) as proxy,
        collecting(proxy.address, simulator.url, *targets) as collector,
    ):
        await collector.sweep(OPEN, "all", targets[:1])
        proxy.target = replace(database, host="127.0.0.1", port=1)
        proxy.cut()
        with pytest.raises(StoreError):
            await collector.sweep(OPEN, "all", targets)
    assert await fetch(database, "SELECT sector, status FROM walk") == [("138", "complete")]


@pytest.mark.extended
async def test_a_cancelled_sweep_leaves_whole_walks_only(database: Dsn) -> None:
    targets = [Target.of("KOSDAQ", code, "KRX") for code in ("139", "138", "103", "106", "108", "101")]
    async with Simulator(STILL) as simulator, collecting(database, simulator.url, *targets) as collector:
        for seconds in (0.02, 0.1):
            sweeping = asyncio.ensure_future(collector.sweep(OPEN, "all", targets))
            await asyncio.sleep(seconds)  # any moment will do
            sweeping.cancel()
            await asyncio.gather(sweeping, return_exceptions=True)
            torn = await fetch(
                database,
                "SELECT w.slot, w.rows, count(s.slot) FROM collector.walk AS w"
                " FULL JOIN collector.snapshot AS s USING (slot, target)"
                " GROUP BY w.slot, w.target, w.rows HAVING count(s.slot) IS DISTINCT FROM w.rows",
            )
            assert torn == []
        sweep = await collector.sweep(OPEN, "all", targets)
        served = {target: [as_stored(row) for row in simulator.rows(target)] for target in targets}
    assert sweep.is_whole
    assert {target: await stored(database, OPEN, target) for target in targets} == served


@pytest.mark.extended
@pytest.mark.parametrize(
    "fault",
    [
        "garbage_number:page=2",
        "garbage_number:page=1,field=now_trde_qty,text=2147483647",
        "missing_field:page=last,field=flu_rt",
        "nul_name:page=1",
    ],
)
async def test_one_odd_cell_does_not_hide_the_other_rows(database: Dsn, fault: str) -> None:
    odd, later = replace(STILL, faults=(f"{fault},sector=139",)), OPEN + timedelta(minutes=5)
    async with Simulator(STILL) as simulator, collecting(database, simulator.url, BENT) as collector:
        await collector.sweep(OPEN, "all", [BENT])
    async with Simulator(odd) as simulator, collecting(database, simulator.url, BENT) as collector:
        sweep = await collector.sweep(later, "all", [BENT])
    [outcome] = sweep.outcomes
    assert (outcome.status, outcome.remarks, outcome.rows, outcome.bad) == (
        Status.COMPLETE,
        (Remark.UNDECODED,),
        298,
        1,
    )
    assert not sweep.is_whole
    assert await fetch(database, "SELECT slot, count(*) FROM latest GROUP BY slot") == [(later, 298)]
    [[symbol]] = await fetch(database, "SELECT symbol FROM quarantine")
    assert await fetch(database, "SELECT count(*) FROM latest WHERE symbol = $1", symbol) == [(0,)]
    assert await fetch(
        database, "SELECT count(*) FROM membership WHERE symbol = $1 AND valid_to IS NULL", symbol
    ) == [(1,)]


@pytest.mark.extended
async def test_pages_that_never_join_are_never_believed_within_the_day(database: Dsn) -> None:
    shifted = replace(STILL, faults=("shifted_rows:sector=139,by=40",))
    slots = [OPEN + timedelta(minutes=5 * number) for number in range(6)]
    async with Simulator(STILL) as simulator, collecting(database, simulator.url, BENT) as collector:
        await collector.sweep(slots[0], "all", [BENT])
    async with Simulator(shifted) as simulator, collecting(database, simulator.url, BENT) as collector:
        ends = [(await collector.sweep(slot, "all", [BENT])).outcomes[0].status for slot in slots[1:]]
    assert ends == [Status.SUSPECT] * 5


@pytest.mark.extended
async def test_a_list_that_changes_for_good_is_complete_from_its_third_walk_on_and_so_are_the_first_two(
    database: Dsn,
) -> None:
    slots = [OPEN + timedelta(minutes=5 * number) for number in range(5)]
    async with Simulator(STILL) as simulator, collecting(database, simulator.url, BENT) as collector:
        served = [as_stored(row)[0] for row in simulator.rows(BENT)]
        gone = [f"{code[:5]}Z" for code in served[::5]]
        old = [
            row._replace(symbol=code) for row, code in zip(snapshots(359), sorted(served + gone), strict=True)
        ]
        await collector.store.begin_sweep(slots[0], "all", [BENT])
        await collector.store.save_walk(reading(BENT, slots[0], old), Certificate(Status.COMPLETE))
        ends = [(await collector.sweep(slot, "all", [BENT])).outcomes[0].status for slot in slots[1:]]
    assert ends == [Status.SUSPECT, Status.SUSPECT, Status.COMPLETE, Status.COMPLETE]
    assert await fetch(database, "SELECT slot, status, remarks FROM walk ORDER BY slot") == [
        (slots[0], "complete", []),
        (slots[1], "complete", ["row_count", "borne_out"]),
        (slots[2], "complete", ["row_count", "borne_out"]),
        (slots[3], "complete", []),
        (slots[4], "complete", []),
    ]
    assert await fetch(database, "SELECT DISTINCT judged_by FROM judgement") == [
        (f"walk of {slots[3].isoformat()}",)
    ]
