"""Finds the files that travel with the program: migrations, sector table, calendar, example config.

They lie at the top level of a checkout, where people look for them; a wheel carries them inside this package.
"""

from pathlib import Path

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE if (_HERE / "config").is_dir() else _HERE.parents[1]


def path(*parts: str) -> Path:
    """Where a shipped file or folder lies, e.g. `path("config", "sectors.csv")`; nobody writes there."""
    return _ROOT.joinpath(*parts)


def is_checkout() -> bool:
    """Whether the program runs from a checkout, where `./dev` is, rather than from a wheel."""
    return _ROOT != _HERE
