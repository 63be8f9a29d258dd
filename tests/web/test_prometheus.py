"""The metrics as Prometheus takes them: its own tools judge the text, the rules and the scrape."""

import asyncio
import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from collector.daemon import SlotAccounting
from collector.db.catalog import Registry
from collector.db.database import Database
from collector.db.pool import open_pool
from tests.support import web_harness
from tests.support.postgres_server import Server
from tests.support.web_harness import KRX, YAML, Page, Stand, get, page
from tools.reference import source

PROMTOOL, PROMETHEUS = shutil.which("promtool"), shutil.which("prometheus")
DEPLOY = Path(__file__).parents[2] / "deploy"
MANY = b"".join(
    [
        b"universes: {a: [{market: KOSPI, sectors: ['001']}]}\nschedules:\n",
        *(b"  s%d: {universe: a, at: '%02d:%02d'}\n" % (n, n // 60, n % 60) for n in range(100)),
    ]
)
STATUSES = ("complete", "suspect", "failed", "missed", "absent")
with_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="there is no promtool here (apt-get install prometheus)"
)


async def metrics(shown: Page) -> str:
    status, headers, body = await get(shown.url, "/metrics")
    assert (status, headers["content-type"][:10]) == (200, "text/plain")
    return body.decode()


def series(text: str) -> dict[str, float]:
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


def promtool(*arguments: str, text: str = "") -> str:
    found = subprocess.run(
        [str(PROMTOOL), *arguments], input=text, capture_output=True, text=True, check=False
    )
    return found.stdout + found.stderr if found.returncode else ""


def targets_today(found: dict[str, float]) -> dict[str, float]:
    return {
        status: found[f'collector_targets_today{{schedule="intraday",status="{status}"}}']
        for status in STATUSES
    }


@with_promtool
async def test_the_metrics_follow_the_conventions(shown):
    assert await asyncio.to_thread(promtool, "check", "metrics", text=await metrics(shown)) == ""


@pytest.mark.extended
@with_promtool
@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "--syntax-only", "prometheus.yml"),
        ("check", "rules", "alerts.yml"),
        pytest.param(("test", "rules", "alerts_test.yml")),
        ("test", "rules", "alerts_days_test.yml"),
    ],
    ids=" ".join,
)
def test_what_is_shipped_for_prometheus_is_right(arguments):
    *words, file = arguments
    assert promtool(*words, str(DEPLOY / "prometheus" / file)) == ""


async def test_the_figures_are_those_of_the_database(shown):
    found = series(await metrics(shown))
    assert targets_today(found) == {"complete": 13, "suspect": 1, "failed": 1, "missed": 1, "absent": 0}
    assert found['collector_complete_sweep_age_seconds{schedule="intraday"}'] == 12 * 60
    assert found["collector_rows_today"] == 3 * (240 + 30 + 60 + 40) + 240 + 30


@pytest.mark.parametrize(
    ("at", "absent"),
    [
        (web_harness.slot(3) + timedelta(seconds=30), 0),
        (web_harness.slot(4) + timedelta(minutes=4), 0),
        (web_harness.slot(4) + timedelta(minutes=5), 4),
        (web_harness.slot(6), 8),
    ],
    ids=["amid a sweep", "may still end", "should be over", "two of them"],
)
async def test_absent_is_what_nobody_wrote_down_although_its_sweep_should_be_over(shown, at, absent):
    async with page(shown.address, Stand(now=lambda: at)) as later:
        found = series(await metrics(later))
    assert targets_today(found)["absent"] == absent


async def test_what_is_there_of_a_sweep_under_way_makes_up_for_no_gap(server, template):
    async with server.database(template=template) as address, open_pool(address, size=3) as pool:
        database = Database(pool, address)
        await web_harness.fill(database)
        await SlotAccounting(database, Registry(database)).record_missed(
            [web_harness.slot(5)], "boards", [KRX], "overrun"
        )
        async with page(address, Stand(now=lambda: web_harness.slot(5) + timedelta(minutes=1))) as later:
            found = series(await metrics(later))
    assert targets_today(found)["absent"] == 4


async def test_slots_before_the_first_of_the_ledger_are_absent_to_nobody(server, template):
    async with (
        server.database(template=template) as address,
        page(address, Stand(now=lambda: web_harness.slot(4))) as empty,
    ):
        found = series(await metrics(empty))
    assert targets_today(found)["absent"] == 0


async def test_a_schedule_that_was_added_a_moment_ago_waits_for_the_next_figures(shown):
    stand = Stand()
    async with page(shown.address, stand) as changed:
        await metrics(changed)
        stand.yaml = YAML + b"  close: {universe: boards, at: KRX.regular.close + 10m}\n"
        found = series(await metrics(changed))
    told = [name for name in found if name.startswith("collector_slots_without_complete_sweep{")]
    assert 'collector_slots_without_complete_sweep{schedule="intraday"}' in told


async def test_there_are_never_more_than_500_series(server: Server, template: str):
    async with server.database(template=template) as address, page(address, Stand(yaml=MANY)) as shown:
        found = series(await metrics(shown))
    assert 200 < len(found) <= 500


async def test_labels_hold_nothing_that_a_server_said(shown):
    found = series(await metrics(shown))
    labels = {label for name in found for label in re.findall(r'(\w+)="', name)}
    assert labels <= {"answer", "schedule", "status", "api_id", "version", "le"}


def expressions() -> Iterable[str]:
    dashboard = json.loads((DEPLOY / "grafana" / "collector.json").read_text())
    yield from (target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
    yield (DEPLOY / "prometheus" / "alerts.yml").read_text()


def test_dashboard_and_alerts_ask_for_metrics_that_there_are():
    named = {metric.name for metric in source.metrics()}
    asked = {
        name.removesuffix("_bucket")
        for text in expressions()
        for name in re.findall(r"collector_[a-z_]+", text)
    }
    assert asked - named == set()


def test_no_rule_takes_the_difference_of_a_gauge_that_falls_at_midnight():
    text = "".join(expressions())
    assert re.findall(r"(?:delta|deriv|rate|increase)\(collector_\w+_today", text) == []


EMPTY_WITHOUT_A_DAEMON = {
    "collector_lease_epoch",
    "collector_token_age_seconds",
    "collector_token_left_seconds",
    "collector_last_sweep_late_seconds",
    'collector_quota_used_requests{api_id="ka20002"}',
    'collector_quota_learnt_requests_per_second{api_id="ka20002"}',
}


@pytest.mark.extended
@pytest.mark.skipif(PROMETHEUS is None, reason="there is no prometheus here (apt-get install prometheus)")
async def test_prometheus_really_scrapes_it_and_answers_the_dashboard(shown, tmp_path):
    config = tmp_path / "prometheus.yml"
    target = shown.url.removeprefix("http://")
    config.write_text(
        "global: {scrape_interval: 1s}\n"
        f"scrape_configs: [{{job_name: collector, static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        str(PROMETHEUS),
        f"--config.file={config}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(600):
            while not await scraped(port):  # noqa: ASYNC110 # another process
                await asyncio.sleep(0.2)  # looks again
            panels = [expression for expression in expressions() if "groups:" not in expression]
            empty = {panel for panel in panels if not await ask(port, panel)}
            while empty - EMPTY_WITHOUT_A_DAEMON:
                await asyncio.sleep(0.5)  # looks again: a rate needs two scrapes
                empty = {panel for panel in panels if not await ask(port, panel)}
    finally:
        process.terminate()
        await process.wait()
    assert len(panels) >= 20
    assert empty <= EMPTY_WITHOUT_A_DAEMON


async def ask(port: int, expression: str) -> list[object]:
    """The series that Prometheus has for an expression. An expression that it cannot read fails the test."""
    path = f"/api/v1/query?query={quote(expression)}"
    status, _, body = await get(f"http://127.0.0.1:{port}", path)
    assert status == 200, (expression, body)
    return list(json.loads(body)["data"]["result"])


async def scraped(port: int) -> bool:
    """Whether Prometheus has the metric that says that the database answers."""
    try:
        status, _, body = await get(f"http://127.0.0.1:{port}", "/api/v1/query?query=collector_database_up")
    except (ConnectionError, ValueError, IndexError):
        return False
    return status == 200 and b'"1"]' in body
