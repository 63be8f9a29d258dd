"""The page of faults answers for every fault of the catalogue, and each proof that is named exists."""

import re
from collections.abc import Iterator
from importlib import import_module
from itertools import permutations, product
from pathlib import Path

import pytest

from tools.reference import faults

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = {"N": 24, "C": 22, "D": 18, "O": 18, "X": 20}
"""How many faults of each kind there are."""

_PROOF = re.compile(r"`(tests/[a-z0-9_/]+\.py)(?:::(test_\w+)(?:\[([^\]`]+)\])?)?`")
FAULTS = [fault for group in faults.read(ROOT / "docs" / "data" / "faults.yaml").values() for fault in group]
EACH = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)


def test_every_fault_has_one_entry_in_the_order_of_the_catalogue() -> None:
    expected = [f"{kind}{number}" for kind, count in CATALOGUE.items() for number in range(1, count + 1)]
    assert [fault.id for fault in FAULTS] == expected


@EACH
def test_every_entry_is_complete_and_has_tests(fault: faults.Fault) -> None:
    assert fault.fault
    assert fault.behaviour
    assert fault.tests
    assert all(_PROOF.fullmatch(f"`{test}`") for test in fault.tests)


@EACH
def test_every_test_of_a_fault_exists(fault: faults.Fault) -> None:
    _exist(" ".join(f"`{test}`" for test in fault.tests))


@pytest.mark.parametrize("page", ["SECURITY.md", "docs/explanation/threat-model.md"])
def test_every_proof_that_a_page_on_security_names_exists(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert not re.sub(_PROOF, "", text).count("tests/"), "a name that no proof has"
    _exist(text)


def _exist(text: str) -> None:
    for path, name, case in _PROOF.findall(text):
        if not name:  # a scenario of the torture, which has no names inside
            assert path.startswith("tests/torture/")
            assert (ROOT / path).is_file(), path
            continue
        test = getattr(import_module(path.removesuffix(".py").replace("/", ".")), name, None)
        assert callable(test), f"{path} has no {name}"
        assert not case or case in set(cases(test)), f"{name} has no case {case}"


def cases(test: object) -> Iterator[str]:
    """The ids of a test that is run once for each of several values, and of any of its marks alone."""
    marks = [mark for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
    alone = [list(ids(*mark.args, **mark.kwargs)) for mark in marks]
    for some in alone:
        yield from some
    for order in permutations(alone):
        yield from map("-".join, product(*order))


def ids(names: object, values: object, *, ids: object = None, **_: object) -> Iterator[str]:
    """The ids that pytest gives to the values of one mark, as far as they can be told without asking it."""
    values = list(values)  # type: ignore[call-overload]
    given = list(ids) if ids is not None and not callable(ids) else [None] * len(values)
    for value, told in zip(values, given, strict=True):
        if isinstance(told, str):
            yield told
        elif getattr(value, "id", None) is not None:
            yield value.id
        elif callable(ids):
            yield str(ids(value))
        else:
            inner = getattr(value, "values", value)
            parts = inner if isinstance(inner, tuple) and not isinstance(inner, str) else (inner,)
            yield "-".join(map(str, parts))
