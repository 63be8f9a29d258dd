"""What `./dev` decides before it starts a tool."""

import os
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def dev() -> ModuleType:
    """The script `./dev` as a module."""
    loader = SourceFileLoader("dev", str(ROOT / "dev"))
    spec = spec_from_loader("dev", loader)
    assert spec
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture
def variables() -> Iterator[None]:
    """The environment, given back as it was."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.parametrize("arguments", ["", "-x", "--durations=5", "-k snapshots", "--color=yes -q"])
def test_a_run_of_all_tests_has_workers(dev: ModuleType, arguments: str) -> None:
    assert not dev.selects_tests(arguments.split())


@pytest.mark.parametrize(
    "arguments",
    ["tests/db", "tests/db/test_snapshots.py::test_a -x", "-n 1", "-n0", "-m slow", "-s", "--pdb", "-x -sv"],
)
def test_a_selection_of_tests_runs_in_one_process(dev: ModuleType, arguments: str) -> None:
    assert dev.selects_tests(arguments.split())


@pytest.mark.usefixtures("variables")
def test_bytecode_that_may_not_stand_beside_the_sources_is_kept_in_the_environment(dev: ModuleType) -> None:
    os.environ.pop("PYTHONPYCACHEPREFIX", None)
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    dev.cache_bytecode()
    assert "PYTHONDONTWRITEBYTECODE" not in os.environ
    assert Path(os.environ["PYTHONPYCACHEPREFIX"]).is_relative_to(ROOT / ".venv")


@pytest.mark.usefixtures("variables")
def test_bytecode_stays_beside_the_sources_where_it_may(dev: ModuleType) -> None:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    before = dict(os.environ)
    dev.cache_bytecode()
    assert dict(os.environ) == before
