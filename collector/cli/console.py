"""What people see: tables on stdout, progress on stderr, colour only where there is a terminal for it."""

import asyncio
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
from rich.table import Table
from rich.text import Text

from collector.base.remark_texts import explain_outcome
from collector.model import Exchange, Market, Outcome, Status, Sweep
from collector.sweep.progress import SweepProgress

_REFRESH = 5
_STYLE = {Status.COMPLETE: "green", Status.SUSPECT: "yellow", Status.FAILED: "red", Status.MISSED: "magenta"}


def console(*, stderr: bool = False) -> Console:
    """A console that honours NO_COLOR, prints text as it is, and does not fold lines where nobody looks."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else 1000
    return Console(file=stream, highlight=False, markup=False, emoji=False, width=width)


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
    with Live(bar, console=screen, refresh_per_second=_REFRESH, transient=True):
        painter = asyncio.create_task(_paint(bar, drawn, tally))
        try:
            yield
        finally:
            painter.cancel()


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
    """How far a sweep has come, in one line."""
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
    """What a sweep came to, by market and exchange."""
    table = Table(title=f"sweep of {sweep.slot.isoformat()}", title_justify="left")
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
    """A line for each target that is missing, suspect, or complete but for a row, with the reason."""
    return [
        f"{outcome.target} {outcome.status}: {explain_outcome(outcome)}"
        for outcome in sweep.outcomes
        if not outcome.is_whole
    ]
