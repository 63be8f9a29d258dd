"""Samples of kept answers for a bug report: `collector replay --export`."""

import json
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path

import click

from collector import __version__
from collector.base.answers import AnswerEntry, DamagedAnswers, decode_answers, inflate
from collector.cli import bootstrap
from collector.config import Environment
from collector.db.answers import AnswerStore
from collector.errors import ConfigError
from collector.model import KST, Target

_EXPORTED = 100
"""Answers of an export at most: a bug report needs a few."""


async def kept_days(answers: AnswerStore, first: date | None, last: date | None) -> list[date]:
    """The days with answers from `first` to `last`; ConfigError where there are none."""
    kept = await answers.days()
    days = [day for day in kept if (first or day) <= day <= (last or day)]
    if not days:
        span = f"answers are kept from {kept[0]} to {kept[-1]}" if kept else "no answers are kept yet"
        raise ConfigError("there are no kept answers in that period", hint=f"{span} (database.raw_days)")
    return days


async def collect_samples(
    environment: Environment, first: date | None, last: date | None, target: Target | None
) -> list[dict[str, object]]:
    """The unreadable answers; where there are none, the newest readable ones. All are redacted already."""
    async with bootstrap.open_database(environment) as database:
        answers = AnswerStore(database)
        samples = [
            _sample(row["slot"], _target_of(row), row["error"], _read_unreadable(row["answer"]))
            for row in await answers.unreadable(first, last)
            if target is None or _target_of(row) == str(target)
        ]
        samples = samples or await _from_walks(answers, first, last, target)
    if not samples:
        raise ConfigError("there are no kept answers to export", hint="see database.raw_days")
    return samples[:_EXPORTED]


def write_samples(samples: Sequence[dict[str, object]], path: Path) -> None:
    document = {"program": __version__, "answers": samples}
    try:
        path.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--export: {path} cannot be written: {error.strerror}") from error
    click.echo(f"{len(samples)} answers written to {path}")


async def _from_walks(
    answers: AnswerStore, first: date | None, last: date | None, target: Target | None
) -> list[dict[str, object]]:
    """The newest entries, one answer of each."""
    samples: list[dict[str, object]] = []
    for day in reversed(await kept_days(answers, first, last)):
        async for entry in answers.entries(day, target):
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
