"""The table of all faults, with their description and their settings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from json import dumps, loads

from kiwoom_simulator.faults.context import Args, FaultContext

Row = dict[str, object]


class Stage(IntEnum):
    """The stage of an answer at which a fault is applied."""

    REFUSE = 1
    """A refusal instead of the answer."""
    REPLY = 2
    """The content of the answer."""
    BYTES = 3
    """The encoding and delivery of the answer."""


@dataclass(frozen=True, slots=True)
class Fault:
    name: str
    stage: Stage
    about: str
    strike: Callable[[FaultContext, Args], None]
    settings: Mapping[str, str | int | float]
    apis: str
    """Prefix of the api-ids to hit, unless the condition `api` is given."""
    home: str
    """The module of the fault; its docstring names the subject."""


FAULTS: dict[str, Fault] = {}


def fault(
    stage: Stage, about: str, *, apis: str = "ka", **settings: str | int | float
) -> Callable[[Callable[[FaultContext, Args], None]], Callable[[FaultContext, Args], None]]:
    """Enter a function into the table under its own name. `apis` is the default prefix of the api-ids to hit."""

    def enter(strike: Callable[[FaultContext, Args], None]) -> Callable[[FaultContext, Args], None]:
        name = strike.__name__
        assert name not in FAULTS, name
        FAULTS[name] = Fault(name, stage, about, strike, settings, apis, strike.__module__)
        return strike

    return enter


def row_fault(
    about: str, **settings: str | int
) -> Callable[[Callable[[Row, FaultContext, Args], None]], Callable[[Row, FaultContext, Args], None]]:
    """Enter a fault of rows. `rows` of each page are altered, evenly spread."""

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
    # UTF-8 has no form for half a surrogate pair. It stays a JSON escape.
    case.reply.rows = dumps(rows, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "backslashreplace"
    )
    case.reply.count = len(rows)
