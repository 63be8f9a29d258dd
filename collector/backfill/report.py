"""The result of a backfill, with everything it failed to fill."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from collector.base.remark_texts import explain_outcome
from collector.model import Outcome, Status
from collector.sweep.progress import SweepProgress


@dataclass(frozen=True, slots=True)
class Unfilled:
    """A listing or target not filled: its status and the reason."""

    what: str
    status: Status
    reason: str

    def __str__(self) -> str:
        return f"{self.what} {self.status}: {self.reason}"


@dataclass
class Report:
    """Counts, and the list of everything not filled. `by_others` counts histories stored by another backfill
    meanwhile.

    `late`, `members` and `histories` are the progress counters of started parts; they are valid after any
    end.
    """

    listings: int = 0
    bars: int = 0
    by_others: int = 0
    requests: int = 0
    index_days: int = 0
    """Closing levels of indices stored, one for each sector and day."""
    flow_days: int = 0
    """Days of investor flows stored, one for each board and exchange."""
    unfilled: list[Unfilled] = field(default_factory=list)
    late: list[SweepProgress] = field(default_factory=list)
    members: list[SweepProgress] = field(default_factory=list)
    histories: list[SweepProgress] = field(default_factory=list)
    """Progress of bars, index levels and flows."""

    @property
    def has_fetched(self) -> bool:
        """True if the API gave any page."""
        return any(progress.pages for progress in (*self.late, *self.members, *self.histories))

    @property
    def late_walks(self) -> int:
        """Targets of closing slots walked late and complete."""
        return _complete(self.late)

    @property
    def member_walks(self) -> int:
        """Targets walked for their members and complete."""
        return _complete(self.members)

    @property
    def is_whole(self) -> bool:
        """True if everything fillable is stored."""
        return not self.unfilled

    def note(self, what: str, outcomes: Iterable[Outcome]) -> None:
        """Adds the walks not complete; `what` is a prefix for their targets."""
        self.unfilled += [
            Unfilled(f"{what}{outcome.target}", outcome.status, explain_outcome(outcome))
            for outcome in outcomes
            if outcome.status is not Status.COMPLETE
        ]


def _complete(parts: Iterable[SweepProgress]) -> int:
    return sum(outcome.status is Status.COMPLETE for progress in parts for outcome in progress.outcomes)
