"""A day as the simulated market has it, with what goes wrong now and then: for pictures, not for proofs."""

from datetime import datetime, timedelta

from collector import config
from collector.daemon import SlotAccounting
from collector.db.catalog import Registry
from collector.db.database import Database
from collector.db.dsn import Dsn
from collector.db.pool import open_pool
from collector.db.snapshots import SnapshotStore
from collector.market import sectors
from collector.market.schedule import ScheduledSlot
from collector.model import KST, Certificate, Quote, Remark, Status, Target
from kiwoom_simulator import Simulator
from tests.support import web_harness
from tests.support.harness import as_stored, execute, reading

YAML = b"""
universes:
  boards:
    - {market: KOSPI, sectors: [001], exchanges: [KRX, NXT, CONSOLIDATED]}
    - {market: KOSDAQ, sectors: [101], exchanges: [KRX]}
  industries:
    - {market: KOSPI, sectors: all, exchanges: [KRX, NXT]}
    - {market: KOSDAQ, sectors: all, exchanges: [KRX]}
schedules:
  intraday: {universe: boards, every: 5m, during: KRX.regular}
  hourly: {universe: industries, every: 30m, during: KRX.regular}
"""
NOW = datetime(2026, 11, 20, 13, 12, tzinfo=KST)
ERROR = web_harness.ERROR
MISSED = (NOW.replace(hour=10, minute=40), NOW.replace(hour=10, minute=45))
GAP = NOW.replace(hour=12, minute=35)
UNDER_WAY = NOW.replace(minute=10)
FAILED = {
    (NOW.replace(hour=11, minute=0), Target.of("KOSPI", "013", "KRX")),
    (NOW.replace(hour=11, minute=0), Target.of("KOSDAQ", "106", "KRX")),
    (NOW.replace(hour=10, minute=0), Target.of("KOSPI", "008", "NXT")),
    (NOW.replace(hour=11, minute=45), Target.of("KOSDAQ", "101", "KRX")),
}
SUSPECT = (NOW.replace(hour=12, minute=20), Target.of("KOSPI", "001", "CONSOLIDATED"))
COMING = Target.of("KOSDAQ", "101", "KRX")
"""What the sweep under way has not read yet."""

_LEASE = """
INSERT INTO collector.lease (name, holder, epoch, taken_at, renewed_at, expires_at)
VALUES ('sweep', 'box:1', 7, now(), now(), 'infinity')
"""
_UNDER_WAY = (
    "UPDATE collector.sweep SET started_at = slot + INTERVAL '1 second', ended_at = NULL WHERE slot = $1"
)

_STORED = "UPDATE collector.walk SET committed_at = COALESCE(received_at, slot) + INTERVAL '2.3 seconds'"


_CORROBORATED = """
UPDATE collector.walk AS w SET corroboration = 'corroborated'
FROM collector.target AS t
WHERE t.id = w.target AND t.exchange = 'KRX' AND w.status = 'complete'
"""
_LEVELS = """
INSERT INTO collector.index_level (slot, market, sector, level, change, change_bp, sign, volume, turnover, members,
    traded, advancers, unchanged, decliners, limit_up, limit_down, received_at)
SELECT s.slot, t.market, t.sector, 312400 + 30 * avg(s.rate >> 3)::integer, 30 * avg(s.rate >> 3)::integer,
       avg(s.rate >> 3)::integer, 5, sum(s.volume), sum(s.volume * s.price), count(*),
       count(*) FILTER (WHERE s.volume > 0), count(*) FILTER (WHERE s.volume > 0 AND s.change > 0),
       count(*) FILTER (WHERE s.volume > 0 AND s.change = 0), count(*) FILTER (WHERE s.volume > 0 AND s.change < 0),
       0, 0, s.slot + INTERVAL '4 seconds'
FROM collector.snapshot AS s
JOIN collector.target AS t ON t.id = s.target
WHERE t.exchange = 'KRX'
GROUP BY s.slot, t.market, t.sector
"""
_MEMBERS = """
INSERT INTO collector.repaired_member (slot, target, symbol)
SELECT w.slot, w.target, l.symbol
FROM collector.walk AS w
JOIN collector.target AS t ON t.id = w.target
JOIN collector.snapshot AS s ON s.slot = $1 AND s.target = w.target
JOIN collector.listing AS l ON l.id = s.listing
WHERE w.status = 'missed' AND t.exchange = 'KRX'
"""
_RECONSTRUCTED = """
INSERT INTO collector.reconstructed (slot, symbol, exchange, price, change, rate, volume, source)
SELECT DISTINCT ON (w.slot, l.symbol) w.slot, l.symbol, 'KRX', s.price, s.change, s.rate, s.volume, 'ka10080'
FROM collector.walk AS w
JOIN collector.target AS t ON t.id = w.target
JOIN collector.snapshot AS s ON s.slot = $1 AND s.target = w.target
JOIN collector.listing AS l ON l.id = s.listing
WHERE w.status = 'missed' AND t.exchange = 'KRX' AND s.price > 0
"""
_REPAIRED = """
UPDATE collector.walk AS w SET repaired_at = w.slot + INTERVAL '10 hours'
FROM collector.target AS t
WHERE t.id = w.target AND t.exchange = 'KRX' AND w.status = 'missed'
"""


async def play(address: Dsn) -> None:
    """Put the day until NOW into a database."""
    table = sectors.bundled_sectors()
    due = config.build_timetable(config.parse(YAML, "scene.yaml"), web_harness.days_of(), table)
    market = Simulator()
    async with open_pool(address, size=3) as pool:
        database = Database(pool, address)
        registry = Registry(database)
        await registry.ensure_source("ours")
        await registry.open()
        store = SnapshotStore(database, registry)
        for slot in due.on(NOW.date()):
            if slot.at < NOW and slot.at != GAP:
                await _swept(store, market, slot, list(due.universe(slot.universe)))
    await execute(address, _LEASE)
    await execute(address, _UNDER_WAY, UNDER_WAY)
    await execute(address, _STORED)
    for statement in (_CORROBORATED, _LEVELS, _REPAIRED):
        await execute(address, statement)
    for statement in (_MEMBERS, _RECONSTRUCTED):
        await execute(address, statement, MISSED[0] - timedelta(minutes=5))


async def _swept(store: SnapshotStore, market: Simulator, slot: ScheduledSlot, targets: list[Target]) -> None:
    await store.begin_sweep(slot.at, slot.universe, targets)
    for target in targets:
        if slot.at in MISSED:
            await SlotAccounting(store.database, store.registry).record_missed(
                [slot.at], slot.universe, [target], "overrun"
            )
        elif (slot.at, target) in FAILED:
            await store.save_failure(slot.at, target, error=ERROR, attempts=1)
        elif (slot.at, target) != (UNDER_WAY, COMING):
            at = slot.at + timedelta(seconds=2)
            rows = [Quote(*as_stored(row)) for row in market.rows(target, at)]
            await store.save_walk(reading(target, slot.at, rows), _certificate(slot.at, target))
    await store.end_sweep(slot.at, slot.universe)


def _certificate(at: datetime, target: Target) -> Certificate:
    if (at, target) == SUSPECT:
        return Certificate(Status.SUSPECT, (Remark.ROW_COUNT,))
    return Certificate(Status.COMPLETE)
