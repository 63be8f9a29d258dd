"""Struct types of msgspec that threads may decode."""

from typing import TypeVar

import msgspec

S = TypeVar("S", bound=msgspec.Struct)


def prepare_struct(kind: type[S]) -> type[S]:
    """Have msgspec build its table of the fields of a struct now, and return the struct.

    msgspec (0.22, `StructInfo_Convert`) builds the table at the first use and caches it before it is complete. If two
    threads decode a struct for the first time at once, one reads the incomplete table, and the process ends with
    SIGSEGV. At import there is one thread. A struct with a decoder of its own in its module needs no more than that.
    """
    msgspec.json.Decoder(kind)
    return kind
