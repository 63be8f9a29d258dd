"""One case after another: read, judge, take the time; and where cases come from if nothing guides them."""

import json
import random
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fuzz.bend import bend
from tests.fuzz.targets import TARGETS, Target, corpus

LIMIT = 0.1
"""Seconds of CPU that one case may take."""
_TRIES = 3
_POOL = 2000
_VARIABLE = re.compile(r"[0-9]+|'[^']*'|\"[^\"]*\"")


class FindingError(AssertionError):
    """A case that shows a fault of the program; `data` is the input."""

    def __init__(self, target: str, data: bytes, what: str) -> None:
        super().__init__(f"{target}: {what}\n{data!r}")
        self.data = data


@dataclass
class Tally:
    """How many cases were judged, and which one took longest."""

    cases: int = 0
    slowest: float = 0.0
    slowest_case: bytes = b""
    outcomes: set[str] = field(default_factory=set)

    def write(self, folder: Path) -> None:
        """For whoever started this process: `tally.json`, and the slowest input beside it."""
        facts = {"cases": self.cases, "slowest": self.slowest, "outcomes": len(self.outcomes)}
        (folder / "tally.json").write_text(json.dumps(facts))
        (folder / "slowest").write_bytes(self.slowest_case)


def judge(name: str, data: bytes, tally: Tally) -> str:
    """What came of one case, in a few words that do not depend on its numbers; FindingError for a fault."""
    target = TARGETS[name]
    try:
        found, seconds = _timed(target, data)
        target.agree(data, found)
    except Exception as error:
        raise FindingError(name, data, f"{type(error).__name__}: {error}") from error
    tally.cases += 1
    if seconds > tally.slowest:
        tally.slowest, tally.slowest_case = seconds, data
    if seconds > LIMIT:
        raise FindingError(name, data, f"{seconds * 1000:.0f} ms of CPU")
    outcome = _outcome(found)
    tally.outcomes.add(outcome)
    return outcome


def _timed(target: Target, data: bytes) -> tuple[Any, float]:
    """The result and the CPU time of this thread; over the limit, the best of a few: machines are shared."""
    seconds = float("inf")
    for _ in range(_TRIES):
        began = time.thread_time()
        found = target.read(data)
        seconds = min(seconds, time.thread_time() - began)
        if seconds <= LIMIT:
            break
    return found, seconds


def _outcome(found: Any) -> str:
    if isinstance(found, dict):
        return " ".join(map(_outcome, found.values()))
    if isinstance(found, Exception):
        # What was found stands before the semicolon, Kiwoom's own text behind the colon.
        said = str(found).rpartition("; ")[2].partition(": ")[0]
        return f"{type(found).__name__} {getattr(found, 'field', '')} {_VARIABLE.sub('0', said)[:60]}"
    return " ".join([type(found).__name__, *sorted({bad.reason for bad in getattr(found, "bad", ())})])


def unguided(name: str, cases: int, seed: int, tally: Tally) -> None:
    """Judge bent inputs of the corpus; one with a new outcome is bent further. Equal seeds, equal cases."""
    dice = random.Random(f"{name} {seed}")
    pool = corpus(name)
    for data in pool:
        judge(name, data, tally)
    for _ in range(cases - len(pool)):
        data = bend(dice.choice(pool), dice.choice(pool), dice)
        before = len(tally.outcomes)
        judge(name, data, tally)
        if len(tally.outcomes) > before and len(pool) < _POOL:
            pool.append(data)
