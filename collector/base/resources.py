"""Finds the files that travel with the program: migrations, sector table, calendar, example config.

They lie at the top level of a checkout, where people look for them; a wheel carries them in `collector/data`.
"""

from pathlib import Path

_DATA = Path(__file__).resolve().parents[1] / "data"
_ROOT = _DATA if (_DATA / "config").is_dir() else _DATA.parents[1]


def path(*parts: str) -> Path:
    """Where a shipped file or folder lies, e.g. `path("config", "sectors.csv")`; nobody writes there."""
    return _ROOT.joinpath(*parts)


def is_checkout() -> bool:
    """Whether the program runs from a checkout, where `./dev` is, rather than from a wheel."""
    return _ROOT != _DATA
