"""What `./dev` decides before it starts a tool."""

import os
import signal
import subprocess
import sys
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


@pytest.mark.parametrize(("cores", "workers"), [(2, 4), (16, 32), (1, 2), (1.5, 3), (0.5, 2), (0.1, 2)])
def test_a_core_has_two_workers(dev: ModuleType, cores: float, workers: int) -> None:
    assert dev.count_workers(cores) == workers


@pytest.mark.parametrize(
    ("membership", "files", "quotas"),
    [
        ("0::/", {}, []),
        ("0::/a/b", {"a/b/cpu.max": "50000 100000", "a/cpu.max": "max 100000"}, [0.5]),
        ("0::/a/b", {"a/b/cpu.max": "max 100000", "a/cpu.max": "150000 100000"}, [1.5]),
        ("0::/of/the/host", {"cpu.max": "200000 100000"}, [2.0]),
        ("1:cpu:/a", {"cpu/a/cpu.cfs_quota_us": "50000", "cpu/a/cpu.cfs_period_us": "100000"}, [0.5]),
        (
            "3:cpu,cpuacct:/",
            {"cpu,cpuacct/cpu.cfs_quota_us": "-1", "cpu,cpuacct/cpu.cfs_period_us": "100000"},
            [],
        ),
        ("5:cpuset:/a", {"cpuset/a/cpu.cfs_quota_us": "50000", "cpuset/a/cpu.cfs_period_us": "100000"}, []),
        ("1:name=systemd:/a\n2:cpu:/a:b\n0::/a", {"cpu/a:b/cpu.cfs_quota_us": "1"}, []),
    ],
    ids=[
        "none",
        "v2",
        "v2 above",
        "v2 in a container",
        "v1",
        "v1 without a quota",
        "v1 elsewhere",
        "half a file",
    ],
)
def test_the_quota_of_a_cgroup_is_read(
    dev: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    membership: str,
    files: dict[str, str],
    quotas: list[float],
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    (tmp_path / "membership").write_text(membership + "\n")
    monkeypatch.setattr(dev, "CGROUPS", tmp_path)
    monkeypatch.setattr(dev, "MEMBERSHIP", tmp_path / "membership")
    assert list(dev.read_quotas()) == quotas


def test_a_quota_is_a_limit_of_the_cores(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dev, "read_quotas", lambda: iter([0.5, 64]))
    assert dev.count_cores() == 0.5


def test_a_machine_without_cgroups_has_no_quota(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(dev, "MEMBERSHIP", tmp_path / "absent")
    assert list(dev.read_quotas()) == []


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_the_command_itself(number: signal.Signals) -> None:
    """The process that was `./dev` is the command: it ends in its own way, with its own exit status."""
    words = [sys.executable, "-B", "dev", "run", "simulate", "--port", "0"]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert "http" in process.stdout.readline()
        process.send_signal(number)
        assert process.wait() == 0
