"""The hostile runs: what is read from a log, that half a core is half a core, and that a stopped run leaves nothing."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import hostile
from tests.hostile import Result

BURN = "import time; end = time.process_time() + 0.5\nwhile time.process_time() < end: pass"


def test_the_table_names_each_run_and_each_failure() -> None:
    text = hostile.table(
        [
            Result("loops", 1, 0, 61.4, "10 passed", ()),
            Result("half", 1, 1, 400.0, "1 failed, 9 passed", ("tests/test_a.py::test_b",)),
        ]
    )
    assert "loops    1  passed       61  10 passed" in text
    assert "half     1  FAILED      400  1 failed, 9 passed\n             tests/test_a.py::test_b" in text
    assert text.endswith("loops: 1 of 1 passed\nhalf: 0 of 1 passed")


@pytest.mark.parametrize(
    ("line", "summary"),
    [
        pytest.param("4382 passed, 6 skipped in 449.97s (0:07:29)", "4382 passed, 6 skipped", id="quiet"),
        pytest.param("=== 1 failed, 3 passed in 2.00s ===", "1 failed, 3 passed", id="verbose"),
    ],
)
def test_the_last_line_of_pytest_is_its_summary(line: str, summary: str) -> None:
    assert hostile._SUMMARY.findall(f"....\n{line}\n") == [summary]


def test_the_environment_of_a_clone_is_without_ours() -> None:
    assert str(hostile.ROOT / ".venv" / "bin") not in hostile.environment()["PATH"].split(os.pathsep)


@pytest.mark.extended
def test_a_cgroup_gives_half_a_core_and_leaves_no_process(tmp_path: Path) -> None:
    parent = hostile._cgroup_parent()
    if parent is None:
        pytest.skip("cgroups of one's own need root and Linux")
    with hostile.limited(f"test-{os.getpid()}") as prefix:
        began = time.monotonic()
        subprocess.run([*prefix, sys.executable, "-c", BURN], check=True)
        seconds = time.monotonic() - began
        left = subprocess.Popen([*prefix, "sleep", "600"])
        while f"{left.pid}" not in (Path(prefix[-1]) / "cgroup.procs").read_text().split():
            assert left.poll() is None
    assert seconds > 0.8  # half a second of work takes a whole one, less what a period lets through at once
    assert left.wait() == -9


@pytest.mark.parametrize(
    ("shell", "patience", "code"),
    [
        pytest.param("", 600, -signal.SIGINT, id="at once"),
        pytest.param("trap '' INT;", 0, -signal.SIGKILL, id="never by itself"),
    ],
)
def test_an_interrupt_ends_all_that_a_run_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: str, patience: float, code: int
) -> None:
    monkeypatch.setattr(hostile, "PATIENCE", patience)
    commands = hostile.Commands()
    words = ["sh", "-c", f"{shell} (trap '' INT; echo begun; exec sleep 600) & wait"]
    reader, writer = (os.fdopen(end, mode) for end, mode in zip(os.pipe(), ("rb", "wb"), strict=True))
    with reader, ThreadPoolExecutor(1) as pool:
        with writer:
            ended = pool.submit(commands.run, words, tmp_path, writer)
            assert reader.readline() == b"begun\n"
        commands.end()
        assert ended.result() == code
        assert reader.read() == b""  # nothing of it is left that could write
    with pytest.raises(hostile.StoppedError):
        commands.run(["true"], tmp_path)
