"""The cold tier; skipped where there is no pyarrow."""

import pytest

pytest.importorskip("pyarrow")
