"""Finds the files shipped with the program: migrations, sector table, calendar, example config.

They are at the top level of a checkout, where people look for them; a wheel has them in `collector/data`.
"""

from pathlib import Path

_DATA = Path(__file__).resolve().parents[1] / "data"
_ROOT = _DATA if (_DATA / "config").is_dir() else _DATA.parents[1]


def path(*parts: str) -> Path:
    """Return the path of a shipped file or folder, e.g. `path("config", "sectors.csv")`; the program only
    reads it."""
    return _ROOT.joinpath(*parts)


def is_checkout() -> bool:
    """Whether the program runs from a checkout, with `./dev`, rather than from a wheel."""
    return _ROOT != _DATA
