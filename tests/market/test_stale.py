"""What looks like the session before, and when that may be held against it."""

from datetime import datetime

import pytest

from collector.base import resources
from collector.market import calendar
from collector.market.stale import Seen, is_stale, open_exchanges
from collector.model import KST, Exchange, Target

CALENDAR = calendar.load(resources.path("config", "calendar.yaml").read_bytes(), "calendar.yaml")
KRX, NXT, BOTH = Exchange.KRX, Exchange.NXT, Exchange.CONSOLIDATED
KOSPI, KOSPI_NXT = Target.of("KOSPI", "001", "KRX"), Target.of("KOSPI", "001", "NXT")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=KST)


@pytest.mark.parametrize(
    ("when", "exchanges"),
    [
        ("2026-11-23T08:00", set()),
        ("2026-11-23T08:05", {NXT, BOTH}),
        ("2026-11-23T09:00", {NXT, BOTH}),
        ("2026-11-23T09:04:59", {NXT, BOTH}),
        ("2026-11-23T09:05", {KRX, NXT, BOTH}),
        ("2026-11-23T15:40", {KRX, NXT, BOTH}),
        ("2026-11-23T22:00", {KRX, NXT, BOTH}),
        ("2026-11-19T09:30", set()),
        ("2026-11-19T10:05", {KRX, NXT, BOTH}),
        ("2026-11-22T10:00", set()),
        ("2026-12-25T10:00", set()),
        ("2025-02-03T08:30", set()),
    ],
    ids=[
        "at NXT's opening nothing has settled",
        "five minutes later NXT has",
        "before KRX opens NXT alone is judged",
        "four minutes after KRX's opening it is too early to tell",
        "five minutes after it is not",
        "after the closing the day is still judged",
        "and in the evening",
        "an exam day before its late opening",
        "an exam day after it",
        "a Sunday is known to be closed",
        "so is Christmas",
        "before NXT began",
    ],
)
def test_venues_are_judged_once_they_must_have_traded(when, exchanges):
    assert open_exchanges(CALENDAR, at(when)) == exchanges


@pytest.mark.parametrize(
    ("walks", "verdict"),
    [
        ([], False),
        ([Seen(KOSPI, 900, True)], True),
        ([Seen(KOSPI, 900, False)], False),
        ([Seen(KOSPI, 900, True), Seen(KOSPI_NXT, 600, False)], False),
        ([Seen(KOSPI, 900, True), Seen(KOSPI_NXT, 600, True)], True),
        ([Seen(KOSPI, 900, True), Seen(KOSPI_NXT, 0, False)], True),
        ([Seen(KOSPI, 0, True)], False),
    ],
    ids=["none", "the same", "another", "one of two", "both", "an empty one beside", "only empty ones"],
)
def test_a_slot_is_stale_if_every_walk_that_tells_anything_shows_the_session_before(walks, verdict):
    assert is_stale(walks, {KRX, NXT}) is verdict


def test_in_the_pre_market_yesterdays_prices_on_krx_are_as_they_should_be():
    walks = [Seen(KOSPI, 900, True), Seen(KOSPI_NXT, 600, False)]
    assert not is_stale(walks, open_exchanges(CALENDAR, at("2026-11-23T08:30")))
    assert not is_stale(walks[:1], open_exchanges(CALENDAR, at("2026-11-23T08:30")))
