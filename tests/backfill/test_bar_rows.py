"""Bars as COPY bytes, read back by the database."""

from datetime import date

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector import bar_rows
from collector.model import Bar
from collector.postgres import Address, connect

PRICE = st.none() | st.integers(1, 2**31 - 1)
BAR = st.builds(
    Bar,
    st.just("0126Z0"),
    st.dates(date(1956, 3, 3), date(2099, 12, 31)),
    *[PRICE] * 4,
    st.integers(0, 10**15 - 1),
    st.integers(-(2**31) + 1, 2**31 - 1),
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bars=st.lists(BAR, max_size=20, unique_by=lambda bar: bar.trading_date), adjusted=st.booleans())
async def test_what_is_packed_comes_back(database: Address, bars: list[Bar], adjusted: bool) -> None:
    async def source():
        yield bar_rows.pack("0126Z0", bars, adjusted=adjusted)

    async with connect(database) as connection:
        await connection.execute("TRUNCATE collector.bar")
        await connection.copy_to_table(
            "bar", source=source(), columns=bar_rows.COLUMNS, schema_name="collector", format="binary"
        )
        rows = await connection.fetch(
            "SELECT symbol, trading_date, NULLIF(open, 0), NULLIF(high, 0), NULLIF(low, 0), NULLIF(close, 0),"
            " volume, change, adjusted FROM collector.bar ORDER BY trading_date"
        )
    assert [tuple(row) for row in rows] == [(*bar, adjusted) for bar in sorted(bars, key=lambda bar: bar[1])]
