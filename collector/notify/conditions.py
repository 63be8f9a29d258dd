"""Derives conditions, such as a denied key, from figures. Pure: the figures and the time come in as arguments."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from collector.db.notices import LoweredQuota, Notice, NoticedWalk
from collector.model import Remark, Status

_REMARKS = tuple(Remark)
_NOTES = frozenset(_REMARKS[_REMARKS.index(Remark.LATE) :])
_OF_WITNESSES = frozenset({Remark.WITNESS_MEMBERS, Remark.WITNESS_COUNT, Remark.WITNESS_DATE})
_DENIED = "denied"
"""The reason of missed targets that the event of the key tells already."""
_LONGEST_ERROR = 200
_EXAMPLES = 3
_SHORTEST_SPAN = timedelta(hours=6)
"""Samples of a shorter time make no forecast."""
LEAST_FREE = 2_000_000_000
"""Bytes. With less free space the disk counts as nearly full, whatever the forecast says."""


@dataclass(frozen=True)
class Condition:
    """Something that lasts since a time. `kind` and `subject` identify it, `facts` are the values of its message."""

    kind: str
    subject: str
    since: datetime
    facts: Mapping[str, Any] = field(default_factory=dict)


def slot_failures(schedule: str, at: datetime, lines: Sequence[NoticedWalk]) -> list[Condition]:
    """The kinds of failure in a slot, one condition each, in the order of their names."""
    groups: defaultdict[str, list[NoticedWalk]] = defaultdict(list)
    for line in lines:
        for name in _failures(line):
            groups[name].append(line)
    return [
        Condition(
            "failure",
            f"{schedule} {name}",
            at,
            {
                "schedule": schedule,
                "failure": name,
                "count": len(failed),
                "total": len(lines),
                "targets": [line.target for line in failed[:_EXAMPLES]],
                "error": failed[0].error[:_LONGEST_ERROR] if failed[0].status == Status.FAILED else "",
            },
        )
        for name, failed in sorted(groups.items())
    ]


def _failures(line: NoticedWalk) -> Iterable[str]:
    if line.status == Status.FAILED:
        yield f"failed {line.error.partition(':')[0] or 'unknown'}"
    elif line.status == Status.MISSED and line.error != _DENIED:
        yield f"missed {line.error or 'unknown'}"
    elif line.status == Status.SUSPECT:
        yield from (f"suspect {remark}" for remark in line.remarks if remark not in _NOTES | _OF_WITNESSES)


def contradiction(schedule: str, at: datetime, lines: Sequence[NoticedWalk]) -> list[Condition]:
    """The walks of a slot that their witnesses contradict, as one condition."""
    contradicted = [line for line in lines if line.corroboration == "contradicted"]
    if not contradicted:
        return []
    facts = {
        "schedule": schedule,
        "count": len(contradicted),
        "targets": [line.target for line in contradicted[:_EXAMPLES]],
        "slot": at.isoformat(),
    }
    return [Condition("contradicted", schedule, at, facts)]


def shows_end(notice: Notice, lines: Sequence[NoticedWalk]) -> bool:
    """Whether the lines of a slot can show that an event of its schedule is over: a slot without walks cannot."""
    if notice.kind == "contradicted":
        return any(line.corroboration == "corroborated" for line in lines)
    return any(line.status == Status.COMPLETE for line in lines)


def is_whole(lines: Sequence[NoticedWalk], expected: int) -> bool:
    """Whether every target of a slot is complete."""
    return len(lines) == expected > 0 and all(line.status == Status.COMPLETE for line in lines)


def behind(
    schedule: str,
    slots: Sequence[datetime],
    complete: Mapping[datetime, int],
    *,
    expected: int,
    least: int,
) -> list[Condition]:
    """A schedule without a complete sweep in its last `least` slots.

    `slots` are newest first, `complete` has the complete walks of each slot with lines. A slot without lines is
    under way, or before the start of the schedule; it does not count.
    """
    run = []
    last: datetime | None = None
    for at in slots:
        if at not in complete:
            continue
        if complete[at] >= expected:
            last = at
            break
        run.append(at)
    if len(run) < least:
        return []
    facts = {"schedule": schedule, "slots": len(run), "last": last.isoformat() if last else ""}
    return [Condition("behind", schedule, run[-1], facts)]


def lowered_quotas(
    lowered: Sequence[LoweredQuota], names: Mapping[str, str], configured: int
) -> list[Condition]:
    """The rates below the configured one; `names` are the operator's names of the keys, by digest."""
    return [
        Condition(
            "quota",
            f"{names.get(quota.key, quota.key[:8])} {quota.api_id}",
            quota.since,
            {
                "key": names.get(quota.key, quota.key[:8]),
                "api_id": quota.api_id,
                "granted": quota.granted,
                "configured": configured,
            },
        )
        for quota in lowered
    ]


def calendar_end(end: date, now: datetime, today: date, least_days: int) -> list[Condition]:
    """A calendar that ends within `least_days` days."""
    left = (end - today).days
    if left >= least_days:
        return []
    return [Condition("calendar", "", now, {"until": end.isoformat(), "days": left})]


def filling_disk(
    host: str, path: str, samples: Sequence[tuple[datetime, int]], now: datetime, least_days: int
) -> list[Condition]:
    """A disk that is full within `least_days` days at the pace of the samples (time, free bytes), or nearly full."""
    free = samples[-1][1] if samples else None
    if free is None:
        return []
    days = days_until_full(samples)
    if free >= LEAST_FREE and (days is None or days >= least_days):
        return []
    facts = {
        "host": host,
        "path": path,
        "free_gb": round(free / 1e9, 1),
        "days": -1 if days is None else int(days),
    }
    return [Condition("disk", host, now, facts)]


def days_until_full(samples: Sequence[tuple[datetime, int]]) -> float | None:
    """The days until no byte is free, by the straight line through the samples; None if it does not fall.

    None as well if the samples span less than six hours.
    """
    if not samples or samples[-1][0] - samples[0][0] < _SHORTEST_SPAN:
        return None
    times = [(at - samples[0][0]).total_seconds() / 86_400 for at, _ in samples]
    sizes = [size for _, size in samples]
    mean_time, mean_size = sum(times) / len(times), sum(sizes) / len(sizes)
    above = sum((time - mean_time) * (size - mean_size) for time, size in zip(times, sizes, strict=True))
    slope = above / sum((time - mean_time) ** 2 for time in times)
    return sizes[-1] / -slope if slope < 0 else None
