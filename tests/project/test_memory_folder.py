"""The folder in memory for the files of a run."""

from contextlib import suppress
from pathlib import Path

from tests.support.memory_folder import LOCK, PREFIX, memory_folder


def test_the_folder_of_a_killed_run_is_removed_and_that_of_a_running_one_stays(tmp_path: Path) -> None:
    killed = tmp_path / f"{PREFIX}killed"
    killed.mkdir()
    (killed / LOCK).touch()
    with memory_folder(tmp_path) as running:
        assert running
        (running / "data").touch()
        with memory_folder(tmp_path) as other:
            assert not killed.exists()
            assert other != running
            assert (running / "data").exists()
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_run_that_fails_stays_until_the_next_run(tmp_path: Path) -> None:
    with suppress(ZeroDivisionError), memory_folder(tmp_path) as failing:
        assert failing
        raise ZeroDivisionError
    assert failing.exists()
    with memory_folder(tmp_path):
        assert not failing.exists()


def test_there_is_none_on_a_machine_without_such_a_folder() -> None:
    with memory_folder(Path("/nonexistent")) as folder:
        assert folder is None
