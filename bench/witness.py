"""Second sources: walks that they must not pass, walks that they must not blame, and what they cost a sweep.

    python -m bench witness [--cuts N] [--sweeps N] [--rounds N] [--pairs N]

The verdicts are measured in memory: the simulated server answers requests as bytes, the decoder reads them, and the
witness of a sweep judges. Only the network and the database are left out. The cost is measured with both.
"""

import argparse
import asyncio
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, TypeVar, cast

from rich.console import Console
from rich.table import Table

from bench.witness_cost import measure_cpu, measure_delay
from collector import log
from collector.cli.schedule import read_calendar
from collector.db.board_lists import StoredList
from collector.db.witness import StoredOffset, WitnessStore
from collector.errors import Unavailable
from collector.kiwoom import protocol
from collector.kiwoom.client import KiwoomClient
from collector.kiwoom.protocol import ApiRequest, ApiResponse
from collector.market.sectors import bundled_sectors
from collector.model import KST, Baseline, Exchange, Market, Page, Sector, Status, Target, WalkResult
from collector.sweep.certify import certify
from collector.sweep.corroborate import Corroboration
from collector.sweep.witness import SweepWitness, WitnessDesk
from kiwoom_simulator import Options, Simulator
from kiwoom_simulator.server.http import HttpRequest

T = TypeVar("T")

OPEN = datetime(2026, 11, 20, 11, 0, tzinfo=KST)
PAGE = 100
CALIBRATION = 3
"""Sweeps that teach the offsets and are not counted."""
SWEEPS_A_DAY = 48
WALKING = 30.0
"""Seconds between the counts before and after the walks of a sweep."""


@dataclass
class _Server:
    """The simulated server in this process, at any moment that is set. It answers requests as bytes."""

    simulator: Simulator = field(default_factory=lambda: Simulator(Options(quota=0, freeze=OPEN, log_size=1)))
    lacks_token: bool = False
    lag: float = 0.0
    failing: Callable[[], bool] = lambda: False
    faults: Sequence[str] = ()
    requests: int = 0
    _token: str = ""
    _known: dict[tuple[str, bytes, datetime, Sequence[str]], ApiResponse] = field(default_factory=dict)

    @property
    def sectors(self) -> Mapping[str, Sector]:
        return bundled_sectors()

    def show(self, at: datetime, *, closed: bool = False) -> None:
        """Set the moment that is shown."""
        self.simulator.clock.turn(at=at, is_closed=closed)

    async def ask_beside(self, request: ApiRequest, read: Callable[[ApiResponse], T]) -> tuple[T, datetime]:
        """One answer, as `KiwoomClient.ask_beside` gives it; counts are those of `lag` seconds before."""
        self.requests += 1
        if self.failing():
            raise Unavailable("no answer in time")
        clock = self.simulator.clock
        at = clock.at
        if request.api_id == "ka20003" and self.lag:
            clock.turn(at=at - timedelta(seconds=self.lag))
        try:
            return read(await self._answer(request)), at
        finally:
            clock.turn(at=at)

    async def _answer(self, request: ApiRequest) -> ApiResponse:
        key = (request.api_id, request.body, self.simulator.clock.at, tuple(self.faults))
        if key not in self._known:
            if len(self._known) > 16:
                self._known.clear()
            self.simulator.api.faults.put(self.faults)
            self._known[key] = await self._send(request)
        return self._known[key]

    async def _send(self, request: ApiRequest) -> ApiResponse:
        if not self._token:
            body = json.dumps({"grant_type": "x", "appkey": "k", "secretkey": "s"}).encode()
            issued = await self.simulator.api(HttpRequest("POST", "/oauth2/token", {}, {}, body))
            self._token = json.loads(issued.body)["token"]
        headers = {"api-id": request.api_id, "authorization": f"Bearer {self._token}"}
        answer = await self.simulator.api(HttpRequest("POST", request.path, {}, headers, request.body))
        return ApiResponse(answer.status, answer.headers, answer.body)

    def walk(
        self, target: Target, slot: datetime, *, cut: int | None = None, lost: int | None = None
    ) -> WalkResult:
        """A walk of the moment shown: cut after `cut` pages, or without the row at `lost`."""
        rows = self.simulator.rows(target)
        if lost is not None:
            del rows[lost]
        parts = [rows[start : start + PAGE] for start in range(0, len(rows), PAGE)] or [[]]
        pages = [_page(target, part, is_last=part is parts[-1]) for part in parts[:cut]]
        pages[-1] = replace(pages[-1], next_key=None)
        return WalkResult(target, slot, pages, slot, [slot] * len(pages), len(pages))


def _page(target: Target, rows: Sequence[Mapping[str, str]], *, is_last: bool) -> Page:
    body = json.dumps({"inds_stkpc": rows, "return_code": 0, "return_msg": "ok"}, ensure_ascii=False).encode()
    more = (("cont-yn", "N"),) if is_last else (("cont-yn", "Y"), ("next-key", "N"))
    headers = (("api-id", "ka20002"), ("resp-cnt", str(len(rows))), *more)
    return protocol.read_prices(ApiResponse(200, headers, body), target.exchange)


@dataclass
class _Memory:
    """The tables of the witnesses, in memory."""

    stored: dict[Market, StoredList] = field(default_factory=dict)
    known: dict[tuple[Target, str], StoredOffset] = field(default_factory=dict)

    async def offsets(self, targets: Sequence[Target]) -> dict[tuple[Target, str], StoredOffset]:
        return dict(self.known)

    async def newest_list(self, board: Market, since: datetime) -> StoredList | None:
        stored = self.stored.get(board)
        return stored if stored is not None and stored.asked_at >= since else None

    async def keep_list(
        self, board: Market, day: object, at: datetime, facts: Any, *, is_whole: bool
    ) -> None:
        self.stored[board] = StoredList(at, facts, is_whole)

    @property
    def lists(self) -> "_Memory":
        return self

    async def conclude(
        self, slot: datetime, levels: object, lines: object, rulings: object, offsets: Any
    ) -> None:
        self.known.update(offsets)


async def _attend(
    server: _Server, memory: _Memory, slot: datetime, targets: Sequence[Target]
) -> SweepWitness:
    """The witness of a sweep, with its requests before the walks answered."""
    desk = WitnessDesk(
        [cast("KiwoomClient", server)], cast("WitnessStore", memory), server.sectors, lambda _: True
    )
    witness = desk.attend(slot, targets)
    for _ in range(20):
        await asyncio.sleep(0)
    await witness.wait_for_lists()
    return witness


async def _judge_firsts(
    server: _Server, slot: datetime, walks: Sequence[WalkResult]
) -> dict[Target, tuple[Status, Corroboration]]:
    """The end of each walk of the first sweep of an empty database."""
    witness = await _attend(server, _Memory(), slot, [walk.target for walk in walks])
    statuses: dict[Target, Status] = {}
    for walk in walks:
        sector = server.sectors.get(walk.target.sector)
        certificate = certify(walk, Baseline(), sector=sector, boards={})
        certificate = witness.certify(walk, Baseline(), certificate)
        witness.note(walk, Baseline(), certificate.status)
        statuses[walk.target] = certificate.status
    judgements = await witness.conclude()
    ends = {}
    for target, status in statuses.items():
        verdict = judgements[target].corroboration
        ends[target] = (Status.SUSPECT if verdict is Corroboration.CONTRADICTED else status, verdict)
    return ends


def _lists(server: _Server) -> list[tuple[Target, int]]:
    """Each list of each sector and exchange of both boards that has members, with their number."""
    return [
        (target, count)
        for sector in server.sectors.values()
        if sector.market in (Market.KOSPI, Market.KOSDAQ)
        for exchange in Exchange
        if (count := len(server.simulator.market.members(sector.code, exchange)))
        for target in [Target(sector.market, sector.code, exchange)]
    ]


async def _cuts(table: Table, count: int) -> None:
    """Lists that are cut at a page border, and lists that lack one member, each in the first sweep of a database."""
    server, random = _Server(), Random(1)
    lists = _lists(server)
    certified = passed = corroborated = 0
    long = [(target, rows) for target, rows in lists if rows > PAGE]
    for _ in range(count):
        target, rows = random.choice(long)
        cut = random.randrange(1, -(-rows // PAGE))
        ends = await _judge_firsts(server, OPEN, _family(server, lists, target, cut=cut))
        certified += ends[target][0] is Status.COMPLETE
    for _ in range(count):
        target, rows = random.choice([entry for entry in lists if entry[1] > 1])
        ends = await _judge_firsts(server, OPEN, _family(server, lists, target, lost=random.randrange(rows)))
        status, verdict = ends[target]
        passed += status is Status.COMPLETE
        corroborated += status is Status.COMPLETE and verdict is Corroboration.CORROBORATED
    table.add_row("cut at a page border, first sweep of a database: certified", f"{certified} of {count}")
    table.add_row("one member missing, first sweep: certified and corroborated", f"{corroborated} of {count}")
    table.add_row("one member missing, first sweep: certified", f"{passed} of {count}")


def _family(
    server: _Server, lists: Sequence[tuple[Target, int]], target: Target, **fault: int
) -> list[WalkResult]:
    """The walks of a sector on all exchanges, one of them with a fault."""
    return [
        server.walk(other, OPEN, **(fault if other == target else {}))
        for other, _ in lists
        if other.sector == target.sector
    ]


async def _noise(table: Table, count: int) -> None:
    """True walks of KRX while counts lag, hold off-hours trades, come empty, or do not come at all.

    48 sweeps a trading day, one every five minutes; on a closed day the session shown is an old one, which is no noise.
    """
    server, memory, random = _Server(), _Memory(), Random(2)
    targets = [target for target, _ in _lists(server) if target.exchange is Exchange.KRX]
    server.failing = lambda: random.random() < 0.002
    verdicts: Counter[Corroboration] = Counter()
    blamed: Counter[str] = Counter()
    most, calendar, opening = 0, read_calendar(Path("collector.yaml")), OPEN
    for index in range(count + CALIBRATION):
        if index and not index % SWEEPS_A_DAY:
            following = calendar.next_trading_day(opening.date())
            opening = OPEN.replace(year=following.year, month=following.month, day=following.day)
        at = opening + timedelta(minutes=5) * (index % SWEEPS_A_DAY)
        server.lag = random.uniform(0, 10)
        server.faults = ["off_hours_volume"] if random.random() < 0.2 else []
        server.faults += ["empty_list:api=ka20003"] if random.random() < 0.005 else []
        server.show(at)
        before = server.requests
        witness = await _attend(server, memory, at, targets)
        for third in range(3):
            server.show(at + timedelta(seconds=WALKING * (third + 1) / 4))
            for target in targets[third::3]:
                known = Baseline(1, at.date()) if index >= CALIBRATION else Baseline()
                witness.note(server.walk(target, at), known, Status.COMPLETE)
        server.show(at + timedelta(seconds=WALKING))
        judgements = await witness.conclude()
        most = max(most, server.requests - before)
        if index >= CALIBRATION:
            verdicts.update(judgement.corroboration for judgement in judgements.values())
            blamed.update(remark for judgement in judgements.values() for remark in judgement.remarks)
    total = verdicts.total()
    table.add_row("true walks on KRX, sweeps × sectors", f"{count:,} × {len(targets)}")
    table.add_row("… corroborated after calibration", f"{verdicts[Corroboration.CORROBORATED] / total:.2%}")
    reasons = "".join(f", {count:,} × {remark}" for remark, count in blamed.items())
    table.add_row("… contradicted by mistake", f"{verdicts[Corroboration.CONTRADICTED]:,}{reasons}")
    table.add_row("extra requests of a sweep, most", f"{most}")


async def _closures(table: Table, count: int) -> None:
    """Days that are closed although the calendar says open: is the first slot found out?"""
    server = _Server()
    target = Target.of("KOSPI", "013", "KRX")
    found = 0
    for week in range(count):
        at = OPEN.replace(hour=9, minute=10) + timedelta(weeks=week)
        server.show(at, closed=True)
        ends = await _judge_firsts(server, at, [server.walk(target, at)])
        found += ends[target] == (Status.SUSPECT, Corroboration.CONTRADICTED)
    table.add_row("closures unknown to the calendar, found in the first slot", f"{found} of {count}")


async def _measure(table: Table, home: Path, chosen: argparse.Namespace) -> None:
    await _cuts(table, chosen.cuts)
    await _closures(table, 20)
    if chosen.sweeps:
        await _noise(table, chosen.sweeps)
    if chosen.rounds:
        await measure_cpu(table, home, chosen.rounds)
    if chosen.pairs:
        await measure_delay(table, home, chosen.pairs)


def main(arguments: list[str]) -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(prog="bench witness", description=__doc__)
    parser.add_argument("--cuts", type=int, default=200)
    parser.add_argument("--sweeps", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--pairs", type=int, default=8)
    chosen = parser.parse_args(arguments)
    log.configure(level="critical")
    table = Table("measure", "figure", title="second sources", title_justify="left")
    with tempfile.TemporaryDirectory() as home:
        asyncio.run(_measure(table, Path(home), chosen))
    Console().print(table)
