"""The daemon: every slot that falls due ends, for every target, as complete, suspect, failed or missed."""

from collector.daemon.accounts import Accounts
from collector.daemon.clock import Clock, SystemClock
from collector.daemon.help import Helper
from collector.daemon.notify import Notify, notifier, watchdog
from collector.daemon.roster import Roster
from collector.daemon.watch import Daemon, Parts

__all__ = [
    "Accounts",
    "Clock",
    "Daemon",
    "Helper",
    "Notify",
    "Parts",
    "Roster",
    "SystemClock",
    "notifier",
    "watchdog",
]
