"""Computes a digest of rows, independent of their batches and of the database they come from."""

import hashlib
import json

from collector.archive.columns import Names, Table, columns_of
from collector.db.copy_layout import WIDTHS


class Digest:
    """Digests rows in the order of the file; each column has its own hash."""

    def __init__(self) -> None:
        self.rows = 0
        self._columns = {name: hashlib.sha256() for name in WIDTHS}

    def update(self, rows: Table) -> None:
        self.rows += len(rows)
        for name, values in columns_of(rows).items():
            self._columns[name].update(values)

    def hexdigest(self, names: Names) -> str:
        whole = hashlib.sha256(json.dumps([self.rows, names.targets, names.listings]).encode())
        for column in self._columns.values():
            whole.update(column.digest())
        return whole.hexdigest()
