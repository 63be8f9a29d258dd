"""Host names that are unknown, slow, moved or lied about: see `names`, which plays each of them."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("ip"),
    reason="needs root, unshare and ip",
)

SPACE = Path("/proc/self/ns/mnt")
OUTSIDE = str(SPACE.readlink()) if SPACE.is_symlink() else ""


async def played(*cases: str) -> Mapping[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *("unshare", "--mount", "--net", sys.executable, "-m", "tests.support.lying_resolver", *cases),
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OUTSIDE": OUTSIDE},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    found: Mapping[str, Any] = json.loads(out)
    return found


@pytest.mark.extended
async def test_a_name_that_is_unknown_slow_or_hijacked_ends_in_time_and_sends_nothing() -> None:
    found = await played("unknown", "slow", "hijacked")
    assert found["unknown"]["said"].startswith("Unavailable: cannot connect to nobody.test:8021: Name or")
    assert found["slow"]["said"] == "Unavailable: no answer in time"
    assert 0.4 < found["slow"]["seconds"] < 20  # the look-up would take longer
    assert "certificate is not valid" in found["hijacked"]["said"]
    assert found["hijacked"]["received"] == 0


@pytest.mark.extended
async def test_a_command_that_waits_for_a_name_ends_in_time_when_told_to_stop() -> None:
    found = (await played("stopped"))["stopped"]
    assert found["code"] == 130
    assert found["seconds"] < 15  # of the twenty that the look-up takes, and its own start


@pytest.mark.extended
async def test_a_host_that_moves_is_found_at_its_new_address() -> None:
    assert (await played("moved"))["moved"]["said"] == [200, 418]
