"""Sends the messages that are due, beside the sweeps: bounded in time, in number and in retries."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field

from collector.db.notices import Notice, NoticeStore
from collector.log import logger
from collector.notify.messages import Language, Message, compose
from collector.notify.sender import Delivery, Sender, label
from collector.secret import Secret

PAUSES = (5.0, 30.0)
"""Seconds before a message is sent again to the services that did not accept it."""
MOST_AT_ONCE = 3
"""Messages that are under way at once, and as many that are repeated. More of them wait in the database."""


@dataclass(frozen=True)
class _Parcel:
    """One message about some events. `is_stored` says whether a database keeps them."""

    notices: Sequence[Notice]
    message: Message
    is_stored: bool


@dataclass
class Outbox:
    """The services and the messages that are under way to them.

    A service that did not accept the message before gets the next one apart from the others, so that it delays none.
    """

    urls: Mapping[int, Secret]
    language: Callable[[], Language]
    sender: Sender = field(default_factory=Sender)
    pauses: Sequence[float] = PAUSES
    changed: Callable[[], None] = lambda: None
    """Called when `send_due` has something to do."""
    _results: deque[tuple[Sequence[Notice], bool]] = field(default_factory=deque)
    _first: set[asyncio.Task[None]] = field(default_factory=set)
    _repeated: set[asyncio.Task[None]] = field(default_factory=set)
    _failing: set[int] = field(default_factory=set)

    @property
    def is_full(self) -> bool:
        """Whether as many messages are under way as may be."""
        return len(self._first) >= MOST_AT_ONCE

    @property
    def is_busy(self) -> bool:
        """Whether a message is under way."""
        return bool(self._first or self._repeated)

    @property
    def has_results(self) -> bool:
        """Whether `send_due` has something to store."""
        return bool(self._results)

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

    async def prepare(self) -> None:
        """Make the next message quick, since one is probable."""
        if self.urls:
            await self.sender.prepare(self.urls)

    async def close(self) -> None:
        """End what is under way. Events that were not told are told by the next process."""
        tasks = self._first | self._repeated
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self.sender.close()

    def _start(self, notices: Sequence[Notice], *, is_stored: bool) -> None:
        parcel = _Parcel(notices, compose(notices, self.language()), is_stored)
        self._run(self._send_first(parcel), self._first)

    def _run(self, work: Coroutine[None, None, None], tasks: set[asyncio.Task[None]]) -> None:
        def end(task: asyncio.Task[None]) -> None:
            tasks.discard(task)
            self.changed()
            if not task.cancelled() and (error := task.exception()) is not None:
                logger.error("notice.failed", reason=type(error).__name__)

        task = asyncio.ensure_future(work)
        tasks.add(task)
        task.add_done_callback(end)

    async def _send_first(self, parcel: _Parcel) -> None:
        """Send a message once to the services that work; leave the others to a repetition."""
        working = [index for index in self.urls if index not in self._failing]
        deliveries = await self._try(parcel, working) if working else {}
        is_told = any(delivery.is_accepted for delivery in deliveries.values())
        if is_told:
            self._keep_result(parcel, is_told=True)
        left = [index for index in self.urls if index not in deliveries or not deliveries[index].is_accepted]
        if left and len(self._repeated) < MOST_AT_ONCE:
            pauses = self.pauses if working else (0.0, *self.pauses)
            self._run(self._send_again(parcel, left, pauses, is_told=is_told), self._repeated)
        elif not is_told:
            self._keep_result(parcel, is_told=False)

    async def _send_again(
        self, parcel: _Parcel, left: Sequence[int], pauses: Sequence[float], *, is_told: bool
    ) -> None:
        """Send a message to the services that are left, after each pause, until all accepted it."""
        for pause in pauses:
            await asyncio.sleep(pause)
            deliveries = await self._try(parcel, left)
            left = [index for index, delivery in deliveries.items() if not delivery.is_accepted]
            if not is_told and len(left) < len(deliveries):
                is_told = True
                self._keep_result(parcel, is_told=True)
            if not left:
                return
        if not is_told:
            self._keep_result(parcel, is_told=False)

    async def _try(self, parcel: _Parcel, numbers: Sequence[int]) -> Mapping[int, Delivery]:
        deliveries = await self.sender.send({index: self.urls[index] for index in numbers}, parcel.message)
        self._note(deliveries)
        return deliveries

    def _keep_result(self, parcel: _Parcel, *, is_told: bool) -> None:
        """Remember what to store. The database may be away now; `send_due` stores it."""
        if is_told:
            kinds = sorted({notice.kind for notice in parcel.notices})
            logger.info("notice.sent", notices=len(parcel.notices), kinds=kinds)
        if parcel.is_stored:
            self._results.append((parcel.notices, is_told))
            self.changed()

    def _note(self, deliveries: Mapping[int, Delivery]) -> None:
        """Log the first message that a service does not accept, and the first that it accepts again."""
        for index, delivery in deliveries.items():
            if delivery.is_accepted and index in self._failing:
                self._failing.discard(index)
                logger.info("notice.accepted_again", service=label(index, delivery))
            elif not delivery.is_accepted and index not in self._failing:
                self._failing.add(index)
                logger.warning(
                    "notice.undelivered",
                    service=label(index, delivery),
                    reason=delivery.reason,
                    hint="try it with `collector notify --test`",
                )
