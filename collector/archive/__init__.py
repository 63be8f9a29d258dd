"""A day's rows as a Parquet file: which columns, in which order, and how a file proves that it is whole.

Everything here is plain values and one file; what comes from a database, or goes into one, is `cold`'s.
"""

import os

from collector.errors import ConfigError

# Read by pyarrow as it is loaded. What is freed goes back to the system: archiving a day peaks at 250 MB, not at 290.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

try:
    import pyarrow  # noqa: F401 - said here once, for all the modules below
except ImportError:
    raise ConfigError(
        "Parquet files need the package pyarrow, which is not installed",
        hint="pip install pyarrow",
    ) from None
