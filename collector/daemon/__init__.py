"""The daemon: every due slot ends, for every target, as complete, suspect, failed or missed."""

from collector.base.clock import Clock, SystemClock
from collector.daemon.observer import DaemonObserver, NoObserver
from collector.daemon.sd_notify import Notify, make_notifier, watchdog_interval
from collector.daemon.service import DaemonContext, DaemonService
from collector.daemon.standby import StandbyWorker
from collector.daemon.upkeep import Upkeep
from collector.db.accounting import SlotAccounting

__all__ = [
    "Clock",
    "DaemonContext",
    "DaemonObserver",
    "DaemonService",
    "NoObserver",
    "Notify",
    "SlotAccounting",
    "StandbyWorker",
    "SystemClock",
    "Upkeep",
    "make_notifier",
    "watchdog_interval",
]
