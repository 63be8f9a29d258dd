"""Sending: the real child process, real HTTP, services that work and services that do not."""

import asyncio
import json
import os
import re
import sys
from asyncio.subprocess import PIPE
from datetime import UTC, datetime
from pathlib import Path

import pytest

from collector.db.notices import Notice, NoticeStore
from collector.notify import sender
from collector.notify.messages import Message
from collector.notify.outbox import MOST_AT_ONCE, Outbox
from collector.notify.ping import Pinger, ping
from collector.secret import Secret
from tests.support.notice_services import TOKEN, services

AT = datetime(2026, 11, 27, 1, 0, tzinfo=UTC)
MESSAGE = Message("제목", "본문 <b>&</b> `collector check`", "failure")
EVENT = Notice(0, "database", "h", AT, {"host": "h", "reason": "away"})


def secrets(*urls):
    return {number: Secret(url) for number, url in enumerate(urls)}


async def test_a_message_arrives_as_it_was_written():
    async with services() as server:
        deliveries = await sender.Sender().send(secrets(server.url("one"), server.url("two")), MESSAGE)
    assert [delivery.is_accepted for delivery in deliveries.values()] == [True, True]
    assert {delivery.name for delivery in deliveries.values()} == {"JSON"}
    (message,) = server.messages("one")
    assert (message["title"], message["message"], message["type"]) == (MESSAGE.title, MESSAGE.body, "failure")


@pytest.mark.extended
async def test_each_service_has_its_own_outcome_without_a_part_of_its_url():
    behaviour = {"refuses": "refuse", "hangs": "hang", "good": "accept"}
    async with services(behaviour.__getitem__) as server:
        urls = [
            *(server.url(name) + "?rto=2" for name in behaviour),
            f"json://127.0.0.1:1/{TOKEN}",
            f"nosuch://{TOKEN}",
            f"tgram://{TOKEN}",
        ]
        deliveries = await sender.Sender().send(secrets(*urls), MESSAGE)
    reasons = [deliveries[number].reason for number in range(len(urls))]
    assert reasons == [
        "it answered HTTP 500",
        "it cannot be reached, or it does not answer",
        "",
        "it cannot be reached, or it does not answer",
        "no service of apprise has such a URL",
        "no service of apprise has such a URL",
    ]
    assert TOKEN not in str(deliveries)
    assert all(name not in str(deliveries) for name in behaviour)


@pytest.mark.extended
async def test_a_service_that_answers_for_ever_is_given_up_and_its_process_is_gone():
    async with services(lambda _: "drip") as server:
        deliveries = await sender.Sender(limit=10).send(secrets(server.url("drips")), MESSAGE)
        (visit,) = server.server.visits
        async with asyncio.timeout(600):
            while not visit.writer.transport.is_closing():  # noqa: ASYNC110 - a write tells that the peer is gone
                await asyncio.sleep(0.1)
    assert deliveries[0].reason == sender.SILENT


@pytest.mark.extended
async def test_a_service_that_answers_after_eight_seconds_gets_one_message():
    async with services(lambda _: "slow") as server:
        outbox = Outbox(secrets(server.url("slow")), lambda: "en", pauses=(0.1, 0.1))
        assert outbox.send_now(EVENT)
        async with asyncio.timeout(600):
            while outbox.is_busy:  # noqa: ASYNC110 - the outbox has no event
                await asyncio.sleep(0.05)
    assert server.calls("slow") == 1


async def test_a_url_may_have_a_time_of_its_own_for_the_answer():
    async with services(lambda _: "slow") as server:
        deliveries = await sender.Sender().send(secrets(server.url("slow") + "?rto=1"), MESSAGE)
    assert deliveries[0].reason == "it cannot be reached, or it does not answer"


def child_pids():
    """The processes that this one started and did not collect."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


async def test_a_prepared_sender_starts_no_other_process_and_leaves_none():
    before = child_pids()
    async with services() as server:
        mine, urls = sender.Sender(), secrets(server.url("one"))
        await mine.prepare(urls)
        (spare,) = child_pids() - before
        await mine.prepare(urls)
        assert child_pids() - before == {spare}
        sending = asyncio.ensure_future(mine.send(urls, MESSAGE))
        await server.wait(lambda: bool(server.messages()))
        assert child_pids() - before <= {spare}
        assert (await sending)[0].is_accepted
        await mine.prepare(urls)
        await mine.close()
    assert child_pids() - before == set()
    assert len(server.messages()) == 1


async def test_a_child_without_an_order_ends_by_itself():
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "collector.notify.child"), stdin=asyncio.subprocess.DEVNULL
    )
    assert await process.wait() == 0


@pytest.mark.parametrize(
    ("schemes", "imports_all"), [(["json", "mailto"], False), (["json", "nosuch"], True)]
)
async def test_a_child_imports_its_services_alone_unless_one_is_unknown(schemes, imports_all):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "importtime", "-P", "-m", "collector.notify.child"), stdin=PIPE, stderr=PIPE
    )
    _, err = await process.communicate(json.dumps(schemes).encode() + b"\n")
    imported = re.findall(rb"apprise\.plugins\.(custom_json|email|slack)$", err, re.MULTILINE)
    assert process.returncode == 0
    assert set(imported) == {b"custom_json", b"email", *([b"slack"] if imports_all else [])}


@pytest.mark.extended
async def test_urls_are_checked_without_a_message():
    async with services() as server:
        deliveries = await sender.check(secrets(server.url("one"), f"nosuch://{TOKEN}"))
        assert server.requests == []
    assert [deliveries[number].is_accepted for number in (0, 1)] == [True, False]


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [("accept", ""), ("refuse", "it answered HTTP 500"), ("hang", "no answer in 2 s"), ("drip", "")],
)
async def test_a_ping_is_one_call_and_ends(behaviour, reason):
    async with services(lambda _: behaviour) as server:
        assert await ping(server.url("ping", "http"), limit=2) == reason
        assert server.calls("ping") == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "http://nowhere.invalid/x"])
async def test_a_ping_to_nowhere_says_so_without_the_url(url):
    reason = await ping(url)
    assert reason.startswith("it cannot be reached")
    assert "nowhere" not in reason


async def test_pings_do_not_pile_up():
    gate, calls = asyncio.Event(), []

    async def call(url):
        calls.append(url)
        await gate.wait()
        return ""

    pinger = Pinger(lambda: "http://x/", call)
    for _ in range(50):
        pinger.start()
        await asyncio.sleep(0)
    gate.set()
    async with asyncio.timeout(600):
        while len(calls) < 2:  # noqa: ASYNC110 - the task has no event
            await asyncio.sleep(0.01)
    await pinger.close()
    assert len(calls) == 2


async def emptied(outbox, store):
    """Store the results until nothing is under way."""
    changed = asyncio.Event()
    outbox.changed = changed.set
    async with asyncio.timeout(300):
        while outbox.is_busy or outbox.has_results:
            changed.clear()
            await outbox.send_due(store)
            if outbox.is_busy and not outbox.has_results:
                await changed.wait()


MESSAGES = MOST_AT_ONCE + 1
"""One of them waits until a place is free."""


@pytest.mark.extended
async def test_a_service_that_works_gets_each_message_while_another_hangs(held):
    store = NoticeStore(held)
    async with services({"hangs": "hang", "good": "accept"}.__getitem__) as server:
        urls = secrets(server.url("hangs") + "?rto=2", server.url("good"))
        outbox = Outbox(urls, lambda: "en", pauses=(0.1,))
        for number in range(MESSAGES):
            event = Notice(0, "clocks", f"host{number}", AT, {"host": f"host{number}", "seconds": 9})
            async with asyncio.timeout(600):
                while outbox.is_full:  # noqa: ASYNC110 - as the worker does, with its heartbeat
                    await asyncio.sleep(0.05)
            assert outbox.send_now(event)
        await server.wait(lambda: len(server.messages("good")) == MESSAGES)
        await emptied(outbox, store)
    assert sorted(server.titles("good")) == [
        f"collector: The clock of host{number} is 9 s off the database's; nothing is swept"
        for number in range(MESSAGES)
    ]
    assert server.calls("hangs") <= 2 * MESSAGES


@pytest.mark.extended
async def test_a_message_is_told_once_one_service_accepts_it_and_untold_if_none_does(held):
    store = NoticeStore(held)
    async with services({"refuses": "refuse", "good": "accept"}.__getitem__) as server:
        for urls in ([server.url("refuses")], [server.url("refuses"), server.url("good")]):
            subject = str(len(urls))
            await store.change(
                [Notice(0, "behind", subject, AT, {"schedule": subject, "slots": 3})],
                [],
                quiet=AT - AT,
                tells_end=True,
            )
            outbox = Outbox(secrets(*urls), lambda: "en", pauses=(0.1,))
            await outbox.send_due(store)
            await emptied(outbox, store)
        assert server.calls("refuses") == 4
    async with held.connection("looking") as connection:
        rows = await connection.fetch(
            "SELECT subject, told_at IS NOT NULL AS told, tries FROM collector.notice ORDER BY subject"
        )
    assert [tuple(row) for row in rows] == [("1", False, 1), ("2", True, 0)]


@pytest.mark.extended
async def test_what_was_told_while_the_database_was_away_is_stored_later_and_not_told_again(held):
    store = NoticeStore(held)
    await store.change(
        [Notice(0, "behind", "s", AT, {"schedule": "s", "slots": 3})], [], quiet=AT - AT, tells_end=True
    )
    async with services() as server:
        outbox = Outbox(secrets(server.url("one")), lambda: "ko")
        await outbox.send_due(store)
        await server.wait(lambda: bool(server.messages()))
        await emptied(outbox, store)
        async with held.transaction("as if the claim had ended") as connection:
            await connection.execute("UPDATE collector.notice SET next_try_at = '-infinity'")
        await outbox.send_due(store)
        await emptied(outbox, store)
    assert server.titles() == ["collector: s: 연속 3개 슬롯에서 완전한 수집이 없습니다"]


async def test_without_services_nothing_is_claimed(held):
    store = NoticeStore(held)
    await store.change([EVENT], [], quiet=AT - AT, tells_end=True)
    outbox = Outbox({}, lambda: "ko")
    await outbox.send_due(store)
    assert not outbox.send_now(EVENT)
    assert len(await store.claim_due()) == 1
