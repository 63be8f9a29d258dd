"""What a backfill came to, and what of the fillable it did not fill."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from collector.base.remark_texts import explain_outcome
from collector.model import Outcome, Status
from collector.sweep.progress import SweepProgress


@dataclass(frozen=True, slots=True)
class Unfilled:
    """One thing that could have been filled and was not: a listing or a target, how it ended, and why."""

    what: str
    status: Status
    reason: str

    def __str__(self) -> str:
        return f"{self.what} {self.status}: {self.reason}"


@dataclass
class Report:
    """Counts, and the list of what is not filled. `by_others`: another backfill had stored it meanwhile.

    `late`, `members` and `histories` are the tallies of what was begun: they tell how far it came, whatever ended it.
    """

    listings: int = 0
    bars: int = 0
    by_others: int = 0
    requests: int = 0
    unfilled: list[Unfilled] = field(default_factory=list)
    late: list[SweepProgress] = field(default_factory=list)
    members: list[SweepProgress] = field(default_factory=list)
    histories: list[SweepProgress] = field(default_factory=list)

    @property
    def has_fetched(self) -> bool:
        """Whether the API gave anything at all."""
        return any(tally.pages for tally in (*self.late, *self.members, *self.histories))

    @property
    def late_walks(self) -> int:
        """Targets of closing slots that were walked late and are complete."""
        return _complete(self.late)

    @property
    def member_walks(self) -> int:
        """Targets that were walked for their members and are complete."""
        return _complete(self.members)

    @property
    def is_whole(self) -> bool:
        """Everything fillable is stored."""
        return not self.unfilled

    def note(self, what: str, outcomes: Iterable[Outcome]) -> None:
        """Enter the walks that are not complete; `what` is put before their targets."""
        self.unfilled += [
            Unfilled(f"{what}{outcome.target}", outcome.status, explain_outcome(outcome))
            for outcome in outcomes
            if outcome.status is not Status.COMPLETE
        ]


def _complete(tallies: Iterable[SweepProgress]) -> int:
    return sum(outcome.status is Status.COMPLETE for tally in tallies for outcome in tally.outcomes)
