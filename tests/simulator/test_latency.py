"""The durations of the real host, the moment at which a request counts, and the quotas of both hosts."""

import asyncio
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Literal

import pytest

from collector.model import KST
from kiwoom_simulator import Options
from kiwoom_simulator.server.latency import Latency
from kiwoom_simulator.server.rate_limit import RateLimit
from tests.support.api_client import serving

OPEN = datetime(2026, 11, 20, 11, 0, tzinfo=KST)
Count = Literal["before", "middle", "after"]


def test_round_trips_of_the_real_host_have_its_median_and_its_slow_calls() -> None:
    latency = Latency(Options(latency="real"))
    trips = [sum(latency.split_round_trip()) for _ in range(20_000)]
    assert (min(trips) >= 0.37, max(trips) <= 2.5) == (True, True)
    assert median(trips) == pytest.approx(0.46, abs=0.01)
    assert sum(trip > 0.65 for trip in trips) / len(trips) == pytest.approx(0.01, abs=0.004)


def test_a_new_connection_to_the_real_host_costs_more_than_a_round_trip() -> None:
    latency = Latency(Options(latency="real"))
    costs = [latency.connection() for _ in range(1_000)]
    assert (min(costs) >= 0.8, max(costs) <= 1.4, max(costs) - min(costs) > 0.5) == (True, True, True)
    assert Latency(Options(latency=timedelta(seconds=1))).connection() == 0


@pytest.mark.parametrize(
    ("count", "before", "after"), [("before", 0, 1), ("middle", 0.5, 0.5), ("after", 1, 0)]
)
def test_a_request_counts_before_the_work_half_way_or_after_it(
    count: Count, before: float, after: float
) -> None:
    latency = Latency(Options(latency=timedelta(seconds=1), count=count))
    assert latency.split_round_trip() == (before, after)


@pytest.mark.parametrize("count", ["before", "after"])
async def test_the_request_log_has_the_moment_at_which_a_request_counts(count: Count) -> None:
    async with serving(latency=timedelta(milliseconds=300), count=count, freeze=OPEN) as client:
        loop = asyncio.get_running_loop()
        sent = loop.time()
        await client.page("402")
        answered = loop.time()
        arrived = client.simulator.api.book.since(1)[0]["arrived"]
        assert isinstance(arrived, float)
        assert answered - arrived >= 0.299 if count == "before" else arrived - sent >= 0.299


async def test_only_the_first_request_of_a_connection_pays_for_its_opening() -> None:
    async with serving(latency="real", freeze=OPEN) as client:
        for _ in range(3):
            await client.page("402")
        token, *pages = client.simulator.api.book.since(0)
        assert token["api_id"] == "au10001"
        arrivals = [float(str(entry["arrived"])) for entry in (token, *pages)]
        gaps = [later - earlier for earlier, later in pairwise(arrivals)]
        # Half a round trip before and after each: the draws with this seed hold no slow call.
        assert len(client.simulator._open) == 1
        assert all(gap >= 0.36 for gap in gaps)


@pytest.mark.parametrize(
    ("options", "quota", "at_once"),
    [
        (Options(), 5, 5),
        (Options(mock=True), 1, 2),
        (Options(mock=True, burst=0), 1, 1),
        (Options(mock=True, quota=1), 1, 1),
    ],
)
def test_each_host_has_its_quota_for_each_key_and_call(options: Options, quota: int, at_once: int) -> None:
    gate = RateLimit(options)
    answers = [gate.refusal("key", "ka20002", 0.0) for _ in range(at_once + 1)]
    assert answers[:-1] == [None] * at_once
    refusal = answers[-1]
    assert refusal is not None
    assert (refusal.status, f"유량={quota}, API ID=ka20002" in refusal.return_msg) == (429, True)
    assert gate.refusal("key", "ka20003", 0.0) is None
    assert gate.refusal("another", "ka20002", 0.0) is None
    assert gate.refusal("key", "ka20002", 1.0) is None
