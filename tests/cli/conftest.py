"""Commands are started from a warm process, one for the whole run."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def _warm(warm: None) -> None:
    pass
