"""The cold tier: days that leave the database for Parquet files, and come back from them.

A day is its rows. The ledger stays where it is, so what was collected and how well is known without the files.
"""

import collector.parquet  # noqa: F401 - first of all: it says what to install where pyarrow is missing
