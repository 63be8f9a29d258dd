"""Commands that work with pyarrow leave pandas alone."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

PROGRAM = """
import sys
from collector.base.skip_pandas import skip_pandas
skip_pandas()
import pyarrow
print(pyarrow.array([1]).to_pylist(), pyarrow.scalar("a"), "pandas" in sys.modules)
"""


@pytest.mark.extended
@pytest.mark.skipif(
    find_spec("pyarrow") is None or find_spec("pandas") is None, reason="pyarrow and pandas are not installed"
)
def test_pyarrow_works_without_pandas_where_it_is_installed() -> None:
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (found.stdout, found.stderr) == ("[1] a False\n", "")
