"""ka20002: a page is read as the documentation says, or not at all."""

import json
import random
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.errors import Unreadable
from collector.kiwoom.protocol import read_prices
from collector.model import Exchange, Page, Quote
from tests.support import reference_decoder
from tests.support.recorded_answers import FIELDS, LAST, page, refused, reply, row, sample

unhurried = settings(deadline=None, max_examples=60)  # how fast a shared machine is at the moment is no law


def read(body: bytes, *headers: tuple[str, str], exchange: Exchange = Exchange.KRX) -> Page:
    return read_prices(reply(body, *headers), exchange)


def test_the_official_pages_own_example_is_read():
    found = read(sample("official_page.json"), *LAST)
    first, *_, fourth, _ = found.rows
    assert first == Quote(
        *("005930", "삼성전자", 6200, 0, 0, 3, 116), ask=6990, bid=None, open=6200, high=6200, low=6200
    )
    assert fourth == Quote(
        *("005930", "삼성전자", 68100, 600, 89, 2, 3), ask=None, bid=68100, open=67500, high=68100, low=66000
    )
    assert (found.size, found.bad, found.next_key, found.surplus, found.wrong_suffix) == (5, [], None, 0, 0)


def test_rows_captured_from_the_server_are_read():
    assert list(read(sample("captured_2026-07-09.json"), *LAST).rows) == [
        Quote("000020", "동화약품", 5020, -100, -195, 5, 44331, 5020, 5010, 5080, 5170, 4960),
        Quote("000040", "KR모터스", 267, 0, 0, 3, 0, None, None, None, None, None),
        Quote("000050", "경방", 8180, -120, -145, 5, 34020, 8180, 8160, 8300, 8400, 8110),
    ]


@pytest.mark.parametrize("name", ["official_page.json", "captured_2026-07-09.json"])
def test_the_slow_decoder_agrees_on_the_samples(name):
    assert list(read(sample(name)).rows) == list(reference_decoder.rows(sample(name)))


def test_an_empty_list_is_an_empty_page():
    found = read(page([]), *LAST)
    assert (found.size, found.next_key) == (0, None)


@pytest.mark.parametrize(
    ("exchange", "code", "wrong"),
    [
        (Exchange.KRX, "005930", 0),
        (Exchange.KRX, "005930_AL", 1),
        (Exchange.NXT, "005930_NX", 0),
        (Exchange.NXT, "005930", 1),
        (Exchange.CONSOLIDATED, "0126Z0_AL", 0),
        (Exchange.CONSOLIDATED, "0126Z0_NX", 1),
    ],
)
def test_symbols_without_the_suffix_of_their_exchange_are_counted(exchange, code, wrong):
    body = page([row(stk_cd=code), row(stk_cd=code, stk_nm=a_new_name())])
    for _ in range(2):  # who is on a page is looked up when it comes again
        found = read(body, exchange=exchange)
        assert (found.rows.symbol[0], found.wrong_suffix) == (code[:6], 2 * wrong)


@pytest.mark.parametrize(
    ("exchange", "suffix", "around"),
    [
        pytest.param(Exchange.KRX, "", "", id="texts as they are kept"),
        pytest.param(Exchange.NXT, "_NX", "", id="a suffix"),
        pytest.param(Exchange.KRX, "", " ", id="blanks around a name"),
    ],
)
def test_pages_that_list_the_same_share_who_is_on_them(exchange, suffix, around):
    names = [a_new_name(), a_new_name()]
    rows = [row(stk_cd=f"00000{n}{suffix}", stk_nm=f"{around}{name}") for n, name in enumerate(names)]
    first, again = (read(page(rows), exchange=exchange).rows.listings for _ in range(2))
    assert (first.symbol, first.name) == (("000000", "000001"), tuple(names))
    assert again is first
    assert read(page(rows[::-1]), exchange=exchange).rows.listings.name == tuple(names[::-1])


def a_new_name() -> str:
    """One that no test has had, nor an earlier run of this one in the same process."""
    return f"처음 {uuid4().hex}"


@pytest.mark.parametrize(
    ("changed", "decorated"),
    [
        ({}, 0),
        ({"cur_prc": "+6200", "pred_pre": "-0", "flu_rt": "-1.95", "sel_bid": "0", "now_trde_qty": "0"}, 0),
        ({"cur_prc": "--6200", "now_trde_qty": "1,234"}, 2),
        ({"sel_bid": ""}, 1),
        ({"buy_bid": " 6190 "}, 1),
        ({"pred_pre": "0010"}, 1),
        ({"pred_pre_sig": "02"}, 1),
        ({"flu_rt": "--1.95"}, 1),
        ({"flu_rt": "1,234.50", "open_pric": "++6200"}, 2),
    ],
    ids=str,
)
def test_numbers_that_are_read_in_spite_of_how_they_are_written_are_counted(changed, decorated):
    """What they look like has one reading; but that the API writes so at all should be known."""
    for _ in range(2):  # what was seen before is no less odd
        found = read(page([row(), row(stk_cd="000660") | changed, row(stk_cd="000670")]))
        assert (found.bad, found.decorated) == ([], decorated)


@pytest.mark.parametrize(
    ("headers", "announced"),
    [
        pytest.param([("resp-cnt", "100")], 100, id="a number"),
        pytest.param([("RESP-CNT", " 007 ")], 7, id="padded"),
        pytest.param([], None, id="absent"),
        pytest.param([("resp-cnt", "")], None, id="empty"),
        pytest.param([("resp-cnt", "many")], -1, id="no number"),
        pytest.param([("resp-cnt", "-1")], -1, id="negative"),
        pytest.param([("resp-cnt", "٣")], -1, id="other digits"),
        pytest.param([("resp-cnt", "9" * 5000)], -1, id="huge"),
    ],
)
def test_the_rows_that_the_server_counts_are_kept_beside_those_that_came(headers, announced):
    assert read(page([row()]), ("cont-yn", "N"), *headers).announced == announced


def test_a_page_knows_whether_the_server_said_that_it_is_the_last():
    assert not read(page([row()]), ("cont-yn", "N")).end_unsaid
    assert not read(page([row()]), ("cont-yn", "Y"), ("next-key", "a")).end_unsaid
    assert read(page([row()]), ("cont-yn", "")).end_unsaid
    assert read(page([row()]), ("api-id", "ka20002")).end_unsaid


BROKEN = [
    pytest.param(row(cur_prc="abc"), "cur_prc", id="no number"),
    pytest.param(row(cur_prc="２００"), "cur_prc", id="full-width digits"),
    pytest.param(row(sel_bid="2147483648"), "sel_bid", id="past int4"),
    pytest.param(row(pred_pre=""), "pred_pre", id="a blank change"),
    pytest.param(row(flu_rt="1.234"), "flu_rt", id="three decimals"),
    pytest.param(row(now_trde_qty="-5"), "now_trde_qty", id="a negative volume"),
    pytest.param(row(pred_pre_sig="6"), "pred_pre_sig", id="no sign"),
    pytest.param(row(stk_cd="12345é"), "stk_cd", id="no symbol"),
    pytest.param(row(stk_nm="a\0b"), "stk_nm", id="NUL in a name"),
    pytest.param(row(stk_nm="\ud800"), "stk_nm", id="half a surrogate pair"),
    pytest.param(row(stk_nm="긴" * 5000), "stk_nm", id="a long name"),
    pytest.param(row(low_pric=None), "low_pric", id="null"),
    pytest.param(row(flu_rt=1.5), "flu_rt", id="a float"),
    pytest.param(row(cur_prc=70100), "cur_prc", id="an integer"),
    pytest.param(row(cur_prc=["1"]), "cur_prc", id="a list"),
    pytest.param(row(cur_prc={"a": "1"}), "cur_prc", id="an object"),
    pytest.param(
        {name: text for name, text in row().items() if name != "high_pric"}, "high_pric", id="missing"
    ),
    pytest.param(dict.fromkeys(FIELDS, ""), "stk_cd", id="blank"),
    pytest.param(row(**{"\ud800": "1"}), "key", id="half a surrogate pair in a key"),
    pytest.param({}, "stk_cd", id="an empty object"),
    pytest.param(None, "object", id="null for a row"),
    pytest.param("005930", "object", id="a text for a row"),
    pytest.param(["005930"], "object", id="a list for a row"),
]


@pytest.mark.parametrize(("broken", "reason"), BROKEN)
def test_a_row_that_does_not_decode_is_kept_as_it_was_sent_and_the_others_are_read(broken, reason):
    found = read(page([row(stk_cd="000010"), broken, row(stk_cd="000030")]))
    assert list(found.rows.symbol) == ["000010", "000030"]
    assert json.loads(found.bad[0].raw) == broken
    assert reason in found.bad[0].reason
    assert found.size == 3


def test_half_a_surrogate_pair_in_a_key_is_named():
    assert read(page([row(**{"\ud800": "1"})])).bad[0].reason == "has a key with half a surrogate pair"


@pytest.mark.parametrize(("broken", "reason"), BROKEN)
def test_what_goes_to_quarantine_is_text_that_a_database_takes(broken, reason):
    raw = read(page([broken])).bad[0].raw
    assert raw.encode()
    assert "\0" not in raw


@pytest.mark.parametrize("listed", [None, {}, "x", 5])
def test_a_page_whose_list_is_none_is_unreadable(listed):
    with pytest.raises(Unreadable, match="no list"):
        read(page([], inds_stkpc=listed))


def test_a_page_without_a_list_is_unreadable():
    with pytest.raises(Unreadable, match="no list"):
        read(page([]).replace(b"inds_stkpc", b"inds_stkpx"))


@pytest.mark.parametrize("added", [{}, {"added": 1}], ids=["quick", "strict"])
def test_a_good_page_of_another_call_is_unreadable(added):
    with pytest.raises(Unreadable, match="another call"):
        read(page([row(**added)]), ("api-id", "ka10001"), ("cont-yn", "N"))


def test_undocumented_fields_are_counted_and_their_rows_read():
    found = read(page([row(added="1"), row(), row(a="1", b=2)], more={"deep": []}))
    assert (found.size, len(found.rows), found.surplus) == (3, 3, 4)


def test_a_renamed_field_is_not_guessed():
    renamed = {("curPrc" if name == "cur_prc" else name): text for name, text in row().items()}
    assert "cur_prc" in read(page([renamed])).bad[0].reason


@pytest.mark.parametrize("good", [True, False], ids=["rows", "garbage"])
def test_a_page_larger_than_any_sector_is_unreadable(good):
    with pytest.raises(Unreadable, match="10,000"):
        read(
            page([row() if good else 0]).replace(
                b"]", b",%b]" % b",".join([json.dumps(row()).encode()] * 10_000)
            )
        )


FULL = page([row(stk_cd=f"{number:06d}", stk_nm=f'이름 "{number}" \\') for number in range(100)])


def test_a_page_cut_at_any_byte_yields_nothing():
    body = sample("captured_2026-07-09.json")
    assert {type(refused(lambda cut=cut: read(body[:cut]))) for cut in range(len(body))} == {Unreadable}


@unhurried
@given(st.integers(0, len(FULL) - 1))
def test_a_full_page_cut_at_any_byte_yields_nothing(length):
    assert isinstance(refused(lambda: read(FULL[:length])), Unreadable)


# The quick way to read a page counts quotes to know that no key came twice. What follows tries to betray it.

PLAIN_ROW = json.dumps(row(), ensure_ascii=False, separators=(",", ":")).encode()
LIST = b'"inds_stkpc":[%b]' % PLAIN_ROW
END = b'"return_code":0,"return_msg":"ok"'


def document(*parts: bytes) -> bytes:
    return b"{%b}" % b",".join(parts)


def changed(old: bytes, new: bytes, body: bytes | None = None) -> bytes:
    body = document(LIST, END) if body is None else body
    assert old in body
    return body.replace(old, new, 1)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(changed(b'"cur_prc"', b'"cur_prc":"1","cur_prc"'), id="a price twice"),
        pytest.param(
            changed(b'"cur_prc"', b'"cur_pr\\u0063":"1","cur_prc"'), id="a price twice, once escaped"
        ),
        pytest.param(changed(b'"return_msg":"ok"', b'"return_code":1'), id="return_code twice, no message"),
        pytest.param(
            changed(b'"return_msg":"ok"', b'"return_code":1,"return_msg":1'), id="the message no text"
        ),
        pytest.param(changed(b'"stk_nm"', b'"stk_cd"'), id="a code twice, no name"),
        pytest.param(document(LIST, b'"inds_stkpc":[]', END), id="rows, then none"),
        pytest.param(document(b'"inds_stkpc":[]', LIST, END), id="none, then rows"),
        pytest.param(document(b'"inds_stkpc":null', LIST, END), id="null, then rows"),
        pytest.param(
            document(b'"inds_stkpc":[]', LIST, b'"return_code":0,"return_msg":0'), id="no text to count"
        ),
        pytest.param(document(LIST, b'"return_code":1', END), id="an error, then success"),
        pytest.param(document(LIST, END, b'"x":{"a":1,"a":2}'), id="twice inside an unknown object"),
        pytest.param(changed(PLAIN_ROW, b'{"a":1,"a":2}'), id="twice inside a row that is none"),
        pytest.param(changed(b'"+70100"', b'{"a":1,"a":2}'), id="twice inside a value that is none"),
        pytest.param(changed(b'"+70100"', b'7,"cur_prc":1'), id="numbers need no quotes"),
        pytest.param(changed(b'"+70100"', b'null,"cur_prc":"1"'), id="null needs no quotes"),
    ],
)
def test_a_key_that_stands_twice_is_found_wherever_it_hides(body):
    with pytest.raises(reference_decoder.Wrong):
        reference_decoder.document(body)
    with pytest.raises(Unreadable):
        read(body)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"\xef\xbb\xbf" + document(LIST, END), id="byte order mark"),
        pytest.param(b"\r\n\t " + document(LIST, END) + b"\n\n", id="blanks around"),
        pytest.param(
            json.dumps(json.loads(document(LIST, END)), indent=7).encode(), id="indented, ASCII only"
        ),
        pytest.param(document(END, LIST), id="the list last"),
        pytest.param(changed("삼성전자".encode(), b'\\"A\\"'), id="quotes in a name"),
        pytest.param(changed("삼성전자".encode(), b"\\u0022A\\u0022"), id="escaped quotes in a name"),
        pytest.param(changed("삼성전자".encode(), b"A\\\\"), id="a backslash before the quote"),
        pytest.param(changed("삼성전자".encode(), b'\\",\\"cur_prc\\":\\"1'), id="a key inside a name"),
        pytest.param(changed("삼성전자".encode(), b"\\ud83d\\ude00"), id="a surrogate pair"),
        pytest.param(changed(b'"stk_cd"', b'"stk\\u005fcd"'), id="an escaped key"),
        pytest.param(changed(b'"ok"', b'"\\"ok\\""'), id="quotes in the message"),
        pytest.param(changed(b'"return_code":0', b'"return_code":-0'), id="minus zero"),
        pytest.param(changed(b'"return_msg":"ok"', b'"x":""'), id="no message but another text"),
    ],
)
def test_one_content_reads_alike_however_it_is_written(body):
    assert list(read(body).rows) == list(reference_decoder.rows(body))
    assert read(body).size == 1


CODES = st.tuples(
    st.text("0123456789AZ", min_size=6, max_size=6), st.sampled_from(["", "", "_NX", "_AL"])
).map("".join)
NUMBERS = (
    st.integers(0, 2**31).map(str)
    | st.sampled_from(["2147483", "4294967", "2147483647", "4294967295", "2147483648", "2147483.64"])
    | st.integers(0, 10**6).map("{:,}".format)
    | st.text("0123456789", max_size=17)
)
DECORATED = st.tuples(
    st.sampled_from(["", "", "", " ", "\t"]),
    st.sampled_from(["", "", "+", "-", "--", "++", "+-", "---"]),
    NUMBERS,
    st.sampled_from(["", "", "", " ", ".", ".5", ".00", ".123"]),
).map("".join)
PLAIN = st.tuples(
    st.sampled_from(["", "+", "-"]),
    st.integers(0, 10**7).map(str) | st.sampled_from(["2147483", "4294967", "2147483647"]),
).map("".join)
TEXTS = PLAIN | DECORATED | st.text(max_size=4)
RATES = (
    st.tuples(st.sampled_from(["", "+", "-"]), st.decimals(0, 30, places=2).map(str)).map("".join) | DECORATED
)
ROWS = st.fixed_dictionaries(
    dict.fromkeys(FIELDS, TEXTS)
    | {
        "stk_cd": CODES | st.text("0123456789ABCXaé_", max_size=10),
        "stk_nm": st.text(min_size=1, max_size=42),
        "pred_pre_sig": st.sampled_from("123451234503 +"),
        "flu_rt": RATES,
        "now_trde_qty": PLAIN.map(lambda text: text.lstrip("+-")) | TEXTS,
    }
)
FINE = st.fixed_dictionaries(
    dict.fromkeys(FIELDS, PLAIN)
    | {
        "stk_cd": CODES,
        "stk_nm": st.sampled_from(["삼성전자", 'A "B" C', "back\\slash", "KODEX 200"]),
        "pred_pre_sig": st.sampled_from("12345"),
        "flu_rt": st.decimals(0, 30, places=2).map(str),
        "now_trde_qty": st.integers(0, 10**10).map(str),
    }
)


def agrees(body: bytes, found: Page) -> None:
    """The page holds what the slow decoder finds, value for value, and keeps the rest."""
    expected = list(reference_decoder.rows(body))
    assert list(found.rows) == [values for values in expected if values]
    assert len(found.bad) == sum(values is None for values in expected)


@pytest.mark.extended
@unhurried
@given(
    st.lists(ROWS | FINE, max_size=8), st.booleans(), st.sampled_from([None, 1]), st.sampled_from(Exchange)
)
def test_the_slow_decoder_agrees_on_every_value(rows, ascii_only, indent, exchange):
    text = json.dumps(
        {"inds_stkpc": rows, "return_code": 0, "return_msg": ""}, ensure_ascii=ascii_only, indent=indent
    )
    body = text.encode("utf-8", "backslashreplace")
    agrees(body, read(body, exchange=exchange))


@pytest.mark.extended
@unhurried
@given(st.lists(FINE, max_size=3), st.integers(0, 2**32))
def test_a_bent_page_is_refused_or_means_what_it_says(rows, seed):
    """Bytes are dropped, doubled, swapped; what is still read must be strict JSON and equal the slow reading."""
    body = bent(page(rows), random.Random(seed))
    if refused(lambda: read(body)) is None:
        agrees(body, read(body))


PIECES = [
    b'"',
    b'\\"',
    b"\\",
    b",",
    b":",
    b"{",
    b"}",
    b"[",
    b"]",
    b"0",
    b"-",
    b" ",
    b"\n",
    b"\0",
    b"\xff",
    b"null",
]
PIECES += [
    b'"cur_prc":"1",',
    b'"return_code":0,',
    b'"return_code":1,',
    b'"inds_stkpc":[],',
    b'"",',
    b"\xef\xbb\xbf",
]


def bent(body: bytes, dice: random.Random) -> bytes:
    for _ in range(dice.randint(1, 3)):
        place, until = sorted((dice.randrange(len(body) + 1), dice.randrange(len(body) + 1)))
        change = dice.randrange(4)
        if change == 0:
            body = body[:place] + dice.choice(PIECES) + body[place:]
        elif change == 1:
            body = body[:place] + body[place + dice.randint(1, 3) :]
        elif change == 2:
            body = body[:until] + body[place:]
        else:
            body = body.replace(dice.choice(PIECES), dice.choice(PIECES), dice.randint(1, 2))
    return body
