"""Fetches many histories: one task for each listing, a few at once, each history stored whole."""

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from random import Random

from collector.backfill.certify_bars import ListingFacts, certify_bars, is_gap_alone, is_settled_gap
from collector.backfill.history import HistoryReader
from collector.backfill.period import Period
from collector.backfill.report import Report, Unfilled
from collector.base.aio import task_group
from collector.base.remark_texts import Numbers, explain
from collector.db.bars import BarStore, MissingRange
from collector.errors import ApiError
from collector.kiwoom.client import KiwoomClient
from collector.log import logger
from collector.model import BarReading, Certificate, Remark, Status
from collector.sweep.progress import SweepProgress

_CHUNK = 16
"""Listings looked up at once; small enough to notice the work of another backfill soon."""


@dataclass(frozen=True)
class Fetch:
    """Fetches the histories of a period.

    `trading` are the trading days, oldest first, over all histories. `order` shuffles the listings, so two
    backfills at once share the work instead of repeating it.
    """

    kiwoom: KiwoomClient
    bars: BarStore
    period: Period
    adjusted: bool
    trading: Sequence[date]
    seen: Mapping[str, ListingFacts]
    concurrency: int
    report: Report
    progress: SweepProgress
    order: Random = field(default_factory=Random)

    async def all(self, symbols: Sequence[str]) -> None:
        """Fetches everything these listings lack. Denied and StoreError end it; stored histories stay."""
        at_once = asyncio.Semaphore(self.concurrency)

        async def fetch_one(missing_range: MissingRange) -> None:
            try:
                await self._one(missing_range)
            finally:
                at_once.release()

        async with task_group() as group:
            async for missing_range in self._todo(symbols):
                await at_once.acquire()
                group.create_task(fetch_one(missing_range))

    async def _todo(self, symbols: Sequence[str]) -> AsyncIterator[MissingRange]:
        """Yields missing ranges, looked up a few listings ahead, because another backfill may have stored them."""
        shuffled = self.order.sample(symbols, len(symbols))
        for start in range(0, len(shuffled), _CHUNK):
            chunk = shuffled[start : start + _CHUNK]
            lacking = await self.bars.missing_ranges(chunk, self.period.days, adjusted=self.adjusted)
            self._note_others(len(chunk) - len(lacking))
            for missing_range in lacking.values():
                yield missing_range

    async def _one(self, missing_range: MissingRange) -> None:
        history = HistoryReader(self.kiwoom, missing_range, self.progress, adjusted=self.adjusted)
        began = datetime.now(UTC)
        try:
            reading = await history.read(self.period.newest)
        except ApiError as error:
            await self._save_failure(missing_range, error, history.attempts, began)
        else:
            await self._save_history(missing_range, reading)
        self.progress.done += 1

    async def _save_history(self, missing_range: MissingRange, reading: BarReading) -> None:
        seen = self.seen.get(missing_range.symbol)
        certificate = certify_bars(reading, self._days(missing_range), seen, adjusted=self.adjusted)
        if is_gap_alone(certificate) and await self._is_settled(missing_range, reading):
            certificate = Certificate(Status.COMPLETE, (*certificate.remarks, Remark.BORNE_OUT))
        rows = await self.bars.save_history(missing_range, reading, certificate, adjusted=self.adjusted)
        if rows is None:
            self.report.by_others += 1
            return
        facts = {"symbol": missing_range.symbol, "rows": rows, "remarks": ",".join(certificate.remarks)}
        if certificate.status is Status.COMPLETE:
            self.report.listings += 1
            self.report.bars += rows
            logger.info("history.stored", **facts)
        else:
            numbers = Numbers(
                len(reading.pages), len(reading.bars), sum(len(page.bad) for page in reading.pages)
            )
            reason = explain(certificate.remarks, numbers)
            self.report.unfilled.append(Unfilled(missing_range.symbol, certificate.status, reason))
            logger.warning("history.suspect", **facts)

    async def _is_settled(self, missing_range: MissingRange, reading: BarReading) -> bool:
        before = await self.bars.find_suspected(missing_range.symbol, adjusted=self.adjusted)
        return before is not None and is_settled_gap(reading, self._days(missing_range), before)

    async def _save_failure(
        self, missing_range: MissingRange, error: ApiError, attempts: int, began: datetime
    ) -> None:
        text = f"{type(error).__name__}: {error}"
        await self.bars.save_failure(
            missing_range,
            adjusted=self.adjusted,
            as_of=self.period.newest,
            error=text,
            attempts=attempts,
            at=began,
        )
        self.report.unfilled.append(Unfilled(missing_range.symbol, Status.FAILED, text))
        logger.warning("history.failed", symbol=missing_range.symbol, error=text)

    def _days(self, missing_range: MissingRange) -> Sequence[date]:
        """Returns the trading days to judge a history by: the requested ones, if adjusted the stored ones too."""
        if self.adjusted:
            return self.trading[bisect_left(self.trading, missing_range.oldest) :]
        return self.trading[
            bisect_left(self.trading, missing_range.first) : bisect_right(self.trading, missing_range.last)
        ]

    def _note_others(self, count: int) -> None:
        self.report.by_others += count
        self.progress.done += count
