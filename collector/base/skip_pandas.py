"""Keeps pandas out of commands that work with pyarrow and not with pandas."""

import sys


class _NoPandas:
    """A finder of modules that refuses one."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("this command works without pandas", name=fullname)


def skip_pandas() -> None:
    """Let pyarrow work without pandas in this process.

    pyarrow imports pandas at the first `pyarrow.array`, wherever it is installed: 0.3 s and 40 MB for nothing.
    Call this in commands only; in a notebook pandas must stay importable.
    """
    sys.meta_path.insert(0, _NoPandas())
