"""The files that travel with the program are found wherever it was installed."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from collector.base import resources
from tests.support.wheel import build_wheel

ROOT = Path(__file__).resolve().parents[2]


def test_a_checkout_finds_its_own_files():
    assert resources.path("config", "sectors.csv") == ROOT / "config" / "sectors.csv"


@pytest.mark.parametrize("folder", ["config", "migrations"])
def test_every_shipped_folder_is_there(folder):
    assert resources.path(folder).is_dir()


def test_a_wheel_carries_the_files_and_finds_them(tmp_path):
    wheel = build_wheel(tmp_path)
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    ask = (
        "from collector.base.resources import path; from collector.market.sectors import bundled_sectors;"
        " print(path('config')); print(len(bundled_sectors()))"
    )
    # -I: neither the checkout nor its editable install may answer for the wheel.
    code = f"import sys; sys.path.insert(0, {str(site)!r}); {ask}"
    found = subprocess.run(
        (sys.executable, "-I", "-c", code), cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert found.stdout.split() == [str(site / "collector" / "data" / "config"), "116"]
