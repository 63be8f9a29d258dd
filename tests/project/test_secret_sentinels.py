"""The search for secrets finds them in whatever spelling they were let slip."""

import json
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import secret_sentinels

SPELLINGS = {
    "raw": str,
    "eight characters of it": lambda text: text[5:13],
    "backwards": lambda text: text[::-1],
    "hexadecimal": lambda text: text.encode().hex(),
    "URL": lambda text: quote(text, safe=""),
    "JSON": lambda text: json.dumps({"password": text}),
    "JSON with slashes escaped": lambda text: text.replace("/", "\\/"),
    "repr of bytes": lambda text: repr(text.encode()),
}


@pytest.mark.parametrize("name", secret_sentinels.ALL)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_is_found(spelling, name):
    text = (
        f"2026-11-22 walk.failed error={SPELLINGS[spelling](secret_sentinels.ALL[name])} target=KOSPI/001/KRX"
    )
    assert secret_sentinels.shown(text.encode()) == [name]


@given(st.binary(max_size=9), st.binary(max_size=9), st.sampled_from([b64encode, urlsafe_b64encode]))
def test_base64_is_found_wherever_it_begins(before, after, encode):
    assert "token" in secret_sentinels.shown(encode(before + secret_sentinels.TOKEN.encode() + after))


def test_what_shows_none_is_clean(tmp_path):
    (tmp_path / "clean").write_bytes(b"Authorization: Bearer ***")
    assert secret_sentinels.shown_in(tmp_path) == []


def test_files_are_named_and_those_that_must_hold_one_passed_over(tmp_path):
    (tmp_path / "log").write_bytes(b"\0binary" + secret_sentinels.PASSWORD.encode())
    (tmp_path / "app_key").write_text(secret_sentinels.APP_KEY)
    assert secret_sentinels.shown_in(tmp_path, but=["app_key"]) == [
        f"database password in {tmp_path / 'log'}"
    ]
