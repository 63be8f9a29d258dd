"""`collector replay`: kept answers through today's decoder and judge."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import click

from collector import __version__, log
from collector.base.answers import AnswerEntry, DamagedAnswers, decode_answers, inflate
from collector.cli import bootstrap
from collector.cli import console as drawing
from collector.cli.accept import read_target
from collector.cli.context import run_command, take_environment
from collector.cli.options import config_option
from collector.cli.schedule import DayParam
from collector.config import Environment
from collector.db.answers import AnswerStore
from collector.db.catalog import Registry
from collector.db.replays import ReplayStore
from collector.errors import ConfigError, StoreError
from collector.market import sectors
from collector.model import KST, Target
from collector.sweep.progress import SweepProgress
from collector.sweep.replay import PROBLEMS, Finding, Replay, ReplayStep

_EXPORTED = 100
"""Answers of an export at most: a bug report needs a few."""


@dataclass
class _Totals:
    """What came of the entries, and how many rows were read."""

    steps: Counter[ReplayStep] = field(default_factory=Counter)
    rows: int = 0
    replaced: int = 0
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


@click.command(
    epilog="""\b
Examples:
  collector replay --dry-run                                       what today's program would read differently
  collector replay --from 2026-11-16 --to 2026-11-20               put these days right
  collector replay --from 2026-11-20 --target KOSPI/001/KRX        one target
  collector replay --force                                         also where a walk becomes worse
  collector replay --export sample.json                            answers for a bug report, without secrets
"""
)
@click.option(
    "--from", "first", type=DayParam(), help="From this day, KST (default: the first that is kept) ..."
)
@click.option("--to", "last", type=DayParam(), help="... to this one, both included (default: the last).")
@click.option("--target", metavar="M/S/X", help="One target, as market/sector/exchange (default: all).")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@click.option("--force", is_flag=True, help="Replace a walk also where its status becomes worse.")
@click.option(
    "--export",
    "export",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Write a sample for a bug report.",
)
@click.option("--quiet", is_flag=True, help="No progress; only what changes and what is wrong.")
@config_option
def replay(
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
    """Read kept answers again with this program, and put right what an earlier one stored.

    Answers are kept for `database.raw_days` days. Each walk that reads differently now is replaced in one
    transaction; the view replay says what it was. A failed walk whose pages are complete becomes a stored one.
    A walk never gets a worse status without --force. Nothing is fetched.

    Exit status: 0 nothing is wrong. 1 something could not be replayed (listed on stderr). 2 wrongly asked.
    """
    log.configure(level="warning")
    if first and last and last < first:
        raise click.UsageError("--to lies before --from; allowed is the same day or a later one")
    asked = _Asked(first, last, read_target(target), dry_run, force, quiet)
    if export is not None:
        samples = run_command(_export(take_environment(), asked))
        _write(samples[:_EXPORTED], export)
        return
    totals = run_command(_replay(take_environment(), asked))
    click.echo(_summary(totals, dry_run=dry_run))
    if any(totals.steps[step] for step in PROBLEMS):
        raise SystemExit(1)


async def _replay(environment: Environment, asked: _Asked) -> _Totals:
    totals, tally = _Totals(), SweepProgress()
    async with bootstrap.open_database(environment) as database:
        registry = Registry(database)
        await registry.open()
        table = await registry.sectors() or sectors.bundled_sectors()
        work = Replay(ReplayStore(database, registry), table, asked.force)
        answers = AnswerStore(database)
        days = await _days(answers, asked)
        tally.targets = await answers.count(days, asked.target)
        async with drawing.progress(tally, shown=not asked.quiet, title="replay"):
            for day in days:
                async for entry in answers.entries(day, asked.target):
                    finding = await work.examine(entry)
                    await _carry_out(work, finding, totals, dry_run=asked.dry_run)
                    tally.done += 1
    totals.seconds = tally.seconds()
    return totals


async def _days(answers: AnswerStore, asked: _Asked) -> list[date]:
    """The days with answers in the period; ConfigError where there are none."""
    kept = await answers.days()
    days = [day for day in kept if (asked.first or day) <= day <= (asked.last or day)]
    if not days:
        span = f"answers are kept from {kept[0]} to {kept[-1]}" if kept else "no answers are kept yet"
        raise ConfigError("there are no kept answers in that period", hint=f"{span} (database.raw_days)")
    return days


async def _carry_out(work: Replay, finding: Finding, totals: _Totals, *, dry_run: bool) -> None:
    """Say what one entry came to, and change what is to be changed."""
    totals.rows += finding.reading.row_count if finding.reading else 0
    step = finding.step
    if step is ReplayStep.CHANGED and not dry_run:
        try:
            is_replaced = await work.apply(finding)
        except StoreError as error:
            click.echo(f"{_name(finding)} cannot be replaced: {error}", err=True)
            totals.steps[ReplayStep.DAMAGED] += 1
            return
        totals.replaced += is_replaced
        step = step if is_replaced else ReplayStep.OTHER
    totals.steps[step] += 1
    if step is ReplayStep.CHANGED:
        click.echo(f"{_name(finding)} {'would change' if dry_run else 'changed'}: {describe(finding)}")
    elif step is ReplayStep.WORSE:
        click.echo(f"{_name(finding)} stays: {describe(finding)}; --force replaces it", err=True)
    elif step in PROBLEMS:
        click.echo(f"{_name(finding)} skipped, {step}: {finding.reason}", err=True)
    elif step is ReplayStep.INCOMPLETE:
        click.echo(f"{_name(finding)} is still not whole: {finding.reason}")


def describe(finding: Finding) -> str:
    """What differs, in words: rows, status, remarks, or values alone."""
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


async def _export(environment: Environment, asked: _Asked) -> list[dict[str, object]]:
    """Unreadable answers first, then answers of walks that failed or have remarks; all are redacted already."""
    today = datetime.now(UTC).astimezone(KST).date()
    async with bootstrap.open_database(environment) as database:
        answers = AnswerStore(database)
        rows = await answers.unreadable(
            asked.first or today - timedelta(days=400), asked.last or today + timedelta(days=1)
        )
        samples = [
            _sample(row["slot"], _target_of(row), row["error"], _read_unreadable(row["answer"]))
            for row in rows
        ]
        if not samples:
            samples = await _from_walks(answers, asked)
    wanted = [line for line in samples if asked.target is None or line["target"] == str(asked.target)]
    if not wanted:
        raise ConfigError("there are no kept answers to export", hint="see database.raw_days")
    return wanted


def _write(samples: Sequence[dict[str, object]], path: Path) -> None:
    document = {"program": __version__, "answers": samples}
    try:
        path.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--export: {path} cannot be written: {error.strerror}") from error
    click.echo(f"{len(samples)} answers written to {path}")


async def _from_walks(answers: AnswerStore, asked: _Asked) -> list[dict[str, object]]:
    """The newest entries, one answer of each."""
    samples: list[dict[str, object]] = []
    for day in reversed(await _days(answers, asked)):
        async for entry in answers.entries(day, asked.target):
            if entry.data is not None:
                samples.append(_sample(entry.slot, str(entry.target), "", entry.data))
            if len(samples) >= _EXPORTED:
                return samples
    return samples


def _target_of(row: object) -> str:
    assert isinstance(row, dict)
    return f"{row['market']}/{row['sector']}/{row['exchange']}"


def _read_unreadable(packed: object) -> AnswerEntry | None:
    """An unreadable answer as it was kept, None if it is damaged."""
    assert isinstance(packed, bytes)
    try:
        return decode_answers(inflate(packed))
    except DamagedAnswers:
        return None


def _sample(slot: object, target: str, error: object, entry: AnswerEntry | None) -> dict[str, object]:
    """One answer with its request, as JSON."""
    assert isinstance(slot, datetime)
    facts: dict[str, object] = {"slot": slot.astimezone(KST).isoformat(), "target": target, "error": error}
    if entry is None or not entry.answers:
        return facts | {"damaged": True}
    answer, body = entry.answers[-1], entry.bodies[-1]
    return facts | {
        "api_id": answer.api_id,
        "asked": answer.asked,
        "page_key": answer.page_key,
        "status": answer.status,
        "headers": answer.headers,
        "arrived": answer.arrived.isoformat(),
        "body": body.decode("utf-8", "backslashreplace"),
    }
