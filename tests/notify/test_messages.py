"""Messages say what, since when and what to do, in Korean and in English, for every kind of event."""

import re
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from collector.cli.main import VERBS
from collector.config.schema import NoticeKind
from collector.db.notices import Notice
from collector.notify.messages import MOST, compose, headline

BEGAN = datetime(2026, 11, 27, 0, 10, tzinfo=UTC)
FACTS = {
    "behind": {"schedule": "intraday", "slots": 3, "last": "2026-11-27T00:05:00+00:00"},
    "failure": {
        "schedule": "intraday",
        "failure": "failed Unavailable",
        "count": 2,
        "total": 4,
        "targets": ["KOSPI/001/KRX", "KOSPI/001/NXT"],
        "error": "Unavailable: timeout",
    },
    "denied": {"key": "main", "reason": "8050", "hint": ""},
    "quota": {"key": "main", "api_id": "ka20002", "granted": 3, "configured": 5},
    "clocks": {"host": "h", "seconds": 9},
    "database": {"host": "h", "reason": "away"},
    "calendar": {"until": "2027-12-31", "days": 20},
    "disk": {"host": "h", "path": "/data", "free_gb": 9.1, "days": 3},
    "contradicted": {
        "schedule": "s",
        "count": 2,
        "targets": ["A", "B"],
        "slot": "2026-11-27T00:10:00+00:00",
    },
    "summary": {
        "day": "2026-11-27",
        "due": 79,
        "whole": 78,
        "complete": 300,
        "suspect": 1,
        "failed": 2,
        "missed": 3,
        "rows": 1234567,
        "free_gb": 50.0,
        "open": 0,
    },
    "test": {"host": "h"},
}


def event(kind, *, ended_at=None, told_at=None, **facts):
    if kind in ("summary", "test"):
        ended_at = BEGAN
    return Notice(1, kind, "subject", BEGAN, {**FACTS[kind], **facts}, ended_at, told_at)


def test_every_kind_of_the_configuration_has_a_message():
    assert set(get_args(NoticeKind)) - {"recovery"} == FACTS.keys() - {"summary", "test"}


@pytest.mark.parametrize("language", ["ko", "en"])
@pytest.mark.parametrize("kind", FACTS)
def test_every_value_is_filled_in(kind, language):
    message = compose([event(kind)], language)
    text = f"{message.title}\n{message.body}"
    assert "?" not in text.replace("https?", "")
    assert "{" not in text
    assert any("가" <= char <= "힣" for char in text) == (language == "ko")


@pytest.mark.parametrize("language", ["ko", "en"])
@pytest.mark.parametrize("kind", sorted(FACTS.keys() - {"summary", "test"}))
def test_an_event_says_since_when_and_what_to_do_with_a_command(kind, language):
    body = compose([event(kind)], language).body
    assert "2026-11-27 09:10 KST" in body
    assert "`" in body
    assert set(re.findall(r"`collector ([a-z]+)", body)) <= VERBS.keys()


@pytest.mark.parametrize("language", ["ko", "en"])
@pytest.mark.parametrize("kind", sorted(FACTS.keys() - {"summary", "test"}))
def test_the_end_of_an_event_says_how_long_it_was(kind, language):
    ended = BEGAN + timedelta(hours=1, minutes=5)
    message = compose([event(kind, ended_at=ended, told_at=BEGAN)], language)
    assert message.level == "success"
    assert {"ko": "1시간 5분", "en": "1 h 5 min"}[language] in message.body
    assert headline(event(kind), language) not in message.title


def test_an_event_that_ended_before_its_message_is_told_once_by_its_beginning():
    found = compose([event("behind", ended_at=BEGAN + timedelta(minutes=9))], "en")
    assert found.title == "collector: (over) intraday: 3 slots in a row without a complete sweep"
    assert "From 2026-11-27 09:10 KST to 2026-11-27 09:19 KST (9 min)" in found.body


def test_several_events_are_one_message_and_many_are_cut():
    two = compose([event("behind"), event("denied")], "ko")
    assert two.title == "collector: 알림 2건"
    assert "연속 3개 슬롯" in two.body
    assert "앱키 main을(를) 거부합니다" in two.body
    many = compose([event("behind")] * (MOST + 5), "en")
    assert many.body.count("slots in a row") == MOST
    assert "5 more; `collector notify` lists them." in many.body


def test_values_are_no_templates():
    assert "{key}" in compose([event("database", reason="odd {key} {0}")], "en").body


def test_a_value_that_an_older_program_did_not_store_stops_no_message():
    assert (
        compose([Notice(1, "quota", "x", BEGAN)], "en").title
        == "collector: The server grants the key ? ? requests of ? a second, not ?"
    )


@pytest.mark.parametrize(
    ("failure", "todo"),
    [
        ("failed Unavailable", "collector check --online"),
        ("missed overrun", "collector plan"),
        ("missed down", "collector gaps --from 2026-11-27 --to 2026-11-27"),
        ("suspect row_count", "collector accept 2026-11-27T09:10:00+09:00"),
        ("suspect something_new", "collector gaps"),
    ],
)
def test_each_kind_of_failure_has_its_advice(failure, todo):
    assert todo in compose([event("failure", failure=failure)], "en").body
