"""Array types that a connection knows from its start."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from collector.db.array_types import ARRAYS
from collector.db.dsn import Dsn
from collector.db.pool import connect

VALUES: dict[str, list[Any]] = {
    "_bool": [True, None, False],
    "_bytea": [b"\x00\xff"],
    "_int2": [-32768, 32767],
    "_int4": [[1, 2], [3, 4]],
    "_int8": [2**62, None],
    "_float8": [0.1],
    "_timestamptz": [datetime(2026, 11, 20, 2, 0, 0, 1, tzinfo=UTC)],
    "_date": [date(2026, 11, 20)],
    "_interval": [timedelta(days=1, microseconds=1)],
    "_numeric": [Decimal("0.10")],
}


async def test_the_server_gives_the_types_these_numbers(database: Dsn) -> None:
    async with connect(database) as connection:
        rows = await connection.fetch(
            "SELECT typname::text, oid::integer, typelem::integer FROM pg_type WHERE typname = ANY ($1)",
            [*ARRAYS],
        )
    assert {name: (oid, element) for name, oid, element in rows} == ARRAYS


async def test_an_array_goes_and_comes_back_without_a_question_about_its_type(database: Dsn) -> None:
    wanted = {f"SELECT $1::{name.removeprefix('_')}[]": VALUES[name] for name in ARRAYS}
    async with connect(database) as connection:
        queries: list[str] = []
        connection.add_query_logger(lambda record: queries.append(record.query))
        assert {query: await connection.fetchval(query, value) for query, value in wanted.items()} == wanted
    assert queries == [*wanted]
