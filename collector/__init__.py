"""Certified snapshots of Korean sector prices, from the Kiwoom REST API into PostgreSQL.

import collector

with collector.open() as db:
    frame = db.breadth("KOSPI", "013").to_pandas()
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from collector.read import Reader

__version__ = "0.1.0"


def open(
    url: "str | None" = None,
    *,
    home: "Path | str | None" = None,
    files: "Path | str | None" = None,
    endpoint_url: "str | None" = None,
) -> "Reader":
    """Open the database and its archived files for reading; the result is a context manager.

    `url` names a database (default: DATABASE_URL or DATABASE_URL_FILE; else the private PostgreSQL under
    COLLECTOR_HOME, which runs until the reader is closed). `home` stands in for COLLECTOR_HOME. `files` is
    where archived files lie now, a folder or s3://BUCKET/FOLDER (default: where they were put). `endpoint_url` is
    the server of an object store (default: AWS_ENDPOINT_URL; else AWS).
    ConfigError names what is missing; StoreError says why the database cannot be read.
    """
    from collector.read import open_reader  # noqa: PLC0415 - `import collector` stays cheap

    return open_reader(url, home=home, files=files, endpoint_url=endpoint_url)
