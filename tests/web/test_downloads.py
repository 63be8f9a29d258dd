"""Downloads: what a page shows, as CSV, JSON and Parquet, in its order and with its filter."""

import csv
import io
import json

import pyarrow.parquet as pq
import pytest

from collector.web.tables import encode, table
from tests.support.web_harness import ELECTRONICS, KRX, Page, get

PATHS = [
    *(
        f"/sector/{KRX}",
        f"/sector/{KRX}/course",
        "/heat/KOSPI/KRX",
        "/listing/000002",
        "/failures",
        "/sectors",
    ),
    *("/day/2026-11-20", "/slot/20261120T091500", f"/walk/20261120T090000/{KRX}", f"/compare?targets={KRX}"),
    *("/search?q=1", "/walk/20261120T091500/KOSPI/008/KRX", "/failures?day=2026-11-19"),
]


def formed(path: str, form: str) -> str:
    address, _, query = path.partition("?")
    return f"{address}.{form}" + (f"?{query}" if query else "")


@pytest.mark.parametrize("path", PATHS)
async def test_the_three_forms_have_the_same_rows(shown: Page, path: str) -> None:
    answers = {form: await get(shown.url, formed(path, form)) for form in ("csv", "json", "parquet")}
    assert {status for status, _, _ in answers.values()} == {200}
    rows = json.loads(answers["json"][2])
    listed = list(csv.DictReader(io.StringIO(answers["csv"][2].decode())))
    file = pq.read_table(io.BytesIO(answers["parquet"][2]))
    assert len(rows) == len(listed) == file.num_rows
    assert answers["csv"][2].decode().splitlines()[0].split(",") == file.column_names
    if rows:
        assert list(rows[0]) == file.column_names
        told = [
            {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()}
            for row in file.to_pylist()
        ]
        assert told == rows


async def test_a_download_has_the_order_of_the_page_and_a_name(shown: Page) -> None:
    prices = {}
    for order in ("price", "name"):
        _, headers, body = await get(shown.url, f"/sector/{ELECTRONICS}.csv?order={order}")
        prices[order] = [row[order] for row in csv.DictReader(io.StringIO(body.decode()))]
        assert headers["content-disposition"] == 'attachment; filename="sector-KOSPI-013-KRX.csv"'
    assert prices["price"] == sorted(prices["price"], key=int, reverse=True)
    assert prices["name"] == sorted(prices["name"])


def test_a_mixed_column_becomes_text_in_parquet() -> None:
    data = encode(table("a b", [(1, "x"), ("y", None)]), "parquet")
    assert pq.read_table(io.BytesIO(data)).to_pylist() == [{"a": "1", "b": "x"}, {"a": "y", "b": None}]
