"""Decodes the rows of calls with few rows, one by one: a row in, a value or a bad row out.

`quotes` and `bars` convert whole columns, because a sweep has thousands of rows. The calls of a witness have
a few dozen rows, so a plain function for each row is enough.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from collector.kiwoom.protocol.numbers import FieldError, basis_points, parse_signed
from collector.kiwoom.protocol.strict_json import as_sent
from collector.model import BadRow

RowT = TypeVar("RowT", bound=msgspec.Struct)
T = TypeVar("T")


def decode_rows(
    sent: Sequence[object], kind: type[RowT], decode: Callable[[RowT], T]
) -> tuple[list[T], list[BadRow]]:
    """Decode each row by itself. A row with a missing field or a wrong value is returned as a bad row."""
    good: list[T] = []
    bad: list[BadRow] = []
    for row in sent:
        try:
            good.append(decode(msgspec.convert(row, kind)))
        except (msgspec.ValidationError, FieldError) as error:
            bad.append(BadRow(as_sent(row), str(error)))
        except UnicodeEncodeError:
            bad.append(BadRow(as_sent(row), "has a key with half a surrogate pair"))
    return good, bad


def count(text: str) -> int:
    """Parse a number of listings: 0 or more."""
    value = parse_signed(text)
    if not 0 <= value <= 100_000:
        raise FieldError("is not a count from 0 to 100,000")
    return value


def hundredths(text: str) -> int:
    """Parse an index level or its change, in hundredths, with its sign; the API sends two decimals."""
    return basis_points(text)
