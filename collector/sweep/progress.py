"""How far a sweep has come, for whoever draws it."""

import time
from dataclasses import dataclass, field

from collector.model import Outcome


@dataclass
class SweepProgress:
    """How far a sweep has come: written here, read by whoever draws it. `units` is what its targets are called."""

    units: str = "targets"
    targets: int = 0
    done: int = 0
    pages: int = 0
    rows: int = 0
    requests: int = 0
    expected_pages: int = 0
    unknown_fields: int = 0
    """Fields that no document knows: they are not stored, and the API has changed."""
    noncanonical_numbers: int = 0
    """Numbers that are not written plainly: they are read, and the API may be about to write something else."""
    outcomes: list[Outcome] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)

    def seconds(self) -> float:
        """Since the sweep began."""
        return time.monotonic() - self._began
