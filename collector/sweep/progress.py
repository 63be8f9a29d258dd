"""Progress counters of a sweep, for display."""

import time
from dataclasses import dataclass, field

from collector.model import Outcome


@dataclass
class SweepProgress:
    """Progress counters of a sweep. The sweep writes them, and a display reads them; `units` names its targets."""

    units: str = "targets"
    targets: int = 0
    done: int = 0
    pages: int = 0
    rows: int = 0
    requests: int = 0
    expected_pages: int = 0
    unknown_fields: int = 0
    """Fields unknown to the documentation. They are not stored; the API has changed."""
    noncanonical_numbers: int = 0
    """Numbers in an unusual notation. They are read; the API may be about to change its notation."""
    outcomes: list[Outcome] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)

    def seconds(self) -> float:
        """Returns the seconds since the sweep began."""
        return time.monotonic() - self._began
