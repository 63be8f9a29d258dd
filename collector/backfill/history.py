"""Reads one listing's history from ka10081: newest to oldest, down to the first day needed."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime

from collector.db.bars import MissingRange
from collector.errors import ApiError
from collector.kiwoom.client import KiwoomClient, RequestCounter
from collector.kiwoom.retry import WALK_ATTEMPTS, is_cured_by_first_page
from collector.log import logger
from collector.model import BarPage, BarReading, Remark
from collector.sweep.progress import SweepProgress

PAGE_CAP = 50
"""Pages of one history: a hundred years."""
_EMPTY_PAGES = 2


class HistoryReader:
    """Reads one listing's history; `attempts` counts its requests, after a failure too."""

    def __init__(
        self, kiwoom: KiwoomClient, missing_range: MissingRange, progress: SweepProgress, *, adjusted: bool
    ) -> None:
        self._kiwoom = kiwoom
        self._missing_range = missing_range
        self._progress = progress
        self._adjusted = adjusted
        self._counter = RequestCounter()
        self._key: str | None = None

    @property
    def attempts(self) -> int:
        """Requests sent so far, retries included."""
        return self._counter.sent

    async def read(self, newest: date) -> BarReading:
        """Reads the history of the range; `newest` is the newest finished trading day. ApiError as in
        `KiwoomClient`.

        Adjusted prices are relative to the requested day (measured by public clients), so they are read from
        the newest day. The history is also read again from the newest day if the last wanted day has no bar:
        later bars show if the listing was suspended, is younger, or the answer is incomplete.
        """
        reading = await self._read_once(newest if self._adjusted else self._missing_range.last)
        if reading.newest < newest and not _begins_on(reading, self._missing_range.last):
            reading = await self._read_once(newest)
        return replace(reading, attempts=self.attempts)

    async def _read_once(self, newest: date) -> BarReading:
        for _ in range(WALK_ATTEMPTS - 1):
            try:
                return await self._pages(newest)
            except ApiError as error:
                if not is_cured_by_first_page(error, key=self._key):
                    raise
                logger.info("history.started_over", symbol=self._missing_range.symbol, reason=str(error))
        return await self._pages(newest)

    async def _pages(self, newest: date) -> BarReading:
        """Reads all pages over one connection; a new attempt takes another connection (docs/decisions/0011)."""
        with self._counter:
            return await self._read_pages(newest)

    async def _read_pages(self, newest: date) -> BarReading:
        requested_at = datetime.now(UTC)
        pages: list[BarPage] = []
        keys: set[str] = set()
        stopped: Remark | None = None
        key: str | None = None
        while True:
            page, arrived = await self._page(newest, key)
            if page.next_key in keys:
                page, arrived = await self._ask_again(newest, key)
            pages.append(page)
            key = page.next_key
            if key is None or self._is_reached(page) or (stopped := _stop_reason(pages, keys)):
                break
            keys.add(key)
        symbol, oldest = self._missing_range.symbol, self._missing_range.oldest
        return BarReading(symbol, newest, oldest, pages, requested_at, arrived, self.attempts, stopped)

    async def _ask_again(self, newest: date, key: str | None) -> tuple[BarPage, datetime]:
        """Requests a page again over a new connection, where no repeated answer can arrive."""
        self._counter.distrust()
        return await self._page(newest, key)

    async def _page(self, newest: date, key: str | None) -> tuple[BarPage, datetime]:
        self._key = key
        page, arrived = await self._kiwoom.bars(
            self._missing_range.symbol, newest, adjusted=self._adjusted, page_key=key, counter=self._counter
        )
        self._progress.requests = self._kiwoom.requests
        self._progress.pages += 1
        self._progress.rows += len(page.bars)
        return page, arrived

    def _is_reached(self, page: BarPage) -> bool:
        return bool(page.bars) and page.bars[-1].trading_date <= self._missing_range.oldest


def _begins_on(reading: BarReading, day: date) -> bool:
    first = reading.pages[0].bars
    return bool(first) and first[0].trading_date == day


def _stop_reason(pages: Sequence[BarPage], keys: set[str]) -> Remark | None:
    """Returns the reason not to follow the newest page, None if it may be followed."""
    if pages[-1].next_key in keys:
        return Remark.REPEATED_KEY
    if sum(page.size == 0 for page in pages) > _EMPTY_PAGES:
        return Remark.EMPTY_PAGE
    return Remark.PAGE_CAP if len(pages) >= PAGE_CAP else None
