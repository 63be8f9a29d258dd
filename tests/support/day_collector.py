"""Sweeps slots of a simulated day: `python -m tests.support.day_collector FIRST COUNT TARGET ...`, by DATABASE_URL.

A process of its own, so that a test can collect a day with another version of the program on its path.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from collector.db.dsn import Dsn, parse_dsn
from collector.model import Target
from kiwoom_simulator import Simulator
from tests.support.harness import STILL, collecting

EVERY = timedelta(minutes=5)


def list_slots(first: datetime, count: int) -> list[datetime]:
    return [first + EVERY * index for index in range(count)]


async def collect_slots(address: Dsn, slots: Sequence[datetime], targets: Sequence[Target]) -> None:
    """Sweep each slot, with the simulated market standing at it."""
    async with (
        Simulator(replace(STILL, freeze=slots[0])) as simulator,
        collecting(address, simulator.url, *targets) as collector,
    ):
        for slot in slots:
            simulator.clock.turn(at=slot)
            await collector.sweep(slot, "all", targets)


if __name__ == "__main__":
    begins, number, *names = sys.argv[1:]
    asyncio.run(
        collect_slots(
            parse_dsn(os.environ["DATABASE_URL"]),
            list_slots(datetime.fromisoformat(begins), int(number)),
            [Target.of(*name.split("/")) for name in names],
        )
    )
