"""Public clients of the API, unchanged, read every page of a board from the simulator.

They are no dependencies of ours; they run where they are installed, each in an environment of its own:

    python -m venv /tmp/one && /tmp/one/bin/pip install kiwoom-client==0.4.0
    KIWOOM_CLIENT_PYTHON=/tmp/one/bin/python KIWOOM_RESTFUL_PYTHON=/tmp/two/bin/python ./dev test tests/simulator
"""

import asyncio
import importlib.util
import json
import os
import sys
from datetime import datetime

import pytest

from collector.model import KST, Exchange, Market, Target
from kiwoom_simulator import Options, Simulator

OPEN = datetime(2026, 11, 20, 11, 0, tzinfo=KST)
KOSPI = Target(Market.KOSPI, "001", Exchange.KRX)

KIWOOM_CLIENT = """
import json, sys
from kiwoom_client import KiwoomAPI

with KiwoomAPI("key", "secret", base_url=sys.argv[1], rate_limit=None) as client:
    client.login()
    body = {"mrkt_tp": "0", "inds_cd": "001", "stex_tp": "1"}
    print(json.dumps(client._base_client.request_all("/api/dostk/sect", "ka20002", body, data_key="inds_stkpc")))
"""
KIWOOM_RESTFUL = """
import asyncio, json, sys
from kiwoom.http.client import Client

async def main():
    client = Client(sys.argv[1], "key", "secret")
    client._limiter.set(1000)
    await client._connect("key", "secret")
    body = {"mrkt_tp": "0", "inds_cd": "001", "stex_tp": "1"}
    got = await client.request_until(lambda _: True, "/api/dostk/sect", "ka20002", data=body)
    await client.close()
    print(json.dumps(got["inds_stkpc"]))

asyncio.run(main())
"""


def python_with(module: str, variable: str) -> str:
    """An interpreter that has the package; skips the test if there is none."""
    if importlib.util.find_spec(module) is not None:
        return sys.executable
    found = os.environ.get(variable)
    if found is None:
        pytest.skip(f"the package of {module} is not installed, and {variable} names no Python that has it")
    return found


@pytest.mark.parametrize(
    ("module", "variable", "program"),
    [
        ("kiwoom_client", "KIWOOM_CLIENT_PYTHON", KIWOOM_CLIENT),
        ("kiwoom", "KIWOOM_RESTFUL_PYTHON", KIWOOM_RESTFUL),
    ],
    ids=["kiwoom-client", "kiwoom-restful"],
)
async def test_a_public_client_reads_every_row_unchanged(module: str, variable: str, program: str) -> None:
    python = python_with(module, variable)
    async with Simulator(Options(quota=0, freeze=OPEN)) as simulator:
        process = await asyncio.create_subprocess_exec(
            python, "-c", program, simulator.url, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
        assert process.returncode == 0
        assert json.loads(output) == simulator.rows(KOSPI)
        pages = [found["page"] for found in simulator.api.book.since(0) if found["api_id"] == "ka20002"]
        assert pages == list(range(1, 26))
