"""The real parts for tests: a configuration, an order for the daemon, a wall clock that runs faster."""

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta
from types import SimpleNamespace

from collector import calendar, shipped
from collector import config as configuration
from collector.cli import running
from collector.cli.expected import Expected
from collector.cli.world import World
from collector.config import Environment, universe_targets
from collector.daemon import Daemon, SystemClock
from collector.postgres import Address
from collector.secret import Secret
from collector.sectors import shipped as shipped_sectors

CALENDAR = calendar.load(shipped.path("config", "calendar.yaml").read_bytes(), "calendar.yaml")

CONFIG = """
api: {{base_url: {url}, requests_per_second: 0, timeout: 5s}}
universes:
  few:
    - {{market: KOSPI, sectors: [005, 006, 007], exchanges: [KRX]}}
schedules:
  intraday: {{universe: few, every: {every}, during: KRX.regular}}
"""


def url(address: Address) -> str:
    """The address as DATABASE_URL has it."""
    return f"postgresql://{address.user}@/{address.database}?host={address.host}&port={address.port}"


def order(address: Address, simulator: str, *, every: str = "5m", text: str = CONFIG) -> SimpleNamespace:
    """What `collector.cli.running` makes of the arguments, the environment and the file."""
    config = configuration.parse(text.format(url=simulator, every=every).encode(), "c.yaml")
    keys = {"app_key": Secret("an app key"), "secret_key": Secret("a secret key")}
    world = World(Environment(database_url=Secret(url(address)), **keys), config)
    return SimpleNamespace(world=world, calendar=CALENDAR, keys=configuration.keys(config, world.environment))


class FastClock(SystemClock):
    """A wall that shows `start` now and runs `speed` times as fast as the machine's."""

    def __init__(self, start: datetime, speed: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._start = start
        self._speed = speed

    def now(self) -> datetime:
        return self._start + timedelta(seconds=(self._loop.time() - self._began) * self._speed)

    async def reach(self, at: datetime, unless: asyncio.Event) -> None:
        while (left := (at - self.now()).total_seconds()) > 0 and not unless.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(left / self._speed):
                    await unless.wait()


def daemon(ordered: SimpleNamespace, clock: FastClock, name: str = "one") -> Daemon:
    """A daemon in this process, on the real database and a real HTTP server; the database shows its clock's time."""

    async def shown() -> datetime:
        return clock.now()

    return Daemon(lambda: running.assembled(ordered, name, witness=shown), clock, lambda _: None)


def expected(ordered: SimpleNamespace) -> Expected:
    """What there should be."""
    config = ordered.world.config
    targets = {name: universe_targets(config, name, shipped_sectors()) for name in config.universes}
    return Expected(config.schedules, ordered.calendar, targets)
