"""The metrics in Prometheus's text format, from figures gathered before. Labels are closed sets; series are
few.

Facts of the database are gauges read from it. They are right after a restart, in a second daemon, and in
`collector web` beside a stopped daemon. Only requests, their durations, walks and rows
are counted in the process that sends and stores.
"""

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector as Source

from collector import __version__
from collector.base.histogram import Histogram
from collector.config import Config
from collector.db.outlook import Outlook
from collector.market.calendar import Calendar
from collector.model import Status
from collector.web.health import Check
from collector.web.metrics_data import MetricsData, ScheduleFigures

KIND = "text/plain; version=0.0.4; charset=utf-8"
SCHEDULES = 30
"""Schedules with series of their own. Together with all other series there are at most 500."""
KEYS = 20
"""Keys with series of their own."""
_SWEEPS = "ka20002"
_MOST_API_IDS = 12
API_IDS = frozenset({"au10001", "au10002", "ka20002", "ka10101", "ka10081", "ka10080"})


@dataclass(frozen=True)
class Values:
    """The content of one scrape. `figures` is None if the database is unavailable."""

    now: datetime
    checks: Iterable[Check]
    answers: Mapping[str, int]
    configured: tuple[Config, Calendar] | None
    """The configuration in force; None if the database is unavailable."""
    figures: MetricsData | None
    home: Path
    by_key: Mapping[str, int] = field(default_factory=dict)
    """Requests by the operator's names for the keys."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Walks by status, and `rows`."""
    durations: Mapping[str, Histogram] = field(default_factory=dict)
    """Durations of requests by api-id."""


def exposition(values: Values) -> bytes:
    """The text for Prometheus."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(_Scrape(values))
    return generate_latest(registry)


class _Scrape(Source):
    def __init__(self, values: Values) -> None:
        self._values = values

    def collect(self) -> Iterator[Metric]:
        values = self._values
        yield from _process(values)
        if values.figures is not None:
            yield from _database(values.figures)
            yield from _schedules(values.figures)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"collector_{name}", text, value=value)


def _by(name: str, text: str, labels: str, rows: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    family = GaugeMetricFamily(f"collector_{name}", text, labels=labels.split())
    for values, value in rows:
        family.add_metric(values, value)
    return family


def _process(values: Values) -> Iterator[Metric]:
    build = GaugeMetricFamily("collector_build_info", "The program's version.", labels=["version"])
    build.add_metric([__version__], 1)
    yield build
    checks = list(values.checks)
    yield _gauge("ready", "Whether data is flowing as it should: 1, else 0.", all(c.is_good for c in checks))
    up = not any(check.name == "database" and not check.is_good for check in checks)
    yield _gauge("database_up", "Whether the database answers and its schema fits.", up)
    requests = CounterMetricFamily(
        "collector_requests", "Requests sent by this process, by what came of them.", labels=["answer"]
    )
    for answer, count in values.answers.items():
        requests.add_metric([_snake_case(answer)], count)
    yield requests
    keys = CounterMetricFamily(
        "collector_key_requests", "Requests sent by this process, by key.", labels=["key"]
    )
    for name, count in list(values.by_key.items())[:KEYS]:
        keys.add_metric([name], count)
    yield keys
    yield from _work(values)
    free = shutil.disk_usage(_there(values.home)).free
    yield _gauge("disk_free_bytes", "Free space where COLLECTOR_HOME lies.", free)
    if values.configured is not None:
        config, calendar = values.configured
        left = (calendar.coverage_end - values.now.date()).days
        yield _gauge("calendar_left_seconds", "Time until the calendar's knowledge ends.", left * 86_400)
        yield _gauge(
            "quota_configured_requests_per_second",
            "The quota that is kept to at most; 0 is none.",
            config.api.requests_per_second,
        )


def _work(values: Values) -> Iterator[Metric]:
    """What this process has done. Counters start with the process, and midnight does not change them."""
    walks = CounterMetricFamily(
        "collector_walks", "Walks that this process has ended, by how they ended.", labels=["status"]
    )
    for status in (Status.COMPLETE, Status.SUSPECT, Status.FAILED):
        walks.add_metric([status], values.counts.get(status, 0))
    yield walks
    rows = values.counts.get("rows", 0)
    yield CounterMetricFamily("collector_rows", "Rows that this process has stored.", value=rows)
    durations = HistogramMetricFamily(
        "collector_request_seconds",
        "From sending a request to its whole answer or its failure, by api-id.",
        labels=["api_id"],
    )
    for api_id, histogram in sorted({_SWEEPS: Histogram(), **values.durations}.items())[:_MOST_API_IDS]:
        durations.add_metric([api_id], buckets=histogram.buckets(), sum_value=histogram.total)
    yield durations


def _database(figures: MetricsData) -> Iterator[Metric]:
    facts = figures.facts
    yield _gauge("database_size_bytes", "Size of the database.", figures.database_bytes)
    yield _gauge("rows_today", "Rows stored for today's slots.", figures.rows)
    yield _gauge("quarantined_rows_today", "Rows of today's slots that did not decode.", figures.quarantined)
    is_held = facts.lease is not None and facts.lease.is_held
    yield _gauge("lease_held", "Whether any daemon holds the lease.", is_held)
    if facts.lease is not None:
        yield _gauge(
            "lease_epoch", "The lease's epoch; it grows whenever it changes hands.", facts.lease.epoch
        )
    if facts.outlook is not None:
        yield from _clocks(facts.outlook)
    if figures.token_issued_at and figures.token_expires_at:
        age = (facts.now - figures.token_issued_at).total_seconds()
        left = (figures.token_expires_at - facts.now).total_seconds()
        yield _gauge("token_age_seconds", "Age of the API's token.", age)
        yield _gauge("token_left_seconds", "Time until the API's token expires.", left)
    quotas = [quota for quota in figures.quotas if quota.api_id in API_IDS]
    yield _by(
        "quota_used_requests",
        "Places of the quota's window that are taken now.",
        "api_id",
        (((quota.api_id,), quota.used) for quota in quotas),
    )
    yield _by(
        "quota_learnt_requests_per_second",
        "A lower quota that the server has said it grants; absent where it said none.",
        "api_id",
        (((quota.api_id,), quota.granted) for quota in quotas if quota.granted is not None),
    )


def _clocks(result: Outlook) -> Iterator[Metric]:
    ahead = result.ahead.total_seconds()
    yield _gauge("clock_ahead_seconds", "How far this machine's clock is ahead of the database's.", ahead)
    yield _gauge("retention_announced", "Days that were announced to be dropped for their age.", result.days)
    kept = bool(result.days and result.why_kept)
    yield _gauge(
        "retention_blocked",
        "Whether these days are kept since three clocks do not agree to within a day.",
        kept,
    )


def _schedules(figures: MetricsData) -> Iterator[Metric]:
    """Figures of the schedules at the time of gathering; the configuration may have changed since."""
    today = dict(list(figures.schedules.items())[:SCHEDULES])
    yield _by(
        "targets_today",
        "Slots x targets of today's slots so far, by how they ended; absent: not written down, and overdue.",
        "schedule status",
        (((name, status), count) for name, item in today.items() for status, count in _statuses(item)),
    )
    yield from _sweeps(today)
    facts = figures.facts
    behind = facts.behind()
    yield _by(
        "slots_without_complete_sweep",
        "Slots in a row, up to now, that should have been complete and are not.",
        "schedule",
        (((name,), behind[name]) for name in today),
    )
    yield _by(
        "schedule_open",
        "Whether the schedule is between its first slot of the day and its last.",
        "schedule",
        (((course.schedule.name,), course.is_open(facts.now)) for course in facts.courses[:SCHEDULES]),
    )
    yield _by(
        "complete_sweep_age_seconds",
        "Time since the slot of the last complete sweep.",
        "schedule",
        (
            ((course.schedule.name,), (facts.now - course.newest).total_seconds())
            for course in facts.courses[:SCHEDULES]
            if course.newest
        ),
    )


def _sweeps(today: Mapping[str, ScheduleFigures]) -> Iterator[Metric]:
    ended = {name: figures.last for name, figures in today.items() if figures.last}
    yield _by(
        "last_sweep_late_seconds",
        "How long after its slot today's last sweep began.",
        "schedule",
        (((name,), (last.started_at - last.slot).total_seconds()) for name, last in ended.items()),
    )
    yield _by(
        "last_sweep_duration_seconds",
        "How long today's last sweep took.",
        "schedule",
        (((name,), (last.ended_at - last.started_at).total_seconds()) for name, last in ended.items()),
    )


def _statuses(figures: ScheduleFigures) -> Iterator[tuple[str, int]]:
    for status in Status:
        yield status, figures.statuses.get(status, 0)
    yield "absent", figures.absent


def _snake_case(name: str) -> str:
    """`TokenExpired` as `token_expired`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _there(path: Path) -> Path:
    """The path itself, or the nearest existing folder above it."""
    return next(ancestor for ancestor in (path.absolute(), *path.absolute().parents) if ancestor.exists())
