"""Everything that can be wrong with an answer, by name: see `collector simulate --list-faults`."""

from kiwoom_simulator.faults import bodies, envelopes, heads, paging, refusals, rows, tokens, wires, witnesses
from kiwoom_simulator.faults.context import FaultContext
from kiwoom_simulator.faults.fault_set import CONDITIONS, FaultSet, parse, specs_of
from kiwoom_simulator.faults.table import FAULTS, Fault, Stage

KINDS = {
    "refusals": refusals,
    "tokens": tokens,
    "envelope": envelopes,
    "continuation": paging,
    "rows": rows,
    "head": heads,
    "bytes": bodies,
    "delivery": wires,
    "witnesses": witnesses,
}
"""The modules that fill the table, by what their faults are about."""

__all__ = ["CONDITIONS", "FAULTS", "KINDS", "Fault", "FaultContext", "FaultSet", "Stage", "parse", "specs_of"]
