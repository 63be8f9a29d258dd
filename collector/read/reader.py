"""What can be asked from Python: each question gives a Result."""

import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from collector import config as configuration
from collector.archive import columns
from collector.base.days import ONE_DAY, day_start
from collector.db import reading
from collector.db.dsn import parse_dsn
from collector.errors import ConfigError
from collector.model import KST
from collector.read.aggregate import MEASURES, compute_breadth
from collector.read.arguments import (
    Day,
    Instant,
    check_names,
    list_stretches,
    read_day,
    read_instant,
    today,
)
from collector.read.files import FileSource, read_archived
from collector.read.result import Result
from collector.read.rows import fetch_snapshots
from collector.read.session import PrivateServer, ReadSession, check_schema, run_blocking
from collector.read.tables import EMPTY_BREADTH, EMPTY_SECTOR_DAYS, choose_newest_row, concatenate

_OBSERVED = "ka20002"


class NothingStored(UserWarning):
    """The database has no complete walk of what was asked for."""


class Reader:
    """A database and its archived files, read as one. Questions give rows of complete walks unless asked otherwise.

    Days without rows in the database are read from the files that the view `archive` names. Where a day is left
    out, it is the newest one that has a complete walk.
    """

    def __init__(self, session: ReadSession, server: PrivateServer | None, files: FileSource) -> None:
        self._session = session
        self._server = server
        self._files = files

    def __enter__(self) -> "Reader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the database; the private PostgreSQL stops if nothing else uses it."""
        try:
            self._session.close()
        finally:
            if self._server is not None:
                self._server.stop()

    def latest(
        self, market: str | None = None, sector: str | None = None, exchange: str | None = None
    ) -> Result:
        """The rows of each target's newest complete walk; None means every market, sector or exchange."""
        check_names(market, exchange)
        table = self._session.fetch(reading.LATEST, market, sector, exchange)
        return self._result(table, market, sector, exchange)

    def snapshots(
        self,
        day: Day | None = None,
        to: Day | None = None,
        *,
        market: str | None = None,
        sector: str | None = None,
        exchange: str | None = "KRX",
        symbol: str | None = None,
        certified: bool = True,
        reconstructed: bool = False,
    ) -> Result:
        """The rows of a day, or of the days from `day` to `to`, in the columns of the view `snapshot`.

        `certified=False` adds the rows of suspect walks and the column `status`. `reconstructed=True` adds rows
        computed from minute bars and the column `source`, which says whether a row was observed (ka20002).
        """
        check_names(market, exchange)
        wanted = {"market": market, "sector": sector, "exchange": exchange, "symbol": symbol}
        days = self._days(day, to, market, sector, exchange)
        tables = [table for start in days for table in self._snapshots_of(start, wanted)] if days else []
        table = pa.concat_tables([columns.schema().empty_table(), *tables])
        if certified:
            table = table.filter(pc.equal(table["status"], "complete")).drop_columns(["status"])
        if reconstructed and days:
            table = self._add_reconstructed(table, days, wanted)
        return self._result(table, market, sector, exchange)

    def breadth(
        self,
        market: str,
        sector: str,
        exchange: str = "KRX",
        *,
        day: Day | None = None,
        to: Day | None = None,
    ) -> Result:
        """A sector's breadth by slot: members, traded, advancers, decliners, mean and weighted change, turnover.

        Of one day, or of the days from `day` to `to`; computed from complete walks.
        """
        check_names(market, exchange)
        tables = []
        for of_day in self._days(day, to, market, sector, exchange):
            if records := self._find_archived(of_day, exchange):
                wanted = {"market": market, "sector": sector, "status": "complete"}
                rows = pa.concat_tables(read_archived(records, self._files, wanted))
                tables.append(compute_breadth(rows, ["slot"]))
            else:
                tables.append(self._session.fetch(reading.BREADTH, market, sector, exchange, of_day))
        return self._result(concatenate(tables, EMPTY_BREADTH), market, sector, exchange)

    def sector_days(
        self,
        market: str | None = None,
        exchange: str = "KRX",
        *,
        from_day: Day | None = None,
        to_day: Day | None = None,
    ) -> Result:
        """The breadth of all sectors, a row a sector and day, at the close or else at the day's newest complete walk.

        `market` None means every market; `to_day` None means one day.
        """
        check_names(market, exchange)
        days = self._days(from_day, to_day, market, None, exchange)
        archived = {of_day: records for of_day in days if (records := self._find_archived(of_day, exchange))}
        tables = [
            self._session.fetch(reading.SECTOR_DAYS, market, exchange, *stretch)
            for stretch in list_stretches([of_day for of_day in days if of_day not in archived])
        ]
        tables += [
            self._sectors_of_files(of_day, records, market, exchange) for of_day, records in archived.items()
        ]
        table = concatenate(tables, EMPTY_SECTOR_DAYS)
        order = [(name, "ascending") for name in ("day", "market", "sector")]
        return self._result(table.sort_by(order), market, None, exchange)

    def as_of(self, market: str, sector: str, exchange: str = "KRX", at: Instant | None = None) -> Result:
        """A target as its newest complete walk not later than an instant showed it; None means now."""
        check_names(market, exchange)
        instant = read_instant(at) if at is not None else datetime.now(KST)
        slots = self._session.fetch(reading.AS_OF_SLOT, market, sector, exchange, instant)["slot"].to_pylist()
        wanted = {"market": market, "sector": sector, "exchange": exchange, "symbol": None}
        tables = self._snapshots_of(slots[0].astimezone(KST).date(), wanted) if slots else []
        table = pa.concat_tables([columns.schema().empty_table(), *tables]).drop_columns(["status"])
        if slots:
            table = table.filter(
                pc.equal(table["slot"], pa.scalar(slots[0], table.schema.field("slot").type))
            )
        return self._result(table.sort_by("position"), market, sector, exchange)

    def listing_day(self, symbol: str, day: Day | None = None) -> Result:
        """A listing's day on each exchange: a row a slot and exchange, from complete walks."""
        of_day = read_day(day) if day is not None else self._newest_day(None, None, None)
        if records := self._find_archived(of_day, None) if of_day else []:
            wanted = {"symbol": symbol, "status": "complete"}
            return Result(choose_newest_row(pa.concat_tables(read_archived(records, self._files, wanted))))
        return Result(self._session.fetch(reading.LISTING_DAY, symbol, of_day or today()))

    def bars(
        self,
        symbol: str | None = None,
        from_day: Day | None = None,
        to_day: Day | None = None,
        *,
        adjusted: bool = False,
    ) -> Result:
        """Certified daily bars of KRX as traded, or in adjusted prices; None means every listing, or every day."""
        first = read_day(from_day) if from_day is not None else date(1950, 1, 1)
        last = read_day(to_day) if to_day is not None else today()
        query = reading.BARS_ADJUSTED if adjusted else reading.BARS
        return Result(self._session.fetch(query, symbol, first, last))

    def members(self, market: str, sector: str, exchange: str = "KRX", *, day: Day | None = None) -> Result:
        """Who belonged to a target on a day, with names; None means now."""
        check_names(market, exchange)
        of_day = read_day(day) if day is not None else today()
        table = self._session.fetch(reading.MEMBERS, market, sector, exchange, of_day)
        return self._result(table, market, sector, exchange)

    def walks(
        self,
        day: Day | None = None,
        to: Day | None = None,
        *,
        market: str | None = None,
        sector: str | None = None,
        exchange: str | None = None,
        status: str | None = None,
    ) -> Result:
        """The ledger of a day, or of the days from `day` to `to` (None: today): how each walk ended."""
        check_names(market, exchange)
        first = read_day(day) if day is not None else today()
        last = read_day(to) if to is not None else first
        start, end = day_start(first), day_start(last + ONE_DAY)
        return Result(self._session.fetch(reading.WALKS, start, end, market, sector, exchange, status))

    def sql(self, query: str, *values: object) -> Result:
        """Any question in SQL, in a transaction that only reads; `values` stand for $1, $2 and so on.

        A `numeric` arrives as float64; cast it to bigint to have integers.
        """
        return Result(self._session.fetch(query, *values))

    def _result(self, table: Any, market: str | None, sector: str | None, exchange: str | None) -> Result:
        """The rows, and a warning if there are none because nothing of the target was ever complete."""
        if not table.num_rows and self._newest_day(market, sector, exchange) is None:
            target = "/".join(part or "…" for part in (market, sector, exchange))
            warnings.warn(NothingStored(f"nothing complete was ever stored of {target}"), stacklevel=3)
        return Result(table)

    def _newest_day(self, market: str | None, sector: str | None, exchange: str | None) -> date | None:
        newest: date | None = self._session.fetch(reading.NEWEST_DAY, market, sector, exchange)["day"][
            0
        ].as_py()
        return newest

    def _days(
        self, day: Day | None, to: Day | None, market: str | None, sector: str | None, exchange: str | None
    ) -> Sequence[date]:
        first = read_day(day) if day is not None else self._newest_day(market, sector, exchange)
        if first is None:
            return ()
        last = read_day(to) if to is not None else first
        if last < first:
            raise ConfigError(f"{last} lies before {first}", hint="give the earlier day first")
        return [first + offset * ONE_DAY for offset in range((last - first).days + 1)]

    def _find_archived(self, day: date, exchange: str | None) -> list[Any]:
        records: list[Any] = self._session.fetch(reading.ARCHIVED, day, day, exchange).to_pylist()
        return records

    def _snapshots_of(self, day: date, wanted: dict[str, str | None]) -> list[Any]:
        if records := self._find_archived(day, wanted["exchange"]):
            return [
                table.cast(columns.schema())
                for table in read_archived(records, self._files, {**wanted, "exchange": None})
            ]
        with self._session.transaction() as ask:
            return fetch_snapshots(ask, day_start(day), day_start(day + ONE_DAY), **wanted)

    def _add_reconstructed(self, table: Any, days: Sequence[date], wanted: dict[str, str | None]) -> Any:
        span = day_start(days[0]), day_start(days[-1] + ONE_DAY)
        computed = self._session.fetch(reading.RECONSTRUCTED, *span, *wanted.values())
        observed = table.append_column("source", pa.array([_OBSERVED] * table.num_rows, pa.string()))
        plain = [Result(part).to_arrow() for part in (observed, computed)]
        return pa.concat_tables(plain, promote_options="permissive").sort_by("slot")

    def _sectors_of_files(self, day: date, records: Sequence[Any], market: str | None, exchange: str) -> Any:
        chosen = self._session.fetch(
            reading.CHOSEN_WALKS, day, day_start(day), day_start(day + ONE_DAY), market, exchange
        )
        wanted = {"market": market, "status": "complete"}
        rows = pa.concat_tables(read_archived(records, self._files, wanted))
        slot = rows.schema.field("slot").type
        keys = ["slot", "market", "sector"]
        rows = rows.join(chosen.set_column(0, "slot", chosen["slot"].cast(slot)), keys, join_type="inner")
        breadth = compute_breadth(rows, keys)
        breadth = breadth.join(self._session.fetch(reading.SECTOR_NAMES), "sector")
        return breadth.append_column("day", pa.array([day] * breadth.num_rows, pa.date32())).select(
            ["day", *keys, "sector_name", *MEASURES]
        )


def open_reader(
    url: str | None = None,
    *,
    home: Path | str | None = None,
    files: Path | str | None = None,
    endpoint_url: str | None = None,
) -> Reader:
    """Open a database for reading; see `collector.open`."""
    environment = configuration.settings(os.environ)
    if home is not None:
        environment = replace(environment, home=Path(home))
    named = url or (environment.database_url.reveal() if environment.database_url and home is None else None)
    access = (
        environment.object_access
        if endpoint_url is None
        else replace(environment.object_access, endpoint_url=endpoint_url)
    )
    folder = FileSource(None if files is None else str(files), access)
    if named is None:
        server = PrivateServer(environment.home)
        address = server.start()
        return _open_session(lambda: Reader(ReadSession(address), server, folder), server)
    address = parse_dsn(named)
    run_blocking(lambda: check_schema(address))
    return Reader(ReadSession(address), None, folder)


def _open_session(build: Callable[[], Reader], server: PrivateServer) -> Reader:
    try:
        return build()
    except BaseException:
        server.stop()
        raise
