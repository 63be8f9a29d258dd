"""What a scenario found: how often it tried, what was lost, and what it measured."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass
class Figures:
    """A scenario's result. It has passed if there are no losses."""

    tried: int = 0
    losses: list[str] = field(default_factory=list)
    """A line each, which begins with its kind: `lost: …`, `doubled: …`, `torn: …`."""
    facts: dict[str, object] = field(default_factory=dict)
    """What was measured, in the words that the table shows."""
    skipped: str = ""
    """Why it could not be tried on this machine, or ""."""

    @property
    def has_passed(self) -> bool:
        return not self.losses

    def lose(self, number: int, losses: Sequence[str]) -> None:
        """Note what round `number` lost."""
        self.losses += [f"{loss} (round {number})" for loss in losses]

    def count(self, fact: str, by: int = 1) -> None:
        found = self.facts.get(fact, 0)
        assert isinstance(found, int)
        self.facts[fact] = found + by

    def longest(self, fact: str, seconds: float) -> None:
        """Keep the largest of what is measured under a name."""
        found = self.facts.get(fact, 0.0)
        assert isinstance(found, float)
        self.facts[fact] = max(found, round(seconds, 2))

    def line(self) -> str:
        """Everything but the losses' texts, on one line."""
        if self.skipped:
            return f"skipped: {self.skipped}"
        kinds = Counter(loss.partition(":")[0] for loss in self.losses)
        return ", ".join(_shown({"tried": self.tried, **self.facts, **(kinds or {"losses": 0})}))


def _shown(facts: Mapping[str, object]) -> list[str]:
    return [
        f"{name} {value:,}" if isinstance(value, int) else f"{name} {value}" for name, value in facts.items()
    ]
