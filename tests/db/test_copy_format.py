"""COPY's bytes, read back by another reader."""

from array import array
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.db.copy_format import COLUMNS, encode_copy
from collector.model import KST, Column, Quote
from tests.support.harness import columns

unhurried = settings(deadline=None, max_examples=60)  # how fast a shared machine is at the moment is no law

SLOT = datetime(2026, 11, 20, 10, 0, tzinfo=KST)
ROW = Quote("005930", "삼성전자", 70100, 500, 72, 2, 9263135, 70200, None, 69800, 70500, 69400)
ROW_VALUES = {
    "volume": 9263135,
    "listing": 7,
    "price": 70100,
    "change": 500,
    "rate": 72 * 8 + 2,
    "ask": 70200,
}
ROW_VALUES |= {"bid": 0, "open": 69800, "high": 70500, "low": 69400, "position": 1}


class Reader:
    """PostgreSQL's documented format of COPY … WITH (FORMAT binary): big-endian, each value behind its length."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        self.at += size
        assert self.at <= len(self.data)
        return self.data[self.at - size : self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big", signed=True)

    def value(self) -> int:
        return self.number(self.number(4))

    def rows(self) -> list[dict[str, int]]:
        assert self.take(11) == b"PGCOPY\n\xff\r\n\0"
        assert (self.number(4), self.number(4)) == (0, 0)
        found = []
        while (columns := self.number(2)) != -1:
            assert columns == len(COLUMNS)
            found.append({column: self.value() for column in COLUMNS})
        assert self.at == len(self.data)
        return found


def unpacked(rows: list[Quote], *, slot: datetime = SLOT, target: int = 3) -> list[dict[str, int]]:
    return Reader(encode_copy(slot, target, [columns(rows)], [listings(rows)]).copy).rows()


def listings(rows: list[Quote]) -> Column:
    return array("i", range(7, 7 + len(rows)))


def test_a_row_is_its_values_in_the_order_of_the_columns():
    microseconds = (SLOT - datetime(2000, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert unpacked([ROW]) == [{"slot": microseconds, "target": 3} | ROW_VALUES]


def test_no_rows_are_a_header_and_a_trailer():
    assert unpacked([]) == []


def test_columns_have_the_widths_of_the_table():
    reader = Reader(encode_copy(SLOT, 3, [columns([ROW])], [listings([ROW])]).copy)
    reader.take(21)
    widths = []
    for _ in COLUMNS:
        widths.append(reader.number(4))
        reader.take(widths[-1])
    assert widths == [8, 2, 8, 4, 4, 4, 4, 4, 4, 4, 4, 4, 2]


def test_a_slot_is_an_instant_whatever_its_zone():
    assert unpacked([ROW], slot=SLOT) == unpacked([ROW], slot=SLOT.astimezone(UTC))


WON = st.none() | st.integers(1, 2**31 - 1)
ROWS = st.lists(
    st.builds(
        Quote,
        st.text("0123456789", min_size=6, max_size=6),
        st.sampled_from(["가", "나"]),
        WON,
        st.integers(1 - 2**31, 2**31 - 1),
        st.integers(1 - 2**28, 2**28 - 1),
        st.integers(1, 5),
        st.integers(0, 10**15 - 1),
        *([WON] * 5),
    ),
    max_size=5,
)


@unhurried
@given(ROWS)
def test_what_was_packed_is_found_again(rows):
    found = [
        Quote(
            *rows[row["listing"] - 7][:2],
            row["price"] or None,
            row["change"],
            row["rate"] >> 3,
            row["rate"] & 7,
            row["volume"],
            *(row[name] or None for name in ("ask", "bid", "open", "high", "low")),
        )
        for row in unpacked(rows)
    ]
    assert found == rows
    assert [row["position"] for row in unpacked(rows)] == list(range(1, len(rows) + 1))


def digest(rows: list[Quote], slot: datetime = SLOT, target: int = 3) -> bytes:
    return encode_copy(slot, target, [columns(rows)], [array("i", (int(row.symbol) for row in rows))]).digest


@pytest.mark.extended
@unhurried
@given(ROWS, st.integers(0, 5))
def test_pages_are_packed_as_the_list_that_they_are_parts_of(rows, first):
    parts = [rows[:first], rows[first:]]
    numbers = listings(rows)
    apart = encode_copy(SLOT, 3, [columns(part) for part in parts], [numbers[:first], numbers[first:]])
    assert apart == encode_copy(SLOT, 3, [columns(rows)], [numbers])


def test_a_digest_is_the_same_in_the_next_version():
    """It lies in the ledger, and `verify` compares it for years."""
    assert digest([ROW, OTHER]).hex() == "e7e91b2356a0d305"


@unhurried
@given(ROWS)
def test_two_walks_that_saw_the_same_have_one_digest(rows):
    assert digest(rows) == digest(list(rows), SLOT + timedelta(minutes=5), 4)


OTHER = Quote("005931", "삼성전자", 70101, 501, 73, 1, 9263136, 70201, 1, 69801, 70501, 69401)


@pytest.mark.parametrize("field", [field for field in Quote._fields if field != "name"])
def test_another_value_is_another_digest(field):
    assert digest([ROW]) != digest([ROW._replace(**{field: getattr(OTHER, field)})])


def test_another_order_or_another_length_is_another_digest():
    digests = {digest(rows) for rows in ([], [ROW], [OTHER], [ROW, OTHER], [OTHER, ROW], [ROW, ROW])}
    assert len(digests) == 6


def test_a_walk_has_no_more_rows_than_a_position_can_count():
    most = [ROW] * (2**15 - 1)
    assert encode_copy(SLOT, 3, [columns(most)], [array("i", [7]) * len(most)]).copy.endswith(
        b"\x7f\xff\xff\xff"
    )
    with pytest.raises(OverflowError):
        encode_copy(SLOT, 3, [columns([*most, ROW])], [array("i", [7]) * (len(most) + 1)])


@pytest.mark.parametrize("numbers", [[], [1], [1, 2, 3]], ids=len)
def test_no_row_is_lost_for_want_of_a_number(numbers):
    with pytest.raises(ValueError, match="extended slice"):
        encode_copy(SLOT, 3, [columns([ROW, OTHER])], [array("i", numbers)])
