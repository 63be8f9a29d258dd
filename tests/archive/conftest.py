"""Commands are started from a warm process, as those of `tests.cli`."""

from tests.cli.conftest import _warm

__all__ = ["_warm"]
