"""The real parts for tests: a configuration, an order for the daemon, a wall clock that runs faster."""

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta
from types import SimpleNamespace

from collector import config as configuration
from collector.base import resources
from collector.cli.context import CliContext
from collector.cli.daemon_process import open_daemon
from collector.config import Environment
from collector.daemon import DaemonService, SystemClock
from collector.db.dsn import Dsn
from collector.market import calendar
from collector.market.sectors import bundled_sectors
from collector.market.timetable import Timetable
from collector.secret import Secret

CALENDAR = calendar.load(resources.path("config", "calendar.yaml").read_bytes(), "calendar.yaml")

CONFIG = """
api: {{base_url: {url}, requests_per_second: 0, timeout: 60s}}
universes:
  few:
    - {{market: KOSPI, sectors: [005, 006, 007], exchanges: [KRX]}}
schedules:
  intraday: {{universe: few, every: {every}, during: KRX.regular}}
"""


def url(address: Dsn) -> str:
    """The address as DATABASE_URL has it."""
    return f"postgresql://{address.user}@/{address.database}?host={address.host}&port={address.port}"


def order(address: Dsn, simulator: str, *, every: str = "5m", text: str = CONFIG) -> SimpleNamespace:
    """What `collector.cli.running` makes of the arguments, the environment and the file."""
    config = configuration.parse(text.format(url=simulator, every=every).encode(), "c.yaml")
    keys = {"app_key": Secret("an app key"), "secret_key": Secret("a secret key")}
    world = CliContext(Environment(database_url=Secret(url(address)), **keys), config)
    return SimpleNamespace(
        context=world, calendar=CALENDAR, keys=configuration.keys(config, world.environment)
    )


class FastClock(SystemClock):
    """A wall that shows `start` now and runs `speed` times as fast as the machine's."""

    def __init__(self, start: datetime, speed: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._start = start
        self._speed = speed

    def now(self) -> datetime:
        return self._start + timedelta(seconds=(self._loop.time() - self._began) * self._speed)

    async def sleep_until(self, at: datetime, unless: asyncio.Event) -> None:
        while (left := (at - self.now()).total_seconds()) > 0 and not unless.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(left / self._speed):
                    await unless.wait()


def daemon(ordered: SimpleNamespace, clock: FastClock, name: str = "one") -> DaemonService:
    """A daemon in this process, on the real database and a real HTTP server; the database shows its clock's time."""

    async def shown() -> datetime:
        return clock.now()

    return DaemonService(lambda: open_daemon(ordered, name, reference_clock=shown), clock, lambda _: None)


def timetable(ordered: SimpleNamespace) -> Timetable:
    """The timetable of the daemon's configuration."""
    return configuration.build_timetable(ordered.context.config, ordered.calendar, bundled_sectors())
