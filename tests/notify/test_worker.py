"""The worker in this process, on a real database: each kind of event that is not of a slot."""

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from collector.config import NotifyConfig
from collector.db.clocks import Comparison
from collector.db.notices import Notice, NoticeStore
from collector.errors import Denied
from collector.model import KST
from collector.notify import worker as module
from collector.notify.outbox import Outbox
from collector.notify.ping import Pinger
from collector.notify.watch import KeyState, Scene
from collector.notify.worker import NoticeWorker
from collector.secret import Secret
from tests.support.daemon_parts import CALENDAR, order, timetable
from tests.support.harness import execute
from tests.support.notice_services import services

NOON = datetime(2026, 11, 27, 12, 0, tzinfo=KST)
SETTINGS = NotifyConfig(language="en", disk_days=0, quiet=timedelta(seconds=1))


class Wall:
    """A clock that a test sets."""

    def __init__(self, now: datetime) -> None:
        self.at = now

    def now(self) -> datetime:
        return self.at


class Stand:
    """A worker with its surroundings."""

    def __init__(self, held, database, server, wall, settings):
        self.settings = settings
        self.server = server
        self.wall = wall
        self.key = KeyState("main", "digest", None, False)
        outbox = Outbox({0: Secret(server.url("one"))}, lambda: self.settings.language)
        self.worker = NoticeWorker(
            lambda: self.settings,
            outbox,
            Pinger(lambda: None),
            host="host",
            home=Path("/"),
            now=wall.now,
        )
        scene = Scene(
            NoticeStore(held),
            timetable(order(database, "http://127.0.0.1:1")),
            lambda: [self.key],
            5,
        )
        self.attached = lambda: self.worker.attach(scene)

    def look_again(self):
        """Let the next look be one at everything."""
        self.wall.at += module.SLOW
        self.worker.lead(True)

    async def hears(self, text):
        def has_come():
            return any(text in f"{m['title']}\n{m['message']}" for m in self.server.messages())

        await self.server.wait(has_come)


@asynccontextmanager
async def running(held, database, *, settings=SETTINGS, now=NOON):
    async with services() as server:
        stand = Stand(held, database, server, Wall(now), settings)
        task = asyncio.ensure_future(stand.worker.run())
        try:
            yield stand
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_an_absent_database_is_told_after_a_while_and_so_is_its_return(held, database):
    async with running(held, database) as stand:
        stand.worker.begin_outage("database", "connection refused")
        stand.worker.begin_outage("api", "is of no interest here")
        stand.wall.at += module.DATABASE_GRACE
        await stand.hears("host cannot use its database")
        stand.wall.at += timedelta(minutes=7)
        stand.worker.end_outage("database")
        await stand.hears("host has its database again")
    first, last = stand.server.messages()
    assert "Reason: connection refused" in first["message"]
    assert "(8 min)" in last["message"]


@pytest.mark.extended
async def test_a_database_that_takes_no_rows_is_told_until_a_sweep_is_stored(held, database):
    async with running(held, database) as stand:
        stand.worker.begin_outage("storing", "no space left on device")
        stand.worker.begin_outage("database", "connection refused")
        stand.wall.at += module.DATABASE_GRACE
        await stand.hears("Reason: no space left on device")
        stand.worker.end_outage("database")
        stand.worker.lead(True)
        await asyncio.sleep(0.5)  # nothing may happen meanwhile
        assert len(stand.server.messages()) == 1
        stand.worker.end_outage("storing")
        await stand.hears("host has its database again")


@pytest.mark.extended
async def test_a_short_absence_of_the_database_is_no_event(held, database):
    async with running(held, database) as stand:
        stand.worker.begin_outage("database", "restarting")
        stand.worker.lead(True)
        await asyncio.sleep(0.2)  # nothing may happen meanwhile
        stand.worker.end_outage("database")
        stand.key = replace(stand.key, denial=Denied("8050"))
        with stand.attached():
            await stand.hears("denies the key")
    assert len(stand.server.messages()) == 1


@pytest.mark.extended
async def test_clocks_that_differ_are_told_without_the_lease(held, database):
    async with running(held, database) as stand:
        with stand.attached():
            apart = Comparison(NOON, NOON - timedelta(seconds=9), NOON)
            stand.worker.compare_clocks(apart)
            stand.worker.compare_clocks(apart)
            await stand.hears("The clock of host is 9 s off the database's")
            stand.worker.compare_clocks(Comparison(NOON, NOON, NOON))
            await stand.hears("The clock of host agrees again")
    assert len(stand.server.messages()) == 2


@pytest.mark.extended
async def test_a_lowered_rate_is_told_and_its_hourly_test_is_no_end(held, database):
    async with running(held, database) as stand:
        await execute(
            database,
            "INSERT INTO collector.quota (key, api_id, granted, granted_at)"
            " VALUES ('digest', 'ka20002', 3, clock_timestamp())",
        )
        stand.worker.lead(True)
        with stand.attached():
            await stand.hears("grants the key main 3 requests of ka20002 a second, not 5")
            store = NoticeStore(held)
            await execute(database, "UPDATE collector.quota SET granted = NULL, granted_at = NULL")
            stand.look_again()
            await asyncio.sleep(0.5)  # one look, which must not believe it
            assert len(await store.lasting(["quota"])) == 1
            stand.look_again()
            await stand.hears("is back to the configured one")


@pytest.mark.extended
async def test_a_calendar_that_ends_is_told_once(held, database):
    late = datetime.combine(CALENDAR.coverage_end, datetime.min.time(), KST) - timedelta(days=3)
    async with running(held, database, now=late) as stand:
        stand.worker.lead(True)
        with stand.attached():
            await stand.hears(f"ends on {CALENDAR.coverage_end}, in 3 days")
            stand.look_again()
            await asyncio.sleep(0.5)  # nothing may happen meanwhile
        with stand.attached():
            stand.look_again()
            await asyncio.sleep(0.5)  # nor after the database was opened anew
    assert len(stand.server.messages()) == 1


@pytest.mark.extended
async def test_a_day_has_one_summary_after_its_time(held, database):
    settings = replace(SETTINGS, summary="15:40")
    async with running(held, database, settings=settings, now=NOON.replace(hour=15, minute=39)) as stand:
        stand.worker.lead(True)
        with stand.attached():
            await asyncio.sleep(0.5)  # nothing may happen before its time
            assert stand.server.messages() == []
            stand.wall.at = NOON.replace(hour=15, minute=40)
            stand.look_again()
            await stand.hears("2026-11-27: 0 of 79 slots complete")
        with stand.attached():
            stand.look_again()
            await asyncio.sleep(0.5)  # nothing may happen meanwhile
    assert len(stand.server.messages()) == 1


async def test_a_day_without_slots_has_no_summary(held, database):
    settings = replace(SETTINGS, summary="00:00")
    sunday = datetime(2026, 11, 29, 12, 0, tzinfo=KST)
    async with running(held, database, settings=settings, now=sunday) as stand:
        stand.worker.lead(True)
        with stand.attached():
            await asyncio.sleep(0.5)  # nothing may happen meanwhile
        assert await NoticeStore(held).recent(9) == []


@pytest.mark.extended
async def test_an_event_that_is_not_wanted_is_not_told(held, database):
    settings = replace(SETTINGS, events=("clocks",))
    async with running(held, database, settings=settings) as stand:
        stand.key = replace(stand.key, denial=Denied("8050"))
        with stand.attached():
            stand.worker.compare_clocks(Comparison(NOON, NOON - timedelta(seconds=9), NOON))
            await stand.hears("The clock of host")
            stand.worker.compare_clocks(Comparison(NOON, NOON, NOON))
            await asyncio.sleep(0.5)  # nothing may happen meanwhile
        assert await NoticeStore(held).lasting(["clocks", "denied"]) == []
    assert len(stand.server.messages()) == 1


async def test_the_event_of_a_schedule_that_is_gone_ends_in_silence(held, database):
    store = NoticeStore(held)
    old = Notice(0, "behind", "removed", NOON, {"schedule": "removed", "slots": 3})
    await store.change([old], [], quiet=timedelta(), tells_end=True)
    await store.mark_told(await store.claim_due())
    async with running(held, database) as stand:
        stand.worker.lead(True)
        with stand.attached():
            async with asyncio.timeout(600):
                while await store.lasting(["behind"]):  # noqa: ASYNC110 - another session writes it
                    await asyncio.sleep(0.05)
            await asyncio.sleep(0.5)  # nothing may happen meanwhile
    assert stand.server.messages() == []


@pytest.mark.extended
async def test_a_key_that_was_not_tried_yet_ends_nothing(held, database):
    async with running(held, database) as stand:
        stand.key = replace(stand.key, denial=Denied("8050"))
        with stand.attached():
            await stand.hears("denies the key main")
        stand.key = KeyState("main", "digest", None, False)
        with stand.attached():
            stand.look_again()
            await asyncio.sleep(0.5)  # nothing may happen meanwhile
            assert len(await NoticeStore(held).lasting(["denied"])) == 1
            stand.key = replace(stand.key, was_accepted=True)
            stand.look_again()
            await stand.hears("The key main works again")


@pytest.mark.extended
async def test_a_lost_database_stops_no_look(held, database):
    async with running(held, database) as stand:
        with stand.attached():
            await execute(database, "ALTER TABLE collector.notice RENAME TO notice_away")
            stand.key = replace(stand.key, denial=Denied("8050"))
            stand.look_again()
            await asyncio.sleep(0.5)  # looks that fail
            await execute(database, "ALTER TABLE collector.notice_away RENAME TO notice")
            stand.look_again()
            await stand.hears("denies the key main")
