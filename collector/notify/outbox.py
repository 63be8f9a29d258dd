"""Sends the messages that are due, beside the sweeps: bounded in time, in number and in retries."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from collector.db.notices import Notice, NoticeStore
from collector.log import logger
from collector.notify.messages import Language, Message, compose
from collector.notify.sender import Delivery, label, rejected, send
from collector.secret import Secret

PAUSES = (5.0, 30.0)
"""Seconds before a message is sent again to the services that did not accept it."""
MOST_AT_ONCE = 3
"""Messages that are under way at once. With more, the due ones wait in the database."""

Send = Callable[[Mapping[int, Secret], Message], Awaitable[Mapping[int, Delivery]]]


@dataclass
class Outbox:
    """The services and the messages that are under way to them."""

    urls: Mapping[int, Secret]
    language: Callable[[], Language]
    send: Send = send
    pauses: Sequence[float] = PAUSES
    changed: Callable[[], None] = lambda: None
    """Called when `send_due` has something to do."""
    _results: deque[tuple[Sequence[Notice], bool]] = field(default_factory=deque)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _failing: set[int] = field(default_factory=set)

    @property
    def is_full(self) -> bool:
        return len(self._tasks) >= MOST_AT_ONCE

    async def send_due(self, store: NoticeStore) -> None:
        """Store what was told, claim the events that are due, and send one message about all of them.

        It does not wait for the end of the sending. StoreError if the database is away; then nothing is lost.
        """
        while self._results:
            notices, is_told = self._results[0]
            await (store.mark_told(notices) if is_told else store.mark_untold(notices))
            self._results.popleft()
        if self.urls and not self.is_full and (notices := await store.claim_due()):
            self._start(notices, is_stored=True)

    def send_now(self, notice: Notice) -> bool:
        """Send a message about an event that no database keeps. False if too many are under way."""
        if not self.urls or self.is_full:
            return False
        self._start([notice], is_stored=False)
        return True

    async def close(self) -> None:
        """End what is under way. Events that were not told are told by the next process."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _start(self, notices: Sequence[Notice], *, is_stored: bool) -> None:
        task = asyncio.ensure_future(self._send(notices, is_stored=is_stored))
        self._tasks.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.changed()
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("notice.failed", reason=type(error).__name__)

    async def _send(self, notices: Sequence[Notice], *, is_stored: bool) -> None:
        """Send a message, again to the services that did not accept it. It is told once one accepted it."""
        message = compose(notices, self.language())
        remaining = dict(self.urls)
        is_told = False
        for pause in (*self.pauses, None):
            deliveries = await self.send(remaining, message)
            self._note(deliveries)
            remaining = {number: self.urls[number] for number in rejected(deliveries)}
            if len(remaining) < len(deliveries) and not is_told:
                is_told = True
                logger.info("notice.sent", notices=len(notices), kinds=sorted({n.kind for n in notices}))
                self._keep_result(notices, is_told=True, is_stored=is_stored)
            if not remaining or pause is None:
                break
            await asyncio.sleep(pause)
        if not is_told:
            self._keep_result(notices, is_told=False, is_stored=is_stored)

    def _keep_result(self, notices: Sequence[Notice], *, is_told: bool, is_stored: bool) -> None:
        """Remember what to store. The database may be away now; `send_due` stores it."""
        if is_stored:
            self._results.append((notices, is_told))
            self.changed()

    def _note(self, deliveries: Mapping[int, Delivery]) -> None:
        """Log the first message that a service does not accept, and the first that it accepts again."""
        for number, delivery in deliveries.items():
            if delivery.is_accepted and number in self._failing:
                self._failing.discard(number)
                logger.info("notice.accepted_again", service=label(number, delivery))
            elif not delivery.is_accepted and number not in self._failing:
                self._failing.add(number)
                logger.warning(
                    "notice.undelivered",
                    service=label(number, delivery),
                    reason=delivery.reason,
                    hint="try it with `collector notify --test`",
                )
