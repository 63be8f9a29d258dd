"""The scenarios by name, in the order of a run: a module of this package each.

A module has NAME, what it tries at most (LONG, and SHORT for CI), and `run(world, count, chance) -> Figures`. The
world gives it stages: a database behind a tap, a simulator, a configuration, and processes that see them.
"""

from pathlib import Path

_ORDER = (
    *("kills", "points", "commits", "postgres", "sigterm"),
    *("quota", "tokens", "soak", "clocks", "outage", "fallback", "recovery"),
    *("surplus", "secrecy", "fuzz", "mutants"),
)
SCENARIOS = tuple(name for name in _ORDER if (Path(__file__).parent / f"{name}.py").exists())
