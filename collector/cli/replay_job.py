"""`collector replay`: reads kept answers with today's decoder, and judges them again."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import click

from collector import log
from collector.base.aio import task_group
from collector.cli import bootstrap, console
from collector.cli.accept_job import read_target
from collector.cli.context import run_command, take_environment
from collector.cli.replay_export import collect_samples, kept_days, write_samples
from collector.config import Environment
from collector.db.answers import AnswerStore, RawEntry, TargetAnswers
from collector.db.catalog import Registry
from collector.db.replays import ReplayStore
from collector.db.witness import WitnessStore
from collector.errors import StoreError
from collector.market import sectors
from collector.model import KST, Exchange, Target
from collector.sweep.progress import SweepProgress
from collector.sweep.replay import PROBLEMS, Finding, Replay, ReplayStep
from collector.sweep.replay_witness import ReplayWitness

_TARGETS_AT_ONCE = 6
"""Targets under way at once, so that the program decodes while the database writes. Each has an entry and the bytes of
the next in memory, a megabyte if they lie as they came."""


@dataclass
class _Totals:
    """Counts of the entries by step, and of the rows read."""

    steps: Counter[ReplayStep] = field(default_factory=Counter)
    rows: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class _Asked:
    """The options of one call."""

    first: date | None
    last: date | None
    target: Target | None
    dry_run: bool
    force: bool
    quiet: bool


def run(
    *,
    first: date | None,
    last: date | None,
    target: str | None,
    dry_run: bool,
    force: bool,
    export: Path | None,
    quiet: bool,
    config_path: Path | None,
) -> None:
    """Do the work of `collector replay`."""
    log.configure(level="warning")
    if first and last and last < first:
        raise click.UsageError("--to lies before --from; allowed is the same day or a later one")
    asked = _Asked(first, last, read_target(target), dry_run, force, quiet)
    if export is not None:
        samples = run_command(collect_samples(take_environment(), first, last, asked.target))
        write_samples(samples, export)
        return
    totals = run_command(_replay(take_environment(), asked))
    click.echo(_summary(totals, dry_run=dry_run))
    if any(totals.steps[step] for step in PROBLEMS):
        raise SystemExit(1)


async def _replay(environment: Environment, asked: _Asked) -> _Totals:
    totals = _Totals()
    async with bootstrap.open_database(environment, size=_TARGETS_AT_ONCE + 2) as database:
        registry = Registry(database)
        await registry.open()
        table = await registry.sectors() or sectors.bundled_sectors()
        witness = ReplayWitness(WitnessStore(database, registry), table)
        work = Replay(ReplayStore(database, registry), table, asked.force, witness)
        answers = AnswerStore(database)
        days = await kept_days(answers, asked.first, asked.last)
        tally = SweepProgress(targets=await answers.count(days, asked.target))
        run = _ReplayRun(work, answers, totals, tally, dry_run=asked.dry_run)
        async with console.progress(tally, shown=not asked.quiet, title="replay"):
            for day in days:
                await run.replay_day(day, asked.target)
    totals.seconds = tally.seconds()
    return totals


@dataclass(frozen=True)
class _ReplayRun:
    """The work of one call: day by day, some targets at once, each target in time order."""

    work: Replay
    answers: AnswerStore
    totals: _Totals
    tally: SweepProgress
    dry_run: bool

    async def replay_day(self, day: date, wanted: Target | None) -> None:
        """Read a day again. Targets on KRX come first: walks on the other venues are judged by them."""
        targets = await self.answers.targets(day, wanted)
        if self.work.witness is not None:
            self.work.witness.forget()
        on_krx = [answers for answers in targets if answers.target.exchange is Exchange.KRX]
        elsewhere = [answers for answers in targets if answers.target.exchange is not Exchange.KRX]
        for group in (on_krx, elsewhere):
            waiting = iter(group)
            async with task_group() as tasks:
                for _ in range(min(_TARGETS_AT_ONCE, len(group))):
                    tasks.create_task(self._replay_targets(waiting))

    async def _replay_targets(self, waiting: Iterator[TargetAnswers]) -> None:
        for answers in waiting:
            if self.work.witness is not None:
                await self.work.witness.load(answers.slots, answers.target)
            async with aclosing(self.answers.read(answers)) as entries:
                await self._replay_target(answers, entries)

    async def _replay_target(self, answers: TargetAnswers, entries: AsyncIterator[RawEntry]) -> None:
        """Read a target's day again. The lines are read at once until a walk is replaced, then one by one."""
        store, target = self.work.store, answers.target
        lines, is_changed = await store.lines(answers.slots, target), False
        async for entry in entries:
            if is_changed:
                lines = await store.lines([entry.slot], target)
            is_changed |= await self._carry_out(await self.work.examine(entry, lines.get(entry.slot)))
            self.tally.done += 1

    async def _carry_out(self, finding: Finding) -> bool:
        """Report the outcome of one entry, and carry out a change. True if the walk is replaced, or may be."""
        self.totals.rows += finding.reading.row_count if finding.reading else 0
        step, is_replaced = finding.step, False
        if step is ReplayStep.CHANGED and not self.dry_run:
            try:
                is_replaced = await self.work.apply(finding)
            except StoreError as error:
                click.echo(f"{_name(finding)} cannot be replaced: {error}", err=True)
                self.totals.steps[ReplayStep.DAMAGED] += 1
                return True
            step = step if is_replaced else ReplayStep.OTHER
        self.totals.steps[step] += 1
        _report(finding, step, dry_run=self.dry_run)
        return is_replaced


def _report(finding: Finding, step: ReplayStep, *, dry_run: bool) -> None:
    if step is ReplayStep.CHANGED:
        click.echo(f"{_name(finding)} {'would change' if dry_run else 'changed'}: {describe(finding)}")
    elif step is ReplayStep.WORSE:
        click.echo(f"{_name(finding)} stays: {describe(finding)}; --force replaces it", err=True)
    elif step in PROBLEMS:
        click.echo(f"{_name(finding)} skipped, {step}: {finding.reason}", err=True)
    elif step is ReplayStep.INCOMPLETE:
        click.echo(f"{_name(finding)} is still not whole: {finding.reason}")


def describe(finding: Finding) -> str:
    """Describes the difference: rows, status, remarks, or values alone."""
    line, reading, certificate = finding.line, finding.reading, finding.certificate
    assert line is not None
    assert reading is not None
    assert certificate is not None
    parts = []
    if line.rows != reading.row_count:
        parts.append(f"rows {line.rows:,} -> {reading.row_count:,}")
    if line.status is not certificate.status:
        parts.append(f"status {line.status} -> {certificate.status}")
    if set(line.remarks) != set(certificate.remarks):
        parts.append(f"remarks {_list_remarks(line.remarks)} -> {_list_remarks(certificate.remarks)}")
    if finding.judgement and finding.judgement.corroboration != line.corroboration:
        parts.append(f"corroboration {line.corroboration} -> {finding.judgement.corroboration}")
    return "; ".join(parts) or f"values of its {line.rows:,} rows"


def _list_remarks(remarks: Sequence[str]) -> str:
    return ",".join(remarks) or "none"


def _name(finding: Finding) -> str:
    return f"{finding.slot.astimezone(KST):%Y-%m-%dT%H:%M:%S} {finding.target}"


def _summary(totals: _Totals, *, dry_run: bool) -> str:
    steps = totals.steps
    verb = "would change" if dry_run else "changed"
    parts = [
        f"{sum(steps.values()):,} walks with {totals.rows:,} rows read again in {totals.seconds:.1f} s",
        f"{steps[ReplayStep.CHANGED]:,} {verb}",
        f"{steps[ReplayStep.SAME]:,} the same",
    ]
    rest = [
        (step, steps[step])
        for step in ReplayStep
        if step not in (ReplayStep.SAME, ReplayStep.CHANGED) and steps[step]
    ]
    return "; ".join([*parts, *(f"{count:,} {step}" for step, count in rest)])
