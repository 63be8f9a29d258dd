"""The best-known listings of both markets; they make a demo look like the real market.

The file lists them by kind, largest first. Names, codes and industries are public facts. The prices are only of a
plausible size. An industry of "-" means that the listing belongs to none.
"""

import csv
from functools import cache
from pathlib import Path
from typing import NamedTuple

_FILE = Path(__file__).parents[1] / "data" / "known_listings.csv"


class KnownListing(NamedTuple):
    """A real listing. `price` is the centre of its simulated price, in won."""

    symbol: str
    name: str
    industry: str
    price: int


def known_listings(kind: str) -> tuple[KnownListing, ...]:
    """The listings of a kind: `kospi`, `kosdaq`, `preferred`, `reits`, `funds` or `etfs`."""
    return _read()[kind]


@cache
def _read() -> dict[str, tuple[KnownListing, ...]]:
    listings: dict[str, tuple[KnownListing, ...]] = {}
    with _FILE.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            listing = KnownListing(row["symbol"], row["name"], row["industry"], int(row["price"]))
            listings[row["kind"]] = (*listings.get(row["kind"], ()), listing)
    return listings
