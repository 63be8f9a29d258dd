"""The generated pages of the documentation are what the program says."""

import asyncio

import pytest

from collector.db.dsn import Dsn
from collector.db.pool import connect
from tests.golden.test_golden import HERE
from tools.reference import DOCS, pages, source


async def test_generated_pages_are_up_to_date(database: Dsn) -> None:
    async with connect(database) as connection:
        made = await pages(connection)
    files = await asyncio.to_thread(
        lambda: {path: (DOCS / path).read_text(encoding="utf-8") for path in made}
    )
    stale = [path for path, text in made.items() if files[path] != text]
    assert stale == [], "run `./dev docs`"


def test_every_metric_of_a_scrape_is_found_in_the_source() -> None:
    lines = (HERE / "metrics.txt").read_text(encoding="utf-8").splitlines()
    scraped = {line.split()[0] for line in lines if not line.startswith("python_")}
    declared = {
        f"{name}{{{','.join(sorted(labels))}}}" if labels else name for name, _, labels, _ in source.metrics()
    }
    assert scraped - declared == set()


def test_every_event_of_a_sweep_is_found_in_the_source() -> None:
    lines = (HERE / "log_events.txt").read_text(encoding="utf-8").splitlines()
    assert {line.split()[0] for line in lines} - set(source.events()) == set()


def test_a_name_without_a_meaning_stops_the_generator(tmp_path) -> None:
    file = tmp_path / "environment.yaml"
    file.write_text("DATABASE_URL: The database.\n", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"environment\.yaml has no entry for .*KIWOOM_APP_KEY"):
        source.environment_page(file)
