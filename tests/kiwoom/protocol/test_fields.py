"""The grammar of single values."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.kiwoom.protocol import numbers
from collector.kiwoom.protocol.numbers import FieldError, Memo

unhurried = settings(deadline=None, max_examples=60)  # how fast a shared machine is at the moment is no law

TOLERATED = [
    pytest.param("0", 0, id="zero"),
    pytest.param("-0", 0, id="signed zero"),
    pytest.param("+70100", 70100, id="plus"),
    pytest.param("-500", -500, id="minus"),
    pytest.param("--714", -714, id="surplus minus"),
    pytest.param("++714", 714, id="surplus plus"),
    pytest.param(" \t5 ", 5, id="blanks around"),
    pytest.param("00000116", 116, id="padded with zeros"),
    pytest.param("0" * 20 + "116", 116, id="padded past any width"),
    pytest.param("-" + "0" * 5000 + "116", -116, id="padded with thousands of zeros"),
    pytest.param("1,234", 1234, id="digit groups"),
    pytest.param("-12,345,678", -12345678, id="signed digit groups"),
    pytest.param("2147483646", 2**31 - 2, id="largest we store"),
    pytest.param("-2147483646", 2 - 2**31, id="smallest we store"),
    pytest.param("2147484", 2147484, id="beside a saturated integer in thousands"),
    pytest.param("32767", 2**15 - 1, id="16 bits are a price"),
    pytest.param("65535", 2**16 - 1, id="16 bits without sign are a price"),
]
REFUSED = [
    *("", " ", "+", "-", "--", "---5", "+-5", "-+5", "- 5", "5-", "1 2"),
    *(
        "1,23",
        "1234,567",
        ",123",
        "1,",
        "1,,234",
        "1_000",
        "0x10",
        "1e9",
        "1.0",
        ".5",
        "NaN",
        "Infinity",
        "abc",
    ),
    *("１２３", "٣", "५", "²", "5\n", "\n5", "\xa05", "5\0", "5\u200b", "−5", "9" * 16, "9" * 5000),
]


@pytest.mark.parametrize(("text", "number"), TOLERATED)
def test_a_whole_number_with_one_reading_is_read(text, number):
    assert numbers.parse_signed(text) == number


@pytest.mark.parametrize("text", REFUSED, ids=ascii)
@pytest.mark.parametrize(
    "parse", [numbers.parse_signed, numbers.volume, numbers.sign], ids=lambda p: p.__name__
)
def test_a_whole_number_without_one_reading_is_refused(parse, text):
    assert refusal(parse, text) == "is not a whole number"


@pytest.mark.parametrize("text", [text for text in REFUSED if text.strip(" ")], ids=ascii)
def test_a_price_without_one_reading_is_refused(text):
    assert refusal(numbers.price, text) == "is not a whole number"


@pytest.mark.parametrize(
    ("text", "won"),
    [
        ("+68100", 68100),
        ("-66000", 66000),
        ("67500", 67500),
        ("--714", 714),
        ("0", None),
        ("-0", None),
        ("", None),
        (" ", None),
        ("\t", None),
        ("00000", None),
    ],
)
def test_a_price_loses_its_direction_and_zero_and_blank_are_no_quote(text, won):
    assert numbers.price(text) == won


@pytest.mark.parametrize("number", [2**31 + 1, -(2**31), 10**15 - 1])
def test_what_does_not_fit_its_column_is_refused(number):
    for parse in (numbers.parse_signed, numbers.price):
        assert refusal(parse, str(number)) == "is larger than a won amount can be"


@pytest.mark.parametrize("number", [10**15, 2**53, 2**63 - 1, 2**63])
def test_what_has_more_than_fifteen_digits_is_no_number_at_all(number):
    for parse in (numbers.parse_signed, numbers.price, numbers.volume):
        assert refusal(parse, str(number)) == "is not a whole number"


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("0.00", 0),
        ("+0.89", 89),
        ("-1.95", -195),
        ("29.9", 2990),
        ("30", 3000),
        ("--1.5", -150),
        ("-0.05", -5),
        ("+1,234.56", 123456),
        ("2684354.55", 2**28 - 1),
        ("-2684354.55", 1 - 2**28),
    ],
)
def test_a_rate_is_read_in_basis_points(text, points):
    assert numbers.basis_points(text) == points


@pytest.mark.parametrize(
    "text", ["", "1.", ".5", "1.234", "1,5", "1.2.3", "0,89", "1e2", "5%", "９.9", "1.２"]
)
def test_a_rate_without_one_reading_is_refused(text):
    assert refusal(numbers.basis_points, text) == "is not a percentage with at most two decimals"


@pytest.mark.parametrize("text", ["2684354.56", "-2684354.56", "999999999999999"])
def test_a_rate_that_does_not_fit_beside_its_sign_is_refused(text):
    assert refusal(numbers.basis_points, text) == "is larger than a rate can be"


@pytest.mark.parametrize("text", ["-1", "-4294967295", "-1,000"])
def test_a_volume_is_never_negative(text):
    assert refusal(numbers.volume, text) == "is a negative volume"


def test_a_volume_may_pass_32_bits():
    assert numbers.volume("4294967296") == 2**32


@pytest.mark.parametrize("text", ["4294967295", "+4294967295", "0004294967295", "4,294,967,295"])
def test_a_volume_that_is_minus_one_without_its_sign_is_refused(text):
    """It is what other calls of the API were seen to send; alone, and among others, which take the quicker way."""
    assert refusal(numbers.volume, text) == "is an integer at the end of its range, not a volume"
    with pytest.raises(FieldError, match="end of its range"):
        numbers.volumes(["1", text, "2"])
    with pytest.raises(FieldError, match="end of its range"):
        numbers.amounts([["1", "1", "1"]], ["0", "0", "0"], ["1", text, "2"])


SATURATED = ["2147483647", "2147483648", "4294967295", "9223372036854775807", "18446744073709551615"]
THOUSANDTHS = ["2147483", "4294967"]


@pytest.mark.parametrize("text", [*SATURATED, *(f"-{text}" for text in SATURATED), "02147483647"])
def test_a_saturated_integer_is_no_number_of_any_kind(text):
    for parse in (numbers.parse_signed, numbers.price, numbers.volume, numbers.basis_points):
        with pytest.raises(FieldError):
            parse(text)
    for columns in (
        ([["1", text]], ["0", "0"], ["1", "2"]),
        ([["1", "1"]], ["0", text], ["1", "2"]),
        ([["1", "1"]], ["0", "0"], [text, "2"]),
    ):
        with pytest.raises(FieldError):
            numbers.amounts(*columns)
    with pytest.raises(FieldError):
        numbers.volumes(["1", text])


@pytest.mark.parametrize("text", [*THOUSANDTHS, *(f"-{text}" for text in THOUSANDTHS)])
def test_a_thousandth_of_a_saturated_integer_is_no_price_change_or_rate(text):
    for parse in (numbers.parse_signed, numbers.price, numbers.basis_points):
        with pytest.raises(FieldError):
            parse(text)
    for columns in (([["1", text]], ["0", "0"], ["1", "2"]), ([["1", "1"]], ["0", text], ["1", "2"])):
        with pytest.raises(FieldError):
            numbers.amounts(*columns)


@pytest.mark.parametrize("text", ["2147483.64", "2147483.65", "-2147483.00", "4294967.29", "21474836.47"])
def test_a_rate_made_of_a_saturated_integer_is_refused(text):
    with pytest.raises(FieldError):
        numbers.basis_points(text)


@pytest.mark.parametrize("text", [*THOUSANDTHS, "32767", "65535", "2147483646", "4294967294", "21474836470"])
def test_a_volume_beside_a_saturated_integer_is_a_volume(text):
    assert numbers.volume(text) == int(text)
    assert list(numbers.volumes(["1", text])) == [1, int(text)]
    assert list(numbers.amounts([["1", "1"]], ["0", "0"], ["1", text]).volume) == [1, int(text)]


@pytest.mark.parametrize("text", ["1", "2", "3", "4", "5", "+5", "05"])
def test_a_sign_is_one_of_five(text):
    assert numbers.sign(text) == int(text)


@pytest.mark.parametrize("text", ["0", "6", "-3", "33"])
def test_there_are_no_other_signs(text):
    assert refusal(numbers.sign, text) == "is not a sign from 1 to 5"


@pytest.mark.parametrize(
    ("text", "suffix", "read"),
    [
        pytest.param("005930", "", ("005930", True), id="KRX"),
        pytest.param("0126Z0", "", ("0126Z0", True), id="a code with a letter"),
        pytest.param("005930_NX", "_NX", ("005930", True), id="NXT"),
        pytest.param("005930_AL", "_AL", ("005930", True), id="consolidated"),
        pytest.param("005930", "_NX", ("005930", False), id="lacks its suffix"),
        pytest.param("005930_NX", "", ("005930", False), id="has a suffix too many"),
        pytest.param("005930_AL", "_NX", ("005930", False), id="another exchange's suffix"),
    ],
)
def test_a_symbol_is_six_characters_and_the_suffix_of_its_exchange(text, suffix, read):
    assert numbers.symbol(text, suffix) == read


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00593",
        "0059300",
        "00593a",
        "00593é",
        "００５９３０",
        "005930_",
        "005930_XX",
        "005930_nx",
        "005930__NX",
        "005930_NX_AL",
        "005930NX",
        "_NX",
        " 005930",
        "005930\n",
        "005930_NX\n",
        "00593\x00",
        "😀05930",
    ],
    ids=ascii,
)
def test_what_is_no_symbol_is_refused(text):
    assert refusal(lambda text: numbers.symbol(text, ""), text) == "is not a stock code"


@pytest.mark.parametrize("text", ["삼성전자", "KODEX 200", "<script>", "가", "가" * 40, "𠀀"])
def test_a_name_is_kept_as_it_is(text):
    assert numbers.name(f" {text} ") == text


@pytest.mark.parametrize(
    "text", ["", "  ", "가" * 41, "a\0b", "a\nb", "a\x1b[31m", "a\ud800", "a\u202eb"], ids=ascii
)
def test_a_name_that_cannot_be_shown_is_refused(text):
    assert refusal(numbers.name, text) == "is not a name of 1 to 40 printable characters"


@unhurried
@given(st.text() | st.text("0123456789+-,. ", max_size=20))
def test_only_field_errors_escape(text):
    for parse in (
        numbers.parse_signed,
        numbers.price,
        numbers.volume,
        numbers.basis_points,
        numbers.sign,
        numbers.name,
    ):
        outcome(lambda parse=parse: parse(text))


ODD = [
    "",
    " ",
    "7 ",
    "+7",
    "--7",
    "+-7",
    "7-",
    "1,234",
    "-1",
    "+5,6",
    "5,",
    ",",
    "٣",
    "1_0",
    "\ud800",
    "1.00\n2.00",
    "-0.05",
    "0" * 20 + "5",
]
ODD += ["2147483648", "-2147483648", "9" * 16, "9" * 5000]
COLUMNS = st.lists(
    st.integers(-9999, 10**10).map(str) | st.decimals(-99, 99, places=2).map(str) | st.sampled_from(ODD),
    min_size=1,
) | st.lists(st.sampled_from("12345"), min_size=1)


def won(text):
    return numbers.price(text) or 0


def amounts(*, price=None, change=None, volume=None):
    """One column among others that are plain."""
    plain = ["-12"] * len(price or change or volume)
    shares = ["12"] * len(plain)
    return numbers.amounts([plain, price or plain, plain], change or plain, volume or shares)


@unhurried
@given(COLUMNS)
@pytest.mark.parametrize(
    ("whole", "single"),
    [
        pytest.param(lambda column: amounts(change=column).change, numbers.parse_signed, id="change"),
        pytest.param(lambda column: amounts(price=column).prices[1], won, id="price"),
        pytest.param(lambda column: amounts(volume=column).volume, numbers.volume, id="volume"),
        pytest.param(numbers.volumes, numbers.volume, id="volume alone"),
        pytest.param(lambda column: numbers.signs(column)[0], numbers.sign, id="sign"),
    ],
)
def test_a_column_reads_as_each_of_its_texts(whole, single, column):
    assert outcome(lambda: list(whole(column))) == outcome(lambda: [single(text) for text in column])


def refusal(parse, text):
    """Why a text is refused, in the words that stand beside it in quarantine."""
    with pytest.raises(FieldError) as caught:
        parse(text)
    return str(caught.value)


class Joined(str):
    """A text that may be read among others, and not by itself."""

    def __getitem__(self, _):
        raise AssertionError("a plain text was looked at alone")

    def strip(self, *_):
        return self[:]


def joined(*texts):
    return list(map(Joined, texts))


def test_a_page_of_plain_amounts_is_read_all_at_once():
    """That is what makes it quick; the borders of what has a column are as plain as the rest."""
    found = numbers.amounts(
        [
            joined("70100", "-69400", "0"),
            joined("+70200", "2147473646", "-2147473646"),
            joined("1", "2", "-3"),
        ],
        joined("+500", "-2147472646", "0"),
        joined("0", "999999999999999", "4295000000"),
    )
    assert list(map(list, found.prices)) == [[70100, 69400, 0], [70200, 2147473646, 2147473646], [1, 2, 3]]
    assert list(found.change) == [500, -2147472646, 0]
    assert list(found.volume) == [0, 10**15 - 1, 4295000000]
    assert found.decorated == 0


def test_a_column_of_plain_volumes_or_signs_is_read_all_at_once():
    assert list(numbers.volumes(joined("12", "0", "999999999999999"))) == [12, 0, 10**15 - 1]
    signs, decorated = numbers.signs(joined("1", "2", "3", "4", "5"))
    assert (list(signs), decorated) == ([1, 2, 3, 4, 5], 0)


def test_plain_numbers_come_a_column_each():
    decoder = msgspec.json.Decoder(list[int])
    assert numbers.plain_numbers(decoder, [["12", "-3"], ["0", "45"], ["6", "7"]]) == [
        [12, -3],
        [0, 45],
        [6, 7],
    ]
    assert numbers.plain_numbers(decoder, [["12", "+3"], ["0", "45"]]) is None
    assert numbers.plain_numbers(decoder, [["12", "3,4"], ["0", "45"]]) is None


@pytest.mark.parametrize("text", ["5", "05"], ids=["at once", "one by one"])
def test_columns_have_the_widths_that_are_stored_however_they_were_read(text):
    """Won take four bytes and shares eight, both with a sign."""
    found = numbers.amounts([["12", text]], ["12", "7"], ["12", text])
    widths = [column.typecode for column in (*found.prices, found.change, found.volume)]
    assert widths == ["i", "i", "q"]
    assert numbers.volumes(["12", text]).typecode == "q"
    assert numbers.signs(["1", text])[0].typecode == "b"


@pytest.mark.parametrize(
    "wrong",
    [
        {"price": ["2147483648", "1"]},
        {"price": ["1", "-2147483648"]},
        {"change": ["2147483648", "1"]},
        {"change": ["1", "-2147483648"]},
        {"volume": ["1000000000000000", "1"]},
        {"volume": ["1", "-1"]},
    ],
    ids=str,
)
def test_what_does_not_fit_its_column_is_refused_among_others(wrong):
    plain = ["1", "2"]
    with pytest.raises(FieldError):
        numbers.amounts([wrong.get("price", plain)], wrong.get("change", plain), wrong.get("volume", plain))


@pytest.mark.parametrize(
    ("prices", "change", "volume", "decorated"),
    [
        pytest.param(
            [["--12", "5"], ["1", "1"]], ["0", "0"], ["1", "1"], 1, id="a price of the first column"
        ),
        pytest.param([["1", "1"], ["12", ""]], ["0", "0"], ["1", "1"], 1, id="no price in the second"),
        pytest.param([["1", "1"]], ["--714", "007"], ["1", "1"], 2, id="both changes"),
        pytest.param([["1", "1"]], ["0", "0"], ["1,000", "1"], 1, id="a volume"),
        pytest.param([[" 1", "1"]], ["0", "+0 "], ["++1", "1"], 3, id="one of each"),
    ],
)
def test_amounts_are_counted_that_are_not_written_plainly(prices, change, volume, decorated):
    assert numbers.amounts(prices, change, volume).decorated == decorated


def test_no_price_is_a_zero_beside_whatever_else():
    assert list(numbers.amounts([["", "0", "05"]], ["0"] * 3, ["1"] * 3).prices[0]) == [0, 0, 5]


def test_signs_are_counted_that_are_not_written_plainly():
    signs, decorated = numbers.signs(["1", "02", "+5"])
    assert (list(signs), decorated) == ([1, 2, 5], 1)


def test_rates_are_looked_at_for_how_they_are_written_once_one_was_odd():
    rates = numbers.Rates()
    assert [rates["1.50"], rates["-0.05"]] == [150, -5]
    assert rates.count_noncanonical(["--1.5"]) == 0
    assert rates["--1.5"] == -150
    assert rates["2.00"] == 200
    assert rates.count_noncanonical(["1.50", "--1.5", "2.00", "--1.5"]) == 2


class Pair(msgspec.Struct):
    change: str
    ask: str


@pytest.mark.parametrize(
    ("row", "wrong"),
    [
        (Pair("-5", ""), None),
        (Pair("5-", ""), "change is not a whole number"),
        (Pair("-5", "2147483648"), "ask is larger than a won amount can be"),
        (Pair("5-", "x"), "change is not a whole number"),
    ],
    ids=str,
)
def test_the_first_wrong_value_of_a_row_is_named_with_what_is_wrong(row, wrong):
    assert numbers.first_wrong(row, {"change": numbers.parse_signed, "ask": numbers.price}) == wrong


def outcome(read):
    try:
        return read()
    except FieldError:
        return "refused"


def test_a_number_between_a_million_blanks_takes_no_time_to_refuse():
    """Were the grammar quadratic, this would take hours."""
    for text in (" " * 10**6 + "x", "1" + " " * 10**6 + "x", "1," * 10**6):
        with pytest.raises(FieldError):
            numbers.parse_signed(text)


def test_a_memo_parses_a_text_once_and_forgets_all_when_full():
    parsed = []
    memo = Memo(lambda text: parsed.append(text) or len(parsed), size=2)
    assert [memo[text] for text in ("a", "a", "b", "c", "a")] == [1, 1, 2, 3, 4]
    assert len(memo) == 2


def test_a_memo_keeps_neither_refused_nor_long_texts():
    memo = Memo(numbers.parse_signed)
    assert memo[" " * 1000 + "5"] == 5
    with pytest.raises(FieldError):
        memo["x"]
    assert not memo


def test_a_memo_keeps_texts_of_up_to_64_characters():
    memo = Memo(numbers.parse_signed)
    assert [memo[" " * 63 + "5"], memo[" " * 64 + "7"]] == [5, 7]
    assert list(memo) == [" " * 63 + "5"]
