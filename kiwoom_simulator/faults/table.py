"""The table of all faults: what each is called, what it does, and what it can be told."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from json import dumps, loads

from kiwoom_simulator.faults.context import Args, FaultContext

Row = dict[str, object]


class Stage(IntEnum):
    """When a fault strikes."""

    REFUSE = 1
    """Instead of the answer."""
    REPLY = 2
    """What the answer says."""
    BYTES = 3
    """How it is written and delivered."""


@dataclass(frozen=True, slots=True)
class Fault:
    name: str
    stage: Stage
    about: str
    strike: Callable[[FaultContext, Args], None]
    settings: Mapping[str, str | int | float]
    apis: str
    """The api-ids that it strikes unless told otherwise: a prefix."""
    home: str
    """The module that it comes from, which says what it is about."""


FAULTS: dict[str, Fault] = {}


def fault(
    stage: Stage, about: str, *, apis: str = "ka", **settings: str | int | float
) -> Callable[[Callable[[FaultContext, Args], None]], Callable[[FaultContext, Args], None]]:
    """Enter a function into the table under its own name; `apis` is the prefix of the api-ids that it strikes."""

    def enter(strike: Callable[[FaultContext, Args], None]) -> Callable[[FaultContext, Args], None]:
        name = strike.__name__
        assert name not in FAULTS, name
        FAULTS[name] = Fault(name, stage, about, strike, settings, apis, strike.__module__)
        return strike

    return enter


def row_fault(
    about: str, **settings: str | int
) -> Callable[[Callable[[Row, FaultContext, Args], None]], Callable[[Row, FaultContext, Args], None]]:
    """Enter a fault that bends some rows of a page: `rows` of them, evenly spread."""

    def enter(bend: Callable[[Row, FaultContext, Args], None]) -> Callable[[Row, FaultContext, Args], None]:
        def strike(case: FaultContext, args: Args) -> None:
            rows = rows_of(case)
            count = min(args.number("rows"), len(rows))
            for index in range(count):
                bend(rows[(2 * index + 1) * len(rows) // (2 * count)], case, args)
            put_rows(case, rows)

        name = bend.__name__
        FAULTS[name] = Fault(name, Stage.REPLY, about, strike, {"rows": 1, **settings}, "ka", bend.__module__)
        return bend

    return enter


def rows_of(case: FaultContext) -> list[Row]:
    rows = loads(case.reply.rows)
    assert isinstance(rows, list)
    return rows


def put_rows(case: FaultContext, rows: list[Row]) -> None:
    # Half a surrogate pair, which UTF-8 cannot hold, stays the escape that JSON has for it.
    case.reply.rows = dumps(rows, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "backslashreplace"
    )
    case.reply.count = len(rows)
