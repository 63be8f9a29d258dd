"""Opens the parts of the program in order: the database, and on top of it the collector."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from collector import config as configuration
from collector.base import resources
from collector.cli.context import CliContext
from collector.config import ApiConfig, Config, Credentials, Environment, base_url
from collector.config.base_url import SourceKind
from collector.db import embedded, migrations, setup
from collector.db.api_facts import read_api_facts
from collector.db.catalog import Registry
from collector.db.database import Database
from collector.db.dsn import parse_dsn
from collector.db.pool import check_server, open_pool
from collector.db.process_token import new_process_token
from collector.db.snapshots import SnapshotStore
from collector.db.witness import WitnessStore
from collector.db.worklist import SharedWorklist
from collector.errors import ConfigError
from collector.kiwoom.api_facts import ApiFacts
from collector.kiwoom.auth import key_digest
from collector.kiwoom.client import KiwoomClient
from collector.log import logger
from collector.market import sectors
from collector.market.calendar import Calendar
from collector.market.stale import SETTLING, open_exchanges
from collector.model import Exchange
from collector.ratelimit.limiter import LowPriorityRateLimiter, SharedRateLimiter, Unlimited
from collector.sweep.sweeper import Collector
from collector.sweep.witness import WitnessDesk
from collector.sweep.witness_requests import WITNESSES_AT_ONCE

if TYPE_CHECKING:  # aiohttp takes half a second
    from collector.kiwoom.transport import HttpTransport


_MOCK_RATE = 1


@asynccontextmanager
async def open_database(
    environment: Environment, *, size: int = 2, migrated: bool = True
) -> AsyncIterator[Database]:
    """Open the configured database, or the private one; checked, and with `migrated` of the current schema.

    The private one is migrated here; another one only by `collector migrate`.
    """

    async with AsyncExitStack() as stack:
        if environment.database_url is None:
            address = await stack.enter_async_context(embedded.running(environment.home))
        else:
            address = parse_dsn(environment.database_url.reveal())
        pool = await stack.enter_async_context(open_pool(address, size=size))
        database = Database(pool, address)
        if migrated:
            await _check(database, private=environment.database_url is None)
        yield database


async def _check(database: Database, *, private: bool) -> None:

    folder = resources.path("migrations")
    async with database.connection("looking at the schema", timeout=migrations.SCHEMA_TIMEOUT) as connection:
        for warning in await check_server(connection, database.address):
            logger.warning("database.durability_warning", reason=warning)
        if private:
            await setup.prepare_database(connection, database.address, folder)
        standing = await migrations.check(connection, database.address, folder)
    if standing.is_newer:
        raise ConfigError(
            f"the schema of {database.address} is newer ({standing.version}) than this program ({standing.known})",
            hint="use the newer program",
        )
    if standing.pending:
        raise ConfigError(
            f"the schema of {database.address} is not up to date: {len(standing.pending)} to apply",
            hint="run `collector migrate`",
        )


@asynccontextmanager
async def open_collector(
    world: CliContext,
    keys: Sequence[Credentials] | None = None,
    *,
    patient: bool = False,
    token: str | None = None,
    facts: ApiFacts | None = None,
    opened: Database | None = None,
) -> AsyncIterator[Collector]:
    """Open everything needed for a sweep, in order: keys, database, HTTP session.

    `keys` are read now unless given. With `patient`, other users of the key have priority.
    `token` is the identity of the process; a new one is made without it. `facts` replace what was learned about the
    host and what the configuration says of it. `opened` is used in place of the configured database, and stays open.
    """

    from collector.kiwoom.transport import RESTING, HttpTransport  # noqa: PLC0415 - aiohttp takes half a second, and most errors come before

    keys = keys or configuration.keys(world.config, world.environment)
    api = world.config.api
    size = api.concurrency * len(keys) + 4 + WITNESSES_AT_ONCE
    async with (
        nullcontext(opened) if opened else open_database(world.environment, size=size) as database,
        HttpTransport(
            api.base_url,
            timeout=api.timeout.total_seconds(),
            user_agent=api.user_agent,
            connections=(api.concurrency + 2) * len(keys) + WITNESSES_AT_ONCE,
            resting=RESTING * len(keys),
        ) as session,
    ):
        registry = Registry(database)
        await registry.ensure_source(source(api))
        await registry.open()
        if facts is None:
            learned = ApiFacts.from_texts(await read_api_facts(database, host_of(api)))
            facts = learned.override_scope(world.config.quota.scope)
        kiwoom, *others = (_make_client(session, database, key, api, facts, patient=patient) for key in keys)
        table = await registry.sectors() or sectors.bundled_sectors()
        plain = Collector(kiwoom, SnapshotStore(database, registry), table, api.concurrency, others)
        plain = replace(plain, sorted_exchanges=facts.sorted_exchanges)
        keeps = world.config.database.raw_days > 0
        worklist = make_worklist(plain, token or new_process_token())
        yield replace(plain, worklist=worklist, keeps_answers=keeps)


def source(api: ApiConfig) -> str:
    """The source of the prices, as spelled in the ledger."""
    return base_url.parse_base_url(api.base_url, api.trusted_hosts).kind.value


def rate_of(api: ApiConfig, facts: ApiFacts) -> int:
    """Requests a second to begin with: the configured ones, or fewer if the host is known to grant fewer.

    Of the mock host that is known without asking: every refusal of it that was seen names 1 (2025–2026).
    """
    known = facts if facts.rate or source(api) != SourceKind.MOCK.value else replace(facts, rate=_MOCK_RATE)
    return known.limit_rate(api.requests_per_second)


def host_of(api: ApiConfig) -> str:
    """The host of the API, with a port if it is not the usual one; facts are stored under it."""
    return urlsplit(api.base_url).netloc


def _make_client(
    session: "HttpTransport",
    database: Database,
    key: Credentials,
    api: ApiConfig,
    facts: ApiFacts,
    *,
    patient: bool,
) -> KiwoomClient:
    """An API client for one key, with the quota of this key."""
    quota: SharedRateLimiter | LowPriorityRateLimiter | Unlimited = Unlimited()
    if api.requests_per_second:
        rate = rate_of(api, facts)
        quota = SharedRateLimiter(database, key_digest(key.app_key), per_second=rate, scope=facts.scope)
        quota = LowPriorityRateLimiter(quota) if patient else quota
    return KiwoomClient(
        session, quota, database, **key._asdict(), keys_outlive_token=facts.keys_outlive_token
    )


def make_witness(collector: Collector, config: Config, calendar: Calendar) -> WitnessDesk | None:
    """The requests to second sources beside the sweeps of a collector; None if the configuration says off."""
    if config.witness == "off":
        return None
    store = WitnessStore(collector.store.database, collector.store.registry)

    def has_opened(slot: datetime) -> bool:
        return Exchange.KRX in open_exchanges(calendar, slot + SETTLING)

    return WitnessDesk(collector.keys, store, collector.sectors, has_opened)


def make_worklist(
    plain: Collector, token: str, epoch: Callable[[], int | None] = lambda: None
) -> SharedWorklist:
    """The shared list of a collector's sweeps. `epoch` is the epoch of the required lease."""
    store = plain.store
    keys = [kiwoom.key_digest for kiwoom in plain.keys]
    return SharedWorklist(store.database, store.registry, token, keys, epoch=epoch)


def key_names(config: Config, environment: Environment) -> Mapping[str, str]:
    """The operator's names for the keys, by digest; empty if the keys cannot be read."""
    try:
        return {key_digest(key.app_key): key.name for key in configuration.keys(config, environment)}
    except ConfigError:
        return {}
