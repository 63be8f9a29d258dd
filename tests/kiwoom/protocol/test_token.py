"""au10001 and au10002; and that what must stay secret does."""

import json
import traceback
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.errors import Denied, Unreadable
from collector.kiwoom.protocol import ApiRequest, ask_revoke, ask_token, read_revoked, read_token
from collector.model import KST
from collector.secret import Secret
from tests.support.recorded_answers import refused, reply, sample

unhurried = settings(deadline=None)  # how fast a shared machine is at the moment is no law

SENTINEL = "S3ntin3lS3cr3t"


def token_body(token: object = "abc", ends: object = "20261123084500") -> bytes:
    return json.dumps({"expires_dt": ends, "token_type": "bearer", "token": token, "return_code": 0}).encode()


def test_a_token_comes_with_its_end_in_korean_time():
    token = read_token(reply(sample("token.json")))
    assert token.value.reveal() == "WQJCwyqInphKnR3bSRtB9NE1lv"
    assert token.expires_at == datetime(2026, 11, 23, 8, 45, tzinfo=KST)


@pytest.mark.parametrize(
    "token", ["a", "a" * 1000, "".join(map(chr, range(33, 127)))], ids=["1", "1000", "any"]
)
def test_a_token_is_1_to_1000_visible_characters(token):
    assert read_token(reply(token_body(token))).value.reveal() == token


NO_TOKEN = "the token is not a text of 1 to 1,000 characters"
NO_END = "expires_dt is not fourteen digits"


@pytest.mark.parametrize("token", ["", "a" * 1001, None, 5, ["a"]], ids=lambda token: ascii(token)[:14])
def test_a_token_is_a_text_and_neither_empty_nor_endless(token):
    assert unreadable(token_body(token)) == NO_TOKEN


@pytest.mark.parametrize("token", ["a\r\nx-injected: 1", "a b", "a\x00", "토큰", "a\x7f"], ids=ascii)
def test_a_token_that_no_header_can_carry_is_unreadable(token):
    assert unreadable(token_body(token)) == "the token has characters that no header can carry"


@pytest.mark.parametrize(
    ("ends", "says"),
    [
        *((ends, NO_END) for ends in ("", "2026", "2026112308450", "202611230845000", None, 20261123084500)),
        ("２０２６１１２３０８４５００", NO_END),
        ("2026-11-23T08:", NO_END),
        ("20261323084500", "expires_dt is not a date"),
        ("20260230000000", "expires_dt is not a date"),
        ("20261123240000", "expires_dt is not a date"),
        ("20261123086000", "expires_dt is not a date"),
        ("20261123084560", "expires_dt is not a date"),
        ("00000101000000", "expires_dt is not a date"),
    ],
    ids=str,
)
def test_an_end_that_is_no_instant_is_unreadable(ends, says):
    assert unreadable(token_body(ends=ends)) == says


@pytest.mark.parametrize(("missing", "says"), [("token", NO_TOKEN), ("expires_dt", NO_END)])
def test_an_answer_without_token_or_end_is_unreadable(missing, says):
    assert unreadable(token_body().replace(missing.encode(), b"other")) == says


def unreadable(body: bytes) -> str:
    """Why an answer yields no token."""
    with pytest.raises(Unreadable) as refusal:
        read_token(reply(body))
    return str(refusal.value)


def test_an_ended_token_is_said_so():
    assert read_revoked(reply(sample("revoked.json"))) is None


def test_wrong_keys_are_denied_even_in_a_flood():
    with pytest.raises(Denied):
        read_token(reply(sample("refused_8001.json"), status=429))


BODY = token_body(SENTINEL)


@unhurried
@given(
    st.integers(0, len(BODY)),
    st.binary(max_size=3),
    st.integers(0, 3),
    st.sampled_from([200, 200, 401, 429, 500]),
)
def test_no_error_shows_the_token_of_a_broken_answer(place, put, removed, status):
    body = BODY[:place] + put + BODY[place + removed :]
    assert SENTINEL not in shown(refused(lambda: read_token(reply(body, status=status))))


def test_an_answer_cut_anywhere_yields_no_token_and_shows_none():
    for length in range(len(BODY)):
        error = refused(lambda length=length: read_token(reply(BODY[:length])))
        assert isinstance(error, Unreadable)
        assert SENTINEL not in shown(error)


def test_a_token_that_was_read_is_not_shown():
    assert SENTINEL not in repr(read_token(reply(BODY)))


def shown(error: BaseException | None) -> str:
    """Everything that a log or a traceback could show of an error and its causes."""
    text = ""
    while error is not None:
        text += "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))
        error = error.__cause__
    return text


@pytest.mark.parametrize(
    "request_",
    [ask_token(Secret("app"), Secret(SENTINEL)), ask_revoke(Secret("app"), Secret("s"), Secret(SENTINEL))],
    ids=["token", "revoke"],
)
def test_a_request_that_carries_keys_does_not_show_them(request_: ApiRequest):
    assert SENTINEL.encode() in request_.body
    assert SENTINEL not in f"{request_!r} {request_}"
