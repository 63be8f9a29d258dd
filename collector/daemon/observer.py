"""The interface to an observer of the daemon, such as the sender of notices."""

from typing import Protocol

from collector.db.clocks import Comparison
from collector.market.schedule import ScheduledSlot


class DaemonObserver(Protocol):
    """Hears of the daemon's work. Its methods return at once and never raise."""

    def lead(self, is_leading: bool) -> None:
        """This daemon begins to sweep, or ends."""

    def settle_slot(self, slot: ScheduledSlot) -> None:
        """Every target of a slot has its line in the ledger."""

    def compare_clocks(self, comparison: Comparison) -> None:
        """The clocks of the machine and the database were compared."""

    def begin_outage(self, of: str, reason: str) -> None:
        """A service is down."""

    def end_outage(self, of: str) -> None:
        """A service answers again."""


class NoObserver:
    """Hears of everything and does nothing."""

    def lead(self, is_leading: bool) -> None: ...

    def settle_slot(self, slot: ScheduledSlot) -> None: ...

    def compare_clocks(self, comparison: Comparison) -> None: ...

    def begin_outage(self, of: str, reason: str) -> None: ...

    def end_outage(self, of: str) -> None: ...
