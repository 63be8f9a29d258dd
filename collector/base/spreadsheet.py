"""Keeps a text in a CSV file from being run as a formula by a spreadsheet. Pure.

Excel, LibreOffice and Google Sheets run a cell as a formula if it begins with one of = + - @, also after a
tab or a carriage return; `=HYPERLINK(…)` sends the content of other cells to a stranger. Names come from the
API and can be any text. OWASP advises an apostrophe in front: it makes the cell a text. Numbers stay numbers.
"""

import csv
import re
from collections.abc import Iterable
from typing import TextIO

FORMULA = r"^[\t\r\n ]*[=+@\-\x{FF1D}\x{FF0B}\x{FF20}\x{FF0D}]|^[\t\r]"
"""The beginning of a dangerous cell, in RE2's syntax; some programs accept the full-width signs as well."""
NUMBER = r"^[+\-]?([0-9]+(\.[0-9]+)?([eE][+\-]?[0-9]+)?|[iI]nfinity)$"
_FORMULA = re.compile(re.sub(r"\\x\{([0-9A-F]{4})\}", r"\\u\1", FORMULA))
_NUMBER = re.compile(NUMBER, re.ASCII)


def escape_formula(value: object) -> object:
    """Put an apostrophe in front of a text that a spreadsheet would run; return any other value unchanged."""
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


class CsvWriter:
    """Writes rows as CSV (RFC 4180, lines end in LF) with escaped formulas; every writer of text cells uses it.

    `csv.writer` leaves a carriage return unquoted if lines end in LF, and readers would break the line there.
    A row with a carriage return is therefore quoted as a whole.
    """

    def __init__(self, stream: TextIO) -> None:
        self._plain = csv.writer(stream, lineterminator="\n")
        self._quoted = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL)

    def write(self, row: Iterable[object]) -> None:
        cells = [escape_formula(cell) for cell in row]
        has_return = any("\r" in cell for cell in cells if isinstance(cell, str))
        (self._quoted if has_return else self._plain).writerow(cells)
