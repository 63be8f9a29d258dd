"""Reads a walk again from its kept answers, with today's decoder. Pure.

Answers are taken in the order of their arrival. An answer counts for the page of its request's key; a later
answer to the same key replaces it, as in a reader after a repeated request. An answer to a request without a
key begins a new reading. The last complete reading counts, or the last one if none is complete.
"""

from dataclasses import dataclass, field
from datetime import datetime

from collector.base.answers import AnswerEntry, KeptAnswer
from collector.errors import ApiError, Denied
from collector.kiwoom.protocol import ApiResponse, read_prices
from collector.model import Page, Remark, Target, WalkResult
from collector.sweep.reader import stop_reason


@dataclass
class _Pages:
    """Pages in their order, with the key that each was asked with and when it arrived."""

    keys: list[str | None] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)

    def add(self, key: str | None, page: Page, arrived: datetime) -> bool:
        """Take a page in; False if it does not follow on what is there."""
        if key in self.keys:
            index = self.keys.index(key)
            del self.keys[index:], self.pages[index:], self.times[index:]
        elif not self.pages or self.pages[-1].next_key != key:
            return False
        self.keys.append(key)
        self.pages.append(page)
        self.times.append(arrived)
        return True

    @property
    def has_ended(self) -> bool:
        return self.pages[-1].next_key is None or self.end_reason is not None

    @property
    def end_reason(self) -> Remark | None:
        """Why no page may follow the last one, though it names another."""
        return stop_reason(self.pages, {key for key in self.keys if key is not None})


@dataclass(frozen=True)
class Rebuilt:
    """`reading` None: no whole walk can be made of the answers, and `error` says why."""

    reading: WalkResult | None
    error: str = ""


def rebuild(target: Target, slot: datetime, entry: AnswerEntry) -> Rebuilt:
    """Read the answers of one walk of a target again."""
    current, ended = _Pages(), None
    error = "no answer came"
    for answer, body in zip(entry.answers, entry.bodies, strict=True):
        try:
            page = read_prices(_response(answer, body), target.exchange)
        except (ApiError, Denied) as refusal:
            error = f"{type(refusal).__name__}: {refusal}"
            continue
        current = _Pages([None], [page], [answer.arrived]) if answer.page_key is None else current
        if answer.page_key is not None and not current.add(answer.page_key, page, answer.arrived):
            continue
        if current.has_ended:
            ended = _Pages(list(current.keys), list(current.pages), list(current.times))
    if ended is None:
        return Rebuilt(None, f"the list does not end: {len(current.pages)} pages, then {error}")
    return Rebuilt(_result(target, slot, entry, ended))


def _result(target: Target, slot: datetime, entry: AnswerEntry, ended: _Pages) -> WalkResult:
    attempts = len(entry.answers) + entry.dropped
    stopped = None if ended.pages[-1].next_key is None else ended.end_reason
    return WalkResult(target, slot, ended.pages, entry.requested_at, ended.times, attempts, stopped)


def _response(answer: KeptAnswer, body: bytes) -> ApiResponse:
    return ApiResponse(answer.status, answer.headers, body)
