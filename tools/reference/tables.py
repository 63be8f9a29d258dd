"""Views and functions of schema `public`, from a migrated database."""

import re
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from collector.db.pool import Connection
from tools.reference.markdown import block, code, sentence, table

COLUMNS = """
SELECT c.relname::text AS view, obj_description(c.oid) AS about, a.attname::text AS column,
       format_type(a.atttypid, a.atttypmod) AS type, col_description(c.oid, a.attnum) AS comment
FROM pg_class AS c
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('v', 'r', 'm')
ORDER BY c.relname, a.attnum
"""
FUNCTIONS = """
SELECT p.proname::text AS name, pg_get_function_arguments(p.oid) AS arguments,
       pg_get_function_result(p.oid) AS result, obj_description(p.oid) AS about
FROM pg_proc AS p
WHERE p.pronamespace = 'public'::regnamespace
ORDER BY 1, 2
"""
INTRODUCTION = """\
# Tables and functions

Readers use the views and functions of the schema `public`; they are stable. The schema `collector` behind them
may change with each version. Prices are whole won without a sign. NULL means "no quote" or "no trade", never 0.
Days are Korean days. Examples: [read from SQL](../how-to/read-from-sql.md).
"""


async def page(connection: Connection) -> str:
    """All views with their columns, then all functions."""
    columns = await connection.fetch(COLUMNS)
    functions = await connection.fetch(FUNCTIONS)
    views = [_view(list(rows)) for _, rows in groupby(columns, key=lambda row: row["view"])]
    return "\n".join([INTRODUCTION, "## Views\n", *views, "## Functions\n", *map(_function, functions)])


def _view(rows: Sequence[Any]) -> str:
    cells = [(code(row["column"]), row["type"], row["comment"] or "") for row in rows]
    about = sentence(rows[0]["about"] or "")
    return "\n".join([f"### {rows[0]['view']}\n", about, "", table(("column", "type", ""), cells), ""])


def _function(row: Any) -> str:
    signature = f"{row['name']}({_one_per_line(row['arguments'])})\n-> {_result(row['result'])}"
    return "\n".join([f"### {row['name']}\n", sentence(row["about"] or ""), "", block(signature), ""])


def _one_per_line(arguments: str) -> str:
    parts = re.sub(r"::text\b", "", arguments).replace("timestamp with time zone", "timestamptz")
    return "".join(f"\n    {part}," for part in parts.split(", ")).rstrip(",") + "\n"


def _result(result: str) -> str:
    text = result.replace("timestamp with time zone", "timestamptz").replace('"', "")
    if match := re.fullmatch(r"TABLE\((.*)\)", text):
        return f"TABLE({_one_per_line(match[1])})"
    return text
