"""The reading of one target, from its first page to its last: whole, or the error that kept it from being."""

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

PAGE_CAP = 200
ROW_CAP = 20_000
EMPTY_PAGES = 2
"""Empty pages with a next key that are followed before the walk is broken off."""


@dataclass(frozen=True, slots=True)
class LateWindow:
    """Until when a late sweep sees what it is to see (None: it is not late), and what to remark of its walks."""

    until: datetime | None
    remarks: tuple[Remark, ...]


class TargetReader:
    """The reading of one target, page by page; started over once if the next-key is not good any more."""

    def __init__(
        self,
        kiwoom: KiwoomClient,
        slot: datetime,
        taken: ClaimedTarget,
        tally: SweepProgress,
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
        self.tally = tally

    @property
    def attempts(self) -> int:
        """Requests sent for this walk so far, retries included."""
        return self._counter.sent

    async def read(self) -> None:
        """Read from the first page to the last; ApiError where a page is not to be had."""
        self.began = self.tally.seconds()
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
        """Whether its last page may already show another session than it is to show."""
        until = self.late.until
        return self.reading is not None and until is not None and self.reading.page_times[-1] >= until

    def needs_deferred_judgement(self, known: Baseline) -> bool:
        """Whether it says that a sector has no member on NXT.

        That is so for many small ones, and it is also what a glitch looks like: it is judged when the
        sweep's other walks have shown who is listed on KRX, and who trades on NXT at all.
        """
        empty = self.reading is not None and not self.reading.row_count
        return empty and self.target.exchange is Exchange.NXT and known.rows != 0

    async def _pages(self) -> WalkResult:
        """All pages, over one connection; a walk that is started over takes another one."""
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
        """The page whose answer leads back to a page before it, as does an earlier answer that comes once more.

        Over a new connection nothing of an earlier request can come.
        """
        self._counter.distrust()
        return await self._page(key)

    async def _page(self, key: str | None) -> tuple[Page, datetime]:
        before = self._counter.sent
        self._key = key
        try:
            page, arrived = await self._kiwoom.prices(self.target, key, counter=self._counter)
        finally:
            self.tally.requests += self._counter.sent - before
        self.tally.pages += 1
        self.tally.rows += len(page.rows)
        self.tally.unknown_fields += page.surplus
        self.tally.noncanonical_numbers += page.decorated
        return page, arrived


def stop_reason(pages: Sequence[Page], keys: set[str]) -> Remark | None:
    """Why the newest page may not be followed by another, None if it may (or says that it is the last)."""
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
