"""The page of faults, made from docs/data/faults.yaml."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

WIDTH = 120
INTRODUCTION = """\
# Faults

About a hundred things can go wrong between the API, the network, the database, the machine and people. This
page lists each fault, the behaviour of the program, and the tests in which the fault really happens.
`tests/project/test_fault_table.py` checks that no fault is missing and that each test exists.

A test named with `[…]` is that case of it. Cases marked slow run with `./dev test -m slow`, extended ones with
`./dev test -m extended`, scenarios in `tests/torture/` with `./dev torture`. The words are explained in the
[glossary](../../glossary.md).
"""


class Fault(NamedTuple):
    """One fault of the catalogue."""

    id: str
    fault: str
    behaviour: str
    tests: Sequence[str]


def read(path: Path) -> Mapping[str, Sequence[Fault]]:
    """The faults by the title of their group."""
    groups = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {title: [Fault(**entry) for entry in entries] for title, entries in groups.items()}


def page(path: Path) -> str:
    """The page of all groups."""
    parts = [INTRODUCTION]
    for title, faults in read(path).items():
        parts += [f"## {title}\n", *map(_section, faults)]
    return "\n".join(parts)


def _section(fault: Fault) -> str:
    return f"### {fault.id}\n\n**{fault.fault}**\n\n{_fill(fault.behaviour)}\n\n" + "".join(
        _tests(fault.tests)
    )


def _fill(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _tests(tests: Sequence[str]) -> Iterator[str]:
    """A line for each file, and below it a line for each of its tests."""
    files: dict[str, list[str]] = {}
    for test in tests:
        file, _, name = test.partition("::")
        files.setdefault(file, []).extend([name] if name else [])
    for file, names in files.items():
        yield f"- `{file}`\n"
        yield from (f"    - `{name}`\n" for name in names)
