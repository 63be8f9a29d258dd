"""Plausible names for the invented listings: enough of them, without duplicates.

The parts of the names are in a file. Their order decides the names of a market, so a new part goes to the end of
its group.
"""

import csv
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path

_FILE = Path(__file__).parents[1] / "data" / "name_parts.csv"


def company(trade: str) -> Iterator[str]:
    """Company names of one line of business, the plainest first."""
    for style, last, first in product(
        _parts("company_style"), _parts(f"company_last:{trade}"), _parts("company_first")
    ):
        yield f"{first}{style}{last}"


def preferred_names(common: str) -> Iterator[str]:
    """The names of a company's preferred stocks."""
    yield from (f"{common}우", f"{common}2우B", f"{common}3우B")


def spac() -> Iterator[str]:
    for series, issuer in product(range(8, 30), _parts("issuer")):
        yield f"{issuer}{series}호스팩"


def etf() -> Iterator[str]:
    for variant, theme, brand in product(_parts("etf_variant"), _parts("etf_theme"), _parts("etf_brand")):
        yield f"{brand} {theme}{variant}"


def etn() -> Iterator[str]:
    for hedge, underlying, leverage, issuer in product(
        _parts("etn_hedge"), _parts("etn_underlying"), _parts("etn_leverage"), _parts("issuer")
    ):
        yield f"{issuer} {leverage}{' ' if leverage else ''}{underlying} ETN{hedge}"


def _parts(group: str) -> tuple[str, ...]:
    return _read()[group]


@cache
def _read() -> dict[str, tuple[str, ...]]:
    parts: dict[str, tuple[str, ...]] = {}
    with _FILE.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            parts[row["part"]] = (*parts.get(row["part"], ()), row["text"])
    return parts
