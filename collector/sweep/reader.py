"""Reads one target from its first page to its last, or fails with the error of a page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from collector.base.answers import AnswerLog
from collector.db.worklist import Claim, ClaimedTarget
from collector.errors import ApiError
from collector.kiwoom.client import KiwoomClient, RequestCounter
from collector.kiwoom.retry import WALK_ATTEMPTS, is_cured_by_first_page
from collector.log import logger
from collector.model import Baseline, Exchange, Page, Remark, WalkResult
from collector.sweep.progress import SweepProgress

# Limits of one walk against an endless list (docs/decisions/0003).
PAGE_CAP = 200
ROW_CAP = 20_000
EMPTY_PAGES = 2
"""Empty pages with a next key to follow before the walk stops."""


@dataclass(frozen=True, slots=True)
class LateWindow:
    """The end of a late sweep's window (None: the sweep is not late), and the remarks for its walks."""

    until: datetime | None
    remarks: tuple[Remark, ...]


class TargetReader:
    """Reads one target, page by page; starts over once if the next-key has become invalid."""

    def __init__(
        self,
        kiwoom: KiwoomClient,
        slot: datetime,
        taken: ClaimedTarget,
        progress: SweepProgress,
        late: LateWindow,
        *,
        keeps_answers: bool = False,
    ) -> None:
        self.slot = slot
        self.late = late
        self.target = taken.target
        self.claim: Claim | None = taken.claim
        self.began = self.ended = 0.0
        self.reading: WalkResult | None = None
        self.error: ApiError | None = None
        self.log = AnswerLog() if keeps_answers else None
        self._counter = RequestCounter(log=self.log)
        self._key: str | None = None
        self._kiwoom = kiwoom
        self.progress = progress

    @property
    def attempts(self) -> int:
        """Requests sent for this walk so far, retries included."""
        return self._counter.sent

    async def read(self) -> None:
        """Reads all pages; ApiError if a page cannot be had."""
        self.began = self.progress.seconds()
        for _ in range(WALK_ATTEMPTS - 1):
            try:
                self.reading = await self._pages()
                return
            except ApiError as error:
                if not is_cured_by_first_page(error, key=self._key):
                    raise
                logger.info("walk.started_over", target=str(self.target), reason=str(error))
        self.reading = await self._pages()

    def ended_too_late(self) -> bool:
        """Returns True if the last page may already show the next session."""
        until = self.late.until
        return self.reading is not None and until is not None and self.reading.page_times[-1] >= until

    def needs_deferred_judgement(self, known: Baseline) -> bool:
        """Returns True for a walk without members on NXT, unless the baseline is empty too.

        Many small sectors have none, but a glitch looks the same. So it is judged after the other walks of
        the sweep: they show the members on KRX, and the listings traded on NXT.
        """
        empty = self.reading is not None and not self.reading.row_count
        return empty and self.target.exchange is Exchange.NXT and known.rows != 0

    async def _pages(self) -> WalkResult:
        """Reads all pages over one connection; a new attempt takes another connection (docs/decisions/0011)."""
        with self._counter:
            return await self._read_pages()

    async def _read_pages(self) -> WalkResult:
        requested_at = datetime.now(UTC)
        pages: list[Page] = []
        times: list[datetime] = []
        keys: set[str] = set()
        stopped: Remark | None = None
        key: str | None = None
        while True:
            page, arrived = await self._page(key)
            if page.next_key in keys:
                page, arrived = await self._ask_again(key)
            pages.append(page)
            times.append(arrived)
            key = page.next_key
            stopped = stop_reason(pages, keys)
            if key is None or stopped:
                break
            keys.add(key)
        return WalkResult(self.target, self.slot, pages, requested_at, times, self.attempts, stopped)

    async def _ask_again(self, key: str | None) -> tuple[Page, datetime]:
        """Requests a page again over a new connection, after its next-key led back to an earlier page.

        A repeated answer to an earlier request leads back like this, and it cannot arrive over a new
        connection.
        """
        self._counter.distrust()
        return await self._page(key)

    async def _page(self, key: str | None) -> tuple[Page, datetime]:
        before = self._counter.sent
        self._key = key
        try:
            page, arrived = await self._kiwoom.prices(self.target, key, counter=self._counter)
        finally:
            self.progress.requests += self._counter.sent - before
        self.progress.pages += 1
        self.progress.rows += len(page.rows)
        self.progress.unknown_fields += page.surplus
        self.progress.noncanonical_numbers += page.decorated
        return page, arrived


def stop_reason(pages: Sequence[Page], keys: set[str]) -> Remark | None:
    """Returns the reason not to follow the newest page, None if it may be followed or is the last."""
    key = pages[-1].next_key
    if key is None:
        return None
    if key in keys:
        return Remark.REPEATED_KEY
    if sum(page.size == 0 for page in pages) > EMPTY_PAGES:
        return Remark.EMPTY_PAGE
    if len(pages) >= PAGE_CAP or sum(page.size for page in pages) >= ROW_CAP:
        return Remark.PAGE_CAP
    return None
