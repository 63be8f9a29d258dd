"""When something runs out: descriptors, a log that nobody takes, patience with a program that is started for ever."""

import asyncio
import os
import resource
import sys
import traceback
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from collector.db.dsn import Dsn
from collector.model import Target
from kiwoom_simulator import Simulator
from tests.support.command_process import config, environment, until
from tests.support.harness import OPEN, STILL, TORN, collecting, fetch

MANY = [Target.of("KOSPI", f"{number:03}", "KRX") for number in range(5, 20)]
ONCE = ("-m", "collector", "once")


@pytest.fixture(scope="module")
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(STILL) as running:
        yield running


async def started(
    folder: Path, env: dict[str, str], *, err: int = DEVNULL, descriptors: int = 256
) -> asyncio.subprocess.Process:
    def fewer() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

    return await asyncio.create_subprocess_exec(
        sys.executable, *ONCE, env=env, cwd=folder, stdout=DEVNULL, stderr=err, preexec_fn=fewer
    )


def nowhere(kind: str) -> tuple[int, list[int]]:
    """Where a log can go and nobody takes it, and what is to be closed afterwards."""
    if kind == "a full disk":
        log = os.open("/dev/full", os.O_WRONLY)
        return log, [log]
    reader, writer = os.pipe()
    if kind == "a reader that has gone":
        os.close(reader)
        return writer, [writer]
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    os.set_blocking(writer, True)
    return writer, [reader, writer]


@pytest.mark.extended
@pytest.mark.parametrize(
    "kind",
    [
        "a full disk",
        "a reader that has gone",
        "a reader that does not read",
    ],
)
async def test_a_sweep_goes_on_although_its_log_goes_nowhere(
    database: Dsn, tmp_path: Path, simulator: Simulator, kind: str
) -> None:
    config(tmp_path, *MANY)
    log, descriptors = nowhere(kind)
    process = await started(tmp_path, environment(simulator.url, database), err=log)
    async with asyncio.timeout(600):
        code = await process.wait()
    for descriptor in descriptors:
        os.close(descriptor)
    assert await fetch(database, "SELECT status, count(*) FROM walk GROUP BY 1") == [("complete", len(MANY))]
    assert code in (0, 120)  # what the interpreter says when it cannot flush its last words


@pytest.mark.extended
async def test_without_descriptors_it_ends_in_one_line_and_nothing_is_torn(
    database: Dsn, tmp_path: Path, simulator: Simulator
) -> None:
    config(tmp_path, *MANY)
    env = environment(simulator.url, database)
    ran_out = 0
    for descriptors in range(7, 13):  # how many a start takes, and how many a sweep, differs between machines
        process = await started(tmp_path, env, err=PIPE, descriptors=descriptors)
        _, said = await process.communicate()
        assert b"Traceback" not in said
        ran_out += b"no file descriptor is left" in said
        assert (process.returncode == 0) is (b"no file descriptor is left" not in said)
        assert await fetch(database, TORN) == []
    assert ran_out


@pytest.mark.extended
async def test_a_bug_in_one_walk_ends_the_sweep_and_is_seen(database: Dsn, simulator: Simulator) -> None:
    begun = 0

    def may_begin() -> bool:
        nonlocal begun
        begun += 1
        return bool(1 / (6 - begun))

    async with collecting(database, simulator.url, *MANY) as collector:
        before = asyncio.all_tasks()
        with pytest.raises(BaseException) as caught:  # noqa: PT011 - in a group, or alone
            await collector.sweep(OPEN, "all", MANY, may_begin=may_begin)
        assert asyncio.all_tasks() <= before
    assert "ZeroDivisionError" in "".join(traceback.format_exception(caught.value))
    assert begun < len(MANY)
    assert await fetch(database, TORN) == []


def reached(simulator: Simulator, count: int) -> bool:
    return simulator.api.book.count >= count


@pytest.mark.extended
async def test_a_storm_of_starts_costs_one_token_and_each_page_once(database: Dsn, tmp_path: Path) -> None:
    config(tmp_path, *MANY)
    async with Simulator(replace(STILL, latency=timedelta(milliseconds=30))) as simulator:
        env = environment(simulator.url, database)
        for number in range(1, 6):
            process = await started(tmp_path, env)
            await until(partial(reached, simulator, 3 * number))
            process.kill()
            await process.wait()
        process = await started(tmp_path, env)
        assert await process.wait() == 0
        lines = simulator.api.book.since(0)
    tokens = [line for line in lines if line["api_id"] == "au10001"]
    pages = [(line["sector"], line["page"]) for line in lines if line["api_id"] == "ka20002"]
    assert len(tokens) == 1
    assert len(pages) <= len(set(pages)) + 5 * 4  # four walks are under way when it dies
