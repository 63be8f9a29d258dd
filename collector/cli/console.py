"""Output for people: tables on stdout, progress on stderr, colour on terminals only."""

import asyncio
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress

import structlog
from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.measure import Measurement
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
from rich.table import Table
from rich.text import Text

from collector.base.remark_texts import explain_outcome
from collector.model import KST, Exchange, Market, Outcome, Status, Sweep
from collector.sweep.progress import SweepProgress

_REFRESH = 5
_WIDEST = 1_000_000
_WRAPPED = 30
"""Characters a line of a wrapped column should have at least."""
_STYLE = {Status.COMPLETE: "green", Status.SUSPECT: "yellow", Status.FAILED: "red", Status.MISSED: "magenta"}


def console(*, stderr: bool = False) -> Console:
    """A console with plain text and NO_COLOR support. Without a terminal lines are not folded."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _WIDEST
    return Console(file=stream, highlight=False, markup=False, emoji=False, width=width)


def print_table(screen: Console, table: Table, *, wrapped: str = "") -> None:
    """Print a table, or one record after another if it does not fit the width; values are never cut.

    The text of the column `wrapped` may take several lines in the table.
    """
    for column in table.columns:
        column.overflow = "fold"
        column.no_wrap = column.header != wrapped
    if _width(screen, table, wrapped) <= screen.width:
        screen.print(table)
    else:
        screen.print("\n".join(_records(table)), soft_wrap=True)


def _width(screen: Console, table: Table, wrapped: str) -> int:
    """The width needed for a table. A wrapped column needs only its first `_WRAPPED` characters."""
    width = Measurement.get(screen, screen.options.update(width=_WIDEST), table).maximum
    for column in table.columns:
        if wrapped and column.header == wrapped:
            longest = max((cell_len(_plain(cell)) for cell in (column.header, *column.cells)), default=0)
            width -= max(0, longest - _WRAPPED)
    return width


def _records(table: Table) -> Iterator[str]:
    """A line for each value of each row, under a line with the number of the row, as psql does it with \\x."""
    if table.title:
        yield _plain(table.title)
    names = [_plain(column.header) for column in table.columns]
    room = max(map(cell_len, names), default=0)
    for number, row in enumerate(zip(*(column.cells for column in table.columns), strict=True), 1):
        yield f"-[ {number} ]-"
        for name, cell in zip(names, row, strict=True):
            yield f"{name}{' ' * (room - cell_len(name))} | {_plain(cell)}".rstrip()


def _plain(cell: object) -> str:
    return cell.plain if isinstance(cell, Text) else str(cell)


@asynccontextmanager
async def progress(tally: SweepProgress, *, shown: bool, title: str) -> AsyncIterator[None]:
    """Draw a sweep's progress on stderr while the block runs, if `shown` and stderr is a terminal."""
    screen = console(stderr=True)
    if not (shown and screen.is_terminal):
        yield
        return
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        _Facts(tally),
        console=screen,
        transient=True,
    )
    drawn = bar.add_task(title, total=None)
    with Live(bar, console=screen, refresh_per_second=_REFRESH, transient=True), _log_above(screen):
        painter = asyncio.create_task(_paint(bar, drawn, tally))
        try:
            yield
        finally:
            painter.cancel()


@contextmanager
def _log_above(screen: Console) -> Iterator[None]:
    """Print log lines above the progress bar while the block runs. Written past the console, they would break it."""
    usual = structlog.get_config()["logger_factory"]
    structlog.configure(logger_factory=structlog.WriteLoggerFactory(_ConsoleStream(screen)))  # type: ignore[arg-type]
    try:
        yield
    finally:
        structlog.configure(logger_factory=usual)


class _ConsoleStream:
    """A stream of log lines into a console. Lines are lost if the terminal is gone."""

    def __init__(self, screen: Console) -> None:
        self._screen = screen

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._screen.print(Text.from_ansi(text.rstrip("\n")), soft_wrap=True)

    def flush(self) -> None:
        """The console flushes each line."""


async def _paint(bar: Progress, drawn: int, tally: SweepProgress) -> None:
    while True:
        total = tally.expected_pages or None
        bar.update(drawn, total=total, completed=min(tally.pages, total or 0))  # type: ignore[arg-type]
        await asyncio.sleep(1 / _REFRESH)


class _Facts(ProgressColumn):
    def __init__(self, tally: SweepProgress) -> None:
        super().__init__()
        self._tally = tally

    def render(self, task: object) -> Text:
        return Text(facts(self._tally))


def facts(tally: SweepProgress) -> str:
    """A sweep's progress in one line."""
    seconds = max(tally.seconds(), 0.001)
    rate = tally.requests / seconds
    left = max(0, tally.expected_pages - tally.pages)
    parts = [
        f"{tally.done:,}/{tally.targets:,} {tally.units}",
        f"{tally.pages:,} pages",
        f"{tally.rows:,} rows",
        f"{rate:.1f} requests/s",
        f"{left / rate:.0f} s left" if rate and tally.pages else "starting",
    ]
    return " · ".join(parts)


def sweep_table(sweep: Sweep) -> Table:
    """The result of a sweep, by market and exchange."""
    slot = f"{sweep.slot.astimezone(KST):%Y-%m-%d %H:%M:%S} KST"
    table = Table(title=f"sweep of {slot}", title_justify="left")
    for name in ("market", "exchange"):
        table.add_column(name)
    for name in ("targets", "pages", "rows"):
        table.add_column(name, justify="right")
    table.add_column("status")
    table.add_column("seconds", justify="right")
    groups: defaultdict[tuple[Market, Exchange], list[Outcome]] = defaultdict(list)
    for outcome in sweep.outcomes:
        groups[outcome.target.market, outcome.target.exchange].append(outcome)
    for (market, exchange), outcomes in groups.items():
        table.add_row(market, exchange, *_figures(outcomes))
    table.add_section()
    *figures, _ = _figures(sweep.outcomes)
    table.add_row("all", "", *figures, f"{sweep.seconds:.1f}", style="bold")
    return table


def _figures(outcomes: Sequence[Outcome]) -> tuple[str | Text, ...]:
    return (
        f"{len(outcomes)}",
        f"{sum(outcome.pages for outcome in outcomes):,}",
        f"{sum(outcome.rows for outcome in outcomes):,}",
        _statuses(outcomes),
        f"{max(o.ended for o in outcomes) - min(o.began for o in outcomes):.1f}",
    )


def _statuses(outcomes: Iterable[Outcome]) -> Text:
    text = Text()
    statuses = [outcome.status for outcome in outcomes]
    for status in Status:
        if count := statuses.count(status):
            text.append(f"{', ' if text else ''}{count} {status}", style=_STYLE[status])
    return text


def not_whole(sweep: Sweep) -> list[str]:
    """A line with the reason for each target that is not complete, or complete without some rows."""
    return [
        f"{outcome.target} {outcome.status}: {explain_outcome(outcome)}"
        for outcome in sweep.outcomes
        if not outcome.is_whole
    ]
