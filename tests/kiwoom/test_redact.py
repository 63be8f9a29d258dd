"""What a server quotes of a secret comes out masked, in whatever part and spelling, and nothing else does."""

import html
import json
from base64 import b32encode, b64encode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.kiwoom.redact import Redactor
from collector.model import KST, Exchange
from collector.secret import Secret
from kiwoom_simulator import Options, Simulator
from tests.support import secret_sentinels

KEY = "vN5/yT8+bR2mK7jQh4LzaW9_cX3dS6-fG1eZ0uHpMiY"
TOKEN = "WQJCwyqInphKnR9bSRtB9NE1lvcTRx2K7dLm5sVfYh8gPzXoUaEtI3kJ6rD4wN0u"
FROZEN = datetime(2026, 11, 20, 14, 0, tzinfo=KST)

PARTS = {
    "all of it": lambda text: text,
    "its first 24": lambda text: text[:24],
    "its last 24": lambda text: text[-24:],
    "all but four": lambda text: text[:-4],
    "all but the first four": lambda text: text[4:],
    "eight in the middle": lambda text: text[9:17],
}
SPELLINGS = {
    "plain": lambda text: text,
    "in capitals": str.upper,
    "in small letters": str.lower,
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON with slashes escaped": lambda text: text.replace("/", "\\/"),
    "JSON in JSON": lambda text: json.dumps(json.dumps({"a": text}).replace("/", "\\/"))[1:-1],
    "JSON in numbers": lambda text: "".join(f"\\u{ord(char):04x}" for char in text),
    "base64": lambda text: b64encode(text.encode()).decode(),
    "base64 after one more": lambda text: b64encode(b"x" + text.encode()).decode(),
    "base64 after two more": lambda text: b64encode(b"Basic " + b"xy" + text.encode()).decode(),
    "base64 for addresses": lambda text: urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "base64 in lines": lambda text: "\n".join(_cut(b64encode(text.encode()).decode(), 9)),
    "hexadecimal": lambda text: text.encode().hex(),
    "hexadecimal in capitals": lambda text: text.encode().hex().upper(),
    "hexadecimal with colons": lambda text: text.encode().hex(":"),
    "percent": lambda text: quote(text, safe=""),
    "percent throughout": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "HTML": html.escape,
    "HTML in numbers": lambda text: "".join(f"&#{ord(char)};" for char in text),
    "HTML in hexadecimal": lambda text: "".join(f"&#x{ord(char):X};" for char in text),
    "repr of bytes": lambda text: repr(text.encode()),
    "Python in hexadecimal": lambda text: "".join(f"\\x{ord(char):02x}" for char in text),
    "in lines": lambda text: "\n".join(_cut(text, 5)),
    "in escaped lines": lambda text: "\\r\\n".join(_cut(text, 7)),
    "with blanks": " ".join,
    "with hyphens": lambda text: "-".join(_cut(text, 4)),
}


def _cut(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def redactor(*secrets: str) -> Redactor:
    made = Redactor()
    made.learn([Secret(secret) for secret in secrets])
    return made


@pytest.mark.parametrize(
    "secret", [KEY, TOKEN, secret_sentinels.APP_KEY + secret_sentinels.TOKEN], ids=["key", "token", "both"]
)
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("is_error", [True, False])
def test_no_part_of_a_secret_is_left(secret: str, part: str, is_error: bool) -> None:
    for spelling, spell in SPELLINGS.items():
        quoted = spell(PARTS[part](secret))
        text = f'{{"return_code": 9, "return_msg": "거부: {quoted} [확인]", "rows": "{"." * 2000}"}}'
        shown = redactor(KEY, TOKEN, secret).redact(text.encode(), is_error=is_error).decode()
        assert "***" in shown, spelling
        assert shown.startswith('{"return_code": 9, "return_msg": "거부: '), spelling
        left = {left for left in _runs(quoted, 12) if left in shown}
        assert not left, spelling


def _runs(text: str, size: int) -> set[str]:
    """What is searched for: twelve characters of a spelling, the edge of an encoded window included."""
    return {text[start : start + size] for start in range(len(text) - size + 1)}


def test_both_ends_around_another_mask_are_gone() -> None:
    quoted = f"token {TOKEN[:12]}****{TOKEN[-12:]} refused".encode()
    assert redactor(TOKEN).redact(quoted, is_error=True) == b"token ******* refused".replace(
        b"*" * 7, b"*" * 10
    )


@given(st.integers(0, len(TOKEN) - 8), st.integers(8, len(TOKEN)), st.text(max_size=20), st.text(max_size=20))
def test_whatever_eight_characters_are_quoted_they_are_gone(
    start: int, size: int, before: str, after: str
) -> None:
    part = TOKEN[start : start + size]
    shown = redactor(TOKEN).redact(f"{before} {part} {after}".encode("utf-8", "surrogatepass"), is_error=True)
    assert part.encode() not in shown
    assert not any(TOKEN[at : at + 8].encode() in shown for at in range(len(TOKEN) - 7))


@cache
def rows_of_a_page() -> Sequence[Mapping[str, str]]:
    """A hundred rows as the API serves them."""
    return Simulator(Options(freeze=FROZEN)).market.rows("001", Exchange.KRX, FROZEN)[:100]


def page(*, names: str = "") -> bytes:
    """A page of them; `names` stands in one name."""
    rows = [dict(row) for row in rows_of_a_page()]
    rows[50]["stk_nm"] += names
    document = {"inds_stkpc": rows, "return_code": 0, "return_msg": "정상적으로 처리되었습니다"}
    return json.dumps(document, ensure_ascii=False).encode()


def test_a_page_of_prices_comes_back_as_the_very_bytes() -> None:
    body, known = page(), redactor(KEY, TOKEN)
    assert len(body) > 20_000
    assert all(known.redact(body) is body for _ in range(3))


@pytest.mark.parametrize("digits", ["123456789012", "000000000000", "98765432109876543210"])
def test_a_key_of_digits_takes_no_price_away(digits: str) -> None:
    body = json.dumps({"cur_prc": "+12345678", "now_trde_qty": "900000000", "stk_cd": "123456"}).encode() * 50
    assert redactor(digits).redact(body) == body
    assert redactor(digits).redact(f"key {digits} refused".encode(), is_error=True) == b"key *** refused"


@pytest.mark.parametrize("short", ["key", "secret", "12345678", "bench"])
def test_what_is_shorter_than_any_key_is_left(short: str) -> None:
    assert redactor(short).redact(short.encode() * 3, is_error=True) == short.encode() * 3


def test_part_of_a_token_in_a_name_is_masked_wherever_the_page_was_seen_before() -> None:
    known = redactor(KEY, TOKEN)
    assert known.redact(page()) == page()
    shown = known.redact(page(names=TOKEN[10:30]))
    assert TOKEN[10:18].encode() not in shown
    assert len(json.loads(shown)["inds_stkpc"]) == 100


def test_a_secret_that_is_learnt_later_is_found_in_what_was_clean_before() -> None:
    known = redactor(KEY)
    body = page(names=TOKEN[10:30])
    assert known.redact(body) is body
    known.learn([Secret(TOKEN)])
    assert TOKEN[10:18].encode() not in known.redact(body)


ODD = ["-", ".", " ", "Σ", "İ", "%41", "\\u0041", "&amp;", "\udc80", "삼성"]
PARTICLES = [*_cut(TOKEN, 5), *_cut(TOKEN.upper(), 7), *ODD]


@given(st.lists(st.one_of(st.sampled_from(PARTICLES), st.text(max_size=3)), max_size=12))
def test_a_name_of_a_page_is_searched_like_an_error(particles: list[str]) -> None:
    name = "".join(particles).replace('"', "")
    body = f'{{"stk_nm":"{name}","rows":"{"." * 2000}"}}'.encode("utf-8", "surrogatepass")
    assert redactor(TOKEN).redact(body) == redactor(TOKEN).redact(body, is_error=True)


def test_what_is_no_usual_encoding_is_not_looked_for() -> None:
    """The bound of it: a server that means to hand a secret on can always find another way."""
    odd = b32encode(TOKEN.encode())
    assert redactor(TOKEN).redact(odd, is_error=True) == odd


@given(st.binary(max_size=300))
def test_whatever_the_bytes_are_they_are_looked_through_without_an_error(body: bytes) -> None:
    assert isinstance(redactor(KEY, TOKEN).redact(body, is_error=True), bytes)


SNIPPETS = [
    *TOKEN[:12], *TOKEN[:12].upper(), *"-.:|, +\n\t\"'", "\u0130", "\u212a", "가", "\\", "%", "&",
    *(spell(TOKEN[:12]) for spell in SPELLINGS.values()),
]  # fmt: skip


@given(st.lists(st.sampled_from(SNIPPETS)).map("".join))
def test_the_quick_look_passes_nothing_that_the_slow_one_masks(text: str) -> None:
    known, body, escape = redactor(TOKEN), text.encode(), b" \\"  # the quick look passes no escape
    assert known.redact(body + escape, is_error=True) == known.redact(body, is_error=True) + escape
