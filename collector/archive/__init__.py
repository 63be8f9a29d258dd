"""The cold tier: days as Parquet files, proved, restored and exported (docs/decisions/0010)."""

import os

from collector.errors import ConfigError

# Set before pyarrow is loaded. The system allocator returns freed memory: archiving a day peaks at 250 MB,
# not 290.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

try:
    import pyarrow  # noqa: F401 - the message is given here once, for all modules below
except ImportError:
    raise ConfigError(
        "Parquet files need the package pyarrow; it is not installed",
        hint="pip install pyarrow",
    ) from None
