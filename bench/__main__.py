"""Run the measurements by name; each is imported only when it is asked for."""

import sys
from importlib import import_module

EVERY = ("pipeline", "quota")
"""What a run without a name does."""
NAMED = (
    *EVERY,
    "copying",
    "layout",
    "backfill",
    "scale",
    "reads",
    "cold",
    "peers",
    "keys",
    "start",
    "report",
)


def main(arguments: list[str]) -> None:
    """Hand the arguments behind a name to `bench.NAME.main`."""
    name, *rest = arguments or [""]
    name = name.removeprefix("--")
    if name and name not in NAMED:
        print(f"bench: {name!r} is not measured; there are {', '.join(NAMED)}", file=sys.stderr)
        raise SystemExit(2)
    for each in [name] if name else EVERY:
        import_module(f"bench.{each}").main(rest)


if __name__ == "__main__":
    main(sys.argv[1:])
