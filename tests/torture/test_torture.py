"""The judge and the tap, held against sabotage: what they are there to notice, they notice."""

from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest

from collector.db.dsn import Dsn
from collector.db.pool import connect
from collector.model import Target
from kiwoom_simulator import Simulator
from tests.support.harness import STILL, collecting, execute
from tests.torture import judge, recovery
from tests.torture.figures import Figures
from tests.torture.messages import Asked, Told, gist
from tests.torture.world import World, now

TARGET = Target.of("KOSPI", "013", "KRX")


@pytest.mark.parametrize(
    ("sabotage", "kinds"),
    [
        ("", set()),
        ("DELETE FROM collector.snapshot WHERE position = 7", {"torn", "altered"}),
        ("UPDATE collector.snapshot SET price = price + 1 WHERE position = 7", {"altered"}),
        ("UPDATE collector.snapshot SET position = 9 WHERE position = 7", {"doubled", "altered"}),
        ("INSERT INTO collector.snapshot SELECT * FROM collector.snapshot", {"doubled", "altered"}),
        ("DELETE FROM collector.walk", {"torn"}),
        ("DELETE FROM collector.snapshot", {"torn", "altered"}),
    ],
    ids=["nothing", "a row gone", "a price", "a place", "all twice", "no ledger", "no rows"],
)
async def test_the_judge_notices(database: Dsn, sabotage: str, kinds: set[str]) -> None:
    async with Simulator(STILL) as simulator, connect(database) as connection:
        async with collecting(database, simulator.url, TARGET) as collector:
            await collector.sweep(now(), "all", [TARGET])
        if sabotage:
            await execute(database, sabotage)
        found = await judge.torn(connection) + await judge.altered(connection, simulator)
    assert {line.partition(":")[0] for line in found} == kinds


@pytest.mark.parametrize(
    ("sabotage", "kinds"),
    [
        ("", set()),
        ("DELETE FROM collector.snapshot WHERE position = 7", {"torn"}),
        ("UPDATE collector.snapshot SET price = price / 10 WHERE position = 7", {"torn"}),
        ("UPDATE collector.walk SET digest = '\\x01'", {"torn", "doubled"}),
        (
            "INSERT INTO collector.replay SELECT slot, target, now(), '', '', 1, '{}' FROM collector.walk",
            {"doubled"},
        ),
    ],
    ids=["nothing", "a row gone", "a price of before", "no history", "history without a replay"],
)
async def test_the_judge_of_a_replay_notices(database: Dsn, sabotage: str, kinds: set[str]) -> None:
    async with Simulator(STILL) as simulator, connect(database) as connection:
        async with collecting(database, simulator.url, TARGET) as collector:
            await collector.sweep(now(), "all", [TARGET])
        await connection.execute(recovery.SPOIL)
        if sabotage:
            await execute(database, sabotage)
        stage = SimpleNamespace(connection=connection)
        found = await recovery.ReplayRecovery(stage).losses()  # type: ignore[arg-type]  # it reads no more of a stage
    assert {line.partition(":")[0] for line in found} == kinds


async def test_the_judge_notices_what_is_fetched_again(database: Dsn) -> None:
    async with Simulator(STILL) as simulator:
        async with collecting(database, simulator.url, TARGET) as collector:
            await collector.sweep(now(), "all", [TARGET])
        since = simulator.api.book.count
        assert judge.asked_again(simulator, since, [TARGET]) == []
        assert judge.asked_again(simulator, 0, [TARGET]) == [
            f"doubled: {TARGET} was stored, and is fetched again"
        ]


async def test_a_round_that_raises_is_a_loss_and_the_others_go_on(tmp_path: Path) -> None:
    async def one(number: int, chance: Random) -> list[str]:
        if number == 1:
            raise OSError("no luck")
        return []

    figures = Figures()
    world = World(tmp_path, seed=1, cluster=None)  # type: ignore[arg-type]  # no round asks for it
    await world.rounds("some", figures, one, count=3)
    assert figures.losses == ["broken: OSError: no luck (round 1)"]


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + (len(body) + 4).to_bytes(4, "big") + body


def test_steps_are_read_off_however_the_bytes_arrive() -> None:
    said = (
        message(b"", b"\0\3\0\0")
        + message(b"P", b"s\0SELECT  1\0\0\0")
        + message(b"B", b"\0s\0")
        + message(b"E")
    )
    asked = Asked()
    steps = [step for byte in said for _, _, step in asked.take(bytes([byte]))]
    assert steps == ["connect", "prepare: SELECT 1", None, "ask: SELECT 1"]
    told = Told(asked)
    assert [step for _, _, step in told.take(message(b"C", b"SELECT 1\0"))] == ["told: SELECT 1"]


def test_a_statement_has_the_same_name_every_day() -> None:
    names = {gist(f'COPY "collector"."snapshot_{day}"("slot") FROM STDIN') for day in (20261120, 20261121)}
    assert len(names) == 1
