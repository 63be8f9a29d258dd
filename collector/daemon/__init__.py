"""The daemon: every slot that falls due ends, for every target, as complete, suspect, failed or missed."""

from collector.daemon.accounts import SlotAccounting
from collector.daemon.clock import Clock, SystemClock
from collector.daemon.help import StandbyWorker
from collector.daemon.notify import Notify, make_notifier, watchdog_interval
from collector.daemon.roster import Timetable
from collector.daemon.watch import DaemonContext, DaemonService

__all__ = [
    "Clock",
    "DaemonContext",
    "DaemonService",
    "Notify",
    "SlotAccounting",
    "StandbyWorker",
    "SystemClock",
    "Timetable",
    "make_notifier",
    "watchdog_interval",
]
