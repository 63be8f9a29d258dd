"""Parses single values: Kiwoom sends every number as text, sometimes with decorations.

Python's own `int()` accepts full-width digits, underscores and any blank; this grammar is ASCII only. It
tolerates unambiguous decorations (blanks around, zero padding, digit groups, one surplus sign as in `--714`,
seen in other calls of the API), counts them, and refuses the rest with `FieldError`.
"""

import re
import struct
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Annotated, NamedTuple, TypeAlias, TypeVar

import msgspec

from collector.model import Column

_BODY = r"[ \t]*(\+\+?|--?)?(0*[0-9]{1,15}|[0-9]{1,3}(?:,[0-9]{3}){1,4})"
_WHOLE = re.compile(_BODY + r"[ \t]*", re.ASCII)
_RATE = re.compile(_BODY + r"(?:\.([0-9]{1,2}))?[ \t]*", re.ASCII)
_PLAIN = re.compile(r"[+-]?(?:0|[1-9][0-9]*)(?:\.[0-9]{1,2})?", re.ASCII)
_SYMBOL = re.compile(r"([0-9A-Z]{6})((?:_NX|_AL)?)", re.ASCII)

INT4 = 2**31 - 1
RATE_LIMIT = INT4 // 8
"""Largest rate. Basis points are stored with the sign 1–5 packed beneath them, see
docs/decisions/0002-storage-layout.md."""
NAME_LENGTH = 40
_KEPT_LENGTH = 64

_SIGNS = frozenset("+-")
_MOST_SHARES = 10**15 - 1
_SATURATED = frozenset({2**31 - 1, 2**31, 2**32 - 1})
"""Integers at the end of their range, without their sign, as other calls of the API sent them.

Such a value means an overflow or an unset number in the server: it is never data. The limits of 64 bits have
more digits than a number may have. 32767 and 65535 are not here: both are plausible prices and volumes.
"""
_SATURATED_THOUSANDTHS = frozenset({2**31 // 1000, 2**32 // 1000})
"""The same divided by 1000: impossible as a price or change, because at that height prices are multiples of
1,000 won (ETF: of 5 won).

As volumes they are accepted: ka20002 and ka10081 give shares, not thousands, and such volumes occur.
"""
_TRACES = tuple(str(value // 1000).encode() for value in (2**31, 2**32))
"""First digits of each saturated integer of up to 15 digits: a quick search rules most pages out."""
_SIGN_OF = bytes(byte - ord("0") if byte in b"12345" else 0 for byte in range(256))
_Numbers: TypeAlias = msgspec.json.Decoder[list[int]]
_any = msgspec.json.Decoder(list[int])
_shares = msgspec.json.Decoder(list[Annotated[int, msgspec.Meta(ge=0, le=_MOST_SHARES)]])

T = TypeVar("T")


class FieldError(ValueError):
    """A value that this grammar refuses; the text has the reason, without the value."""


class Memo(dict[str, T]):
    """A cache of decoded texts: quotes repeat between columns, pages and sectors.

    A hit costs a dict look-up instead of a parse. A full cache is cleared, which bounds memory for any input.
    Refused texts are never kept, nor long ones (a number may have many blanks around it).
    """

    def __init__(self, parse: Callable[[str], T], *, size: int = 1 << 15) -> None:
        super().__init__()
        self._parse = parse
        self._size = size

    def __missing__(self, text: str) -> T:
        value = self._parse(text)
        if len(self) >= self._size:
            self.clear()
        if len(text) <= _KEPT_LENGTH:
            self[text] = value
        return value


def _whole(text: str) -> int:
    digits = text[1:] if text[:1] in _SIGNS else text
    if digits.isdigit() and digits.isascii() and len(digits) <= 15:
        return int(text)  # the plain form, nearly always
    match = _WHOLE.fullmatch(text)
    if match is None:
        raise FieldError("is not a whole number")
    value = _digits(match[2])
    return -value if match[1] and match[1][0] == "-" else value


def _digits(text: str) -> int:
    return int(text.replace(",", "").lstrip("0") or "0")  # int() refuses thousands of zeros


def parse_signed(text: str) -> int:
    """Parse a change in won; the sign counts."""
    value = _whole(text)
    if abs(value) > INT4:
        raise FieldError("is larger than a won amount can be")
    if abs(value) in _SATURATED or abs(value) in _SATURATED_THOUSANDTHS:
        raise FieldError("is an integer at the end of its range, not an amount")
    return value


def price(text: str) -> int | None:
    """Parse a price in won. A leading sign, the direction against the previous close, is dropped; 0 or blank:
    no quote."""
    if not text.strip(" \t"):
        return None
    return abs(parse_signed(text)) or None


def volume(text: str) -> int:
    """Parse a volume in shares; never negative."""
    value = _whole(text)
    if value < 0:
        raise FieldError("is a negative volume")
    if value in _SATURATED:
        raise FieldError("is an integer at the end of its range, not a volume")
    return value


def basis_points(text: str) -> int:
    """Parse a rate in percent with at most two decimals, as whole hundredths of a percent."""
    match = _RATE.fullmatch(text)
    if match is None:
        raise FieldError("is not a percentage with at most two decimals")
    value = _digits(match[2]) * 100 + int((match[3] or "").ljust(2, "0"))
    if value > RATE_LIMIT:
        raise FieldError("is larger than a rate can be")
    if value // 100 in _SATURATED_THOUSANDTHS:
        raise FieldError("is an integer at the end of its range, not a rate")
    return -value if match[1] and match[1][0] == "-" else value


def count_noncanonical(texts: Iterable[str]) -> int:
    """Count the numbers in unusual form; all of them must be valid."""
    return sum(_PLAIN.fullmatch(text) is None for text in texts)


class Rates(Memo[int]):
    """A cache of `basis_points`."""

    def __init__(self) -> None:
        super().__init__(basis_points)
        self._had_decorated = False
        """Whether an unusual form ever occurred; until then no second look is needed."""

    def __missing__(self, text: str) -> int:
        value = super().__missing__(text)
        self._had_decorated = self._had_decorated or count_noncanonical([text]) > 0
        return value

    def count_noncanonical(self, texts: Sequence[str]) -> int:
        """Count texts in unusual form; all of them were looked up before."""
        return count_noncanonical(texts) if self._had_decorated else 0


def sign(text: str) -> int:
    """Parse a sign: 1 upper limit, 2 up, 3 unchanged, 4 lower limit, 5 down (대비기호)."""
    value = _whole(text)
    if not 1 <= value <= 5:
        raise FieldError("is not a sign from 1 to 5")
    return value


def symbol(text: str, suffix: str) -> tuple[str, bool]:
    """Parse a code into its six characters, and whether it has the suffix of the requested exchange.

    Codes are `^[0-9A-Z]{6}(_NX|_AL)?$`; letters are real (0126Z0).
    """
    match = _SYMBOL.fullmatch(text)
    if match is None:
        raise FieldError("is not a stock code")
    return match[1], match[2] == suffix


def name(text: str) -> str:
    """Parse a listing's name: 1–40 printable characters (the official page's length), blanks around dropped."""
    bare = text.strip()
    if not 1 <= len(bare) <= NAME_LENGTH or not bare.isprintable():
        raise FieldError("is not a name of 1 to 40 printable characters")
    return bare


# The functions below read a page at a time, as arrays. Plain numbers, nearly always the whole page, are read
# as JSON, in a quarter of the time of `int`. Any other page is read by the functions above, with the same
# result. See docs/decisions/0009-columns-from-the-answer-to-copy.md.


class Amounts(NamedTuple):
    """The whole numbers of a page, all columns of one length; a price of 0 stands for None."""

    prices: Sequence[Column]
    change: Column
    volume: Column
    decorated: int = 0


def amounts(prices: Sequence[Sequence[str]], change: Sequence[str], volume: Sequence[str]) -> Amounts:
    """Apply `price` to several columns, `parse_signed` to one, `volume` to one."""
    return _plain_amounts(prices, change, volume) or Amounts(
        [_array("i", [price(text) or 0 for text in texts]) for texts in prices],
        _array("i", list(map(parse_signed, change))),
        volumes(volume),
        count_noncanonical(chain(*prices, change, volume)),
    )


def volumes(column: Sequence[str]) -> Column:
    """Apply `volume` to a column."""
    plain = plain_numbers(_shares, (column,))
    return _array("q", plain[0] if plain else list(map(volume, column)))


def signs(column: Sequence[str]) -> tuple[Column, int]:
    """Apply `sign` to a column; return also the number of texts in unusual form."""
    text = ",".join(column).encode("utf-8", "replace")
    digits = text[::2].translate(_SIGN_OF)
    if len(text) == 2 * len(column) - 1 and 0 not in digits:
        return array("b", digits), 0
    return array("b", map(sign, column)), count_noncanonical(column)


def _plain_amounts(
    prices: Sequence[Sequence[str]], change: Sequence[str], volume: Sequence[str]
) -> Amounts | None:
    """Read all of them at once; None if a text is not plain or out of bounds."""
    length = len(change)
    quotes = ",".join(chain.from_iterable(prices))
    text = f",{quotes},{','.join(chain(change, volume))}".encode("utf-8", "replace")
    end = 1 + len(quotes)  # end of the prices; their signs do not affect the amounts
    numbers = _read(_any, text, text[1:end].translate(None, b"+-") + text[end:].translate(None, b"+"))
    if numbers is None or len(numbers) != length * (len(prices) + 2):
        return None
    shares = numbers[-length:]
    if min(shares) < 0 or max(shares) > _MOST_SHARES or min(numbers[-2 * length : -length]) < -INT4:
        return None
    try:
        won = _array("i", numbers[:-length])
    except struct.error:  # a price or a change is larger than an int4
        return None
    *items, changes = (won[start : start + length] for start in range(0, len(won), length))
    return Amounts(items, changes, _array("q", shares))


def plain_numbers(decoder: _Numbers, columns: Sequence[Sequence[str]]) -> list[list[int]] | None:
    """Return the numbers of columns of one length with digits and at most a minus; None for any other text."""
    text = b"," + ",".join(chain.from_iterable(columns)).encode("utf-8", "replace")
    numbers = _read(decoder, text, text[1:])
    length = len(columns[0])
    if numbers is None or len(numbers) != length * len(columns):
        return None
    return [numbers[index * length : (index + 1) * length] for index in range(len(columns))]


def _read(decoder: _Numbers, text: bytes, bare: bytes) -> list[int] | None:
    """Read the numbers of texts, each after a comma; `bare` is the JSON form of the texts.

    None if there is anything but digits and a sign before them, or a prefix of a saturated integer: the
    functions for single values check those. A comma within a text gives more numbers than texts.
    """
    if any(trace in text for trace in _TRACES):
        return None
    signs = text.translate(None, b"0123456789,")
    if len(signs) != text.count(b",+") + text.count(b",-"):
        return None
    try:
        return decoder.decode(b"[%b]" % bare)
    except msgspec.MsgspecError:
        return None


def _array(form: str, numbers: Sequence[int]) -> Column:
    """Make an array from packed bytes at once; the `array` constructor would check each number slowly."""
    return array(form, struct.Struct(f"{len(numbers)}{form}").pack(*numbers))


def first_wrong(row: msgspec.Struct, grammar: Mapping[str, Callable[[str], object]]) -> str | None:
    """Return the first undecodable value of a row with the reason; None if all decode."""
    for name, parse in grammar.items():
        try:
            parse(getattr(row, name))
        except FieldError as error:
            return f"{name} {error}"
    return None
