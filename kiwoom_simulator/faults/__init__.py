"""All faults of an answer by name; `collector simulate --list-faults` prints them."""

from kiwoom_simulator.faults import (
    bodies,
    envelopes,
    heads,
    minutes,
    paging,
    refusals,
    rows,
    tokens,
    wires,
    witnesses,
)
from kiwoom_simulator.faults.context import FaultContext
from kiwoom_simulator.faults.fault_set import CONDITIONS, FaultSet, parse, specs_of
from kiwoom_simulator.faults.table import FAULTS, Fault, Stage

KINDS = {
    "refusals": refusals,
    "tokens": tokens,
    "envelope": envelopes,
    "continuation": paging,
    "rows": rows,
    "minutes": minutes,
    "head": heads,
    "bytes": bodies,
    "delivery": wires,
    "witnesses": witnesses,
}
"""The modules with the faults, by subject."""

__all__ = ["CONDITIONS", "FAULTS", "KINDS", "Fault", "FaultContext", "FaultSet", "Stage", "parse", "specs_of"]
