"""Run the measurements by name; each is imported only when it is asked for."""

import sys
from collections.abc import Sequence
from importlib import import_module

from tests.support.interrupts import accept_interrupts

EVERY = ("pipeline", "layers", "copying", "cold", "reads", "quota", "backfill", "start")
"""What a run without a name does."""
NAMED = (
    *EVERY,
    "slots",
    "scale",
    "keys",
    "recovery",
    "read",
    "witness",
    "replay",
    "repair",
    "agreement",
    "report",
)


def main(arguments: list[str]) -> None:
    """Hand the arguments behind a name to `bench.NAME.main`."""
    name, *rest = arguments or [""]
    if name and name not in NAMED:
        print(f"bench: {name!r} is not measured; there are {', '.join(NAMED)}", file=sys.stderr)
        raise SystemExit(2)
    return _all([name] if name else EVERY, rest)


def _all(names: Sequence[str], arguments: list[str]) -> None:
    for name in names:
        if len(names) > 1:
            print(f"bench: {name}", file=sys.stderr, flush=True)
        import_module(f"bench.{name}").main(arguments)


if __name__ == "__main__":
    accept_interrupts()
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        print("bench: stopped", file=sys.stderr)
        raise SystemExit(130) from None
