"""`collector notify`, and what `check` and the daemon say of services."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from collector.db.database import Database
from collector.db.dsn import Dsn
from collector.db.notices import Notice, NoticeStore
from collector.db.pool import open_pool
from collector.model import Target
from tests.support import secret_sentinels
from tests.support.command_process import config, ended, environment, run
from tests.support.notice_services import TOKEN, services

given = partial(environment, "http://127.0.0.1:1")
TARGET = Target.of("KOSPI", "005", "KRX")


def configured(folder: Path, notify: str = "") -> Path:
    path = config(folder, TARGET)
    path.write_text(path.read_text() + notify)
    return path


@pytest.mark.extended
async def test_each_service_gets_a_test_message_and_the_exit_status_is_0(tmp_path: Path) -> None:
    async with services() as server:
        configured(tmp_path, f"notify: {{ping: {server.url('ping', 'http')}}}\n")
        env = given(COLLECTOR_NOTIFY_URLS=f"{server.url('one')} {server.url('two')}")
        found = await run("notify", "--test", env=env, cwd=tmp_path)
    assert (found.code, found.err) == (0, "")
    assert found.out.splitlines()[:2] == ["service 1 (JSON): accepted", "service 2 (JSON): accepted"]
    assert found.out.splitlines()[2].endswith("/***: accepted")
    assert server.titles() == ["collector: 시험 메시지입니다"] * 2
    assert server.calls("ping") == 1
    assert secret_sentinels.shown(found.out.encode()) == []


@pytest.mark.extended
async def test_a_service_that_refuses_or_hangs_is_named_by_its_number_and_the_exit_status_is_1(
    tmp_path: Path,
) -> None:
    behaviour = {"good": "accept", "refuses": "refuse", "hangs": "hang"}
    async with services(behaviour.__getitem__) as server:
        configured(tmp_path)
        urls = " ".join(server.url(name) + "?rto=2" for name in behaviour)
        env = given(COLLECTOR_NOTIFY_URLS=urls)
        found = await run("notify", "--test", env=env, cwd=tmp_path)
    assert found.code == 1
    assert found.out == "service 1 (JSON): accepted\n"
    assert found.err.splitlines() == [
        "service 2 (JSON): it answered HTTP 500",
        "service 3 (JSON): it cannot be reached, or it does not answer",
    ]


async def test_without_a_service_there_is_nothing_to_try(tmp_path: Path) -> None:
    configured(tmp_path)
    found = await run("notify", "--test", env=given(), cwd=tmp_path)
    assert found.code == 2
    assert "COLLECTOR_NOTIFY_URLS is not set" in found.err


async def test_events_are_listed_those_that_last_first(tmp_path: Path, database: Dsn) -> None:
    at = datetime(2026, 11, 27, 1, 0, tzinfo=UTC)
    async with open_pool(database) as pool:
        store = NoticeStore(Database(pool, database))
        events = [
            Notice(0, "behind", name, at, {"schedule": name, "slots": 3, "last": ""}) for name in ("a", "b")
        ]
        await store.change(events, [], quiet=timedelta(), tells_end=True)
        await store.mark_told(await store.claim_due())
        (_, second) = await store.lasting(["behind"])
        await store.change([], [(second.id, at + timedelta(hours=1), {})], quiet=timedelta(), tells_end=True)
    configured(tmp_path, "notify: {language: en}\n")
    found = await run("notify", env=given(address=database), cwd=tmp_path)
    assert found.code == 0
    assert found.out.splitlines() == [
        "2026-11-27 10:00  lasts                   told      a: 3 slots in a row without a complete sweep",
        "2026-11-27 10:00  until 2026-11-27 11:00  told      b: sweeps are complete again",
    ]


async def test_no_event_is_said_to_be_none(tmp_path: Path, database: Dsn) -> None:
    configured(tmp_path)
    found = await run("notify", env=given(address=database), cwd=tmp_path)
    assert (found.code, found.out) == (0, "no event yet\n")


@pytest.mark.extended
async def test_check_names_the_services_and_masks_their_urls(tmp_path: Path) -> None:
    async with services() as server:
        configured(tmp_path, f"notify: {{ping: {server.url('ping', 'http')}, language: en}}\n")
        env = given(COLLECTOR_NOTIFY_URLS=f"{server.url('one')}, tgram://123456789:{'a' * 35}/42/")
        found = await run("check", env=env, cwd=tmp_path)
        assert server.requests == []
    assert (found.code, found.err) == (0, "")
    assert "# COLLECTOR_NOTIFY_URLS: ***" in found.out
    assert "# notices go to 2 services (JSON, Telegram), in English" in found.out
    assert f"# each complete sweep is told to http://127.0.0.1:{server.server.port}/***" in found.out
    assert secret_sentinels.shown(found.out.encode()) == []


async def test_check_says_that_no_service_is_set(tmp_path: Path) -> None:
    configured(tmp_path)
    found = await run("check", env=given(), cwd=tmp_path)
    assert "# no notices are sent: COLLECTOR_NOTIFY_URLS is not set" in found.out


WRONG = {
    "no URL": ("just-a-token-" + TOKEN, "entry 1 is no URL of a service (it is not shown)"),
    "no service": (f"nosuch://{TOKEN}/x", "entry 1: no service of apprise has such a URL (it is not shown)"),
    "empty": (" ", "COLLECTOR_NOTIFY_URLS is empty; give it a value, or unset it"),
    "too many": (f"json://h/{TOKEN} " * 21, "has 21 URLs; use 20 at most"),
}


@pytest.mark.extended
@pytest.mark.parametrize(("urls", "complaint"), WRONG.values(), ids=WRONG.keys())
async def test_a_wrong_url_is_refused_by_its_number_and_never_shown(
    tmp_path: Path, urls: str, complaint: str
) -> None:
    configured(tmp_path)
    found = await run("check", env=given(COLLECTOR_NOTIFY_URLS=urls), cwd=tmp_path)
    assert found.code == 2
    assert complaint in found.err
    assert secret_sentinels.shown((found.out + found.err).encode()) == []


async def test_both_a_variable_and_a_file_are_refused(tmp_path: Path) -> None:
    configured(tmp_path)
    env = given(COLLECTOR_NOTIFY_URLS="json://h/x", COLLECTOR_NOTIFY_URLS_FILE="urls")
    found = await run("check", env=env, cwd=tmp_path)
    assert found.err.startswith(
        "collector: both COLLECTOR_NOTIFY_URLS and COLLECTOR_NOTIFY_URLS_FILE are set"
    )


@pytest.mark.extended
@pytest.mark.parametrize("command", ["check", "daemon"])
async def test_services_without_the_package_for_them_are_refused(tmp_path: Path, command: str) -> None:
    configured(tmp_path, "schedules: {s: {universe: all, at: '10:00'}}\n")
    without = f"import sys; sys.modules['apprise'] = None; sys.argv[1:] = ['{command}']"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", f"{without}; from collector.cli.main import main; main()"),
        env=given(COLLECTOR_NOTIFY_URLS="json://h/x"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    found = await ended(process)
    assert found.code == 2
    assert "COLLECTOR_NOTIFY_URLS needs the package apprise, which is not installed" in found.err
    assert "pip install" in found.err
