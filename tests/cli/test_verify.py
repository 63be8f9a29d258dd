"""`collector verify` as a process: what it says of sound and of damaged walks."""

from pathlib import Path

from collector.db.dsn import Dsn
from collector.model import Target
from kiwoom_simulator import Simulator
from tests.support.command_process import environment, run
from tests.support.harness import OPEN, STILL, collecting, execute

SOUND = Target.of("KOSPI", "013", "KRX")


async def test_it_lists_the_damage_and_says_so_by_its_exit_status(database: Dsn, tmp_path: Path) -> None:
    async with Simulator(STILL) as simulator, collecting(database, simulator.url, SOUND) as collector:
        await collector.sweep(OPEN, "all", [SOUND])
    env = environment(None, database)
    whole = await run("verify", env=env, cwd=tmp_path)
    await execute(database, "UPDATE collector.snapshot SET price = 1 WHERE position = 3")
    damaged = await run("verify", "--from", "2026-11-20", env=env, cwd=tmp_path)
    other = await run("verify", "--from", "2026-11-21", "--to", "2026-11-22", env=env, cwd=tmp_path)
    assert (whole.code, whole.out.partition(";")[0]) == (0, "1 walks with 81 rows verified")
    assert damaged.code == 1
    assert damaged.out.splitlines()[0] == "2026-11-20 11:00:00 KOSPI/013/KRX: values have changed"
    assert (other.code, other.out) == (0, "0 walks with 0 rows verified; 0 damaged\n")
