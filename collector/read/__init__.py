"""Reading from Python: the database and its archived files as one, in tables of Arrow, pandas or polars."""

from collector.errors import ConfigError

try:
    import adbc_driver_postgresql  # noqa: F401 - said here once, for all the modules below
    import pyarrow  # noqa: F401
except ImportError as error:
    raise ConfigError(
        f"reading from Python needs the package {(error.name or '').replace('_', '-')}, which is not installed",
        hint="pip install adbc-driver-postgresql pyarrow",
    ) from None

from collector.read.reader import NothingStored, Reader, open_reader
from collector.read.result import Result

__all__ = ["NothingStored", "Reader", "Result", "open_reader"]
