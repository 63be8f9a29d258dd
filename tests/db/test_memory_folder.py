"""The folder in memory in which the server of the tests keeps its data."""

from pathlib import Path

from tests.support.postgres_server import LOCK, PREFIX, memory_folder


def test_the_folder_of_a_killed_run_is_removed_and_that_of_a_running_one_stays(tmp_path: Path) -> None:
    killed = tmp_path / f"{PREFIX}killed"
    killed.mkdir()
    (killed / LOCK).touch()
    with memory_folder(tmp_path / "home", tmp_path) as running:
        (running / "data").touch()
        with memory_folder(tmp_path / "home", tmp_path) as other:
            assert not killed.exists()
            assert other != running
            assert (running / "data").exists()
    assert list(tmp_path.iterdir()) == []


def test_without_such_a_folder_the_data_stay_in_the_home_of_the_run(tmp_path: Path) -> None:
    with memory_folder(tmp_path, Path("/nonexistent")) as folder:
        assert folder == tmp_path
