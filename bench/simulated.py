"""The simulated API as measurements use it: a process beside, and what arrived there."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import urlopen


@contextmanager
def simulator(*options: str) -> Iterator[str]:
    """Where it listens, as long as the block runs."""
    command = (sys.executable, "-m", "collector", "simulate", "--port", "0", "--until-eof", *options)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
        process.communicate("")


def arrivals(url: str) -> list[dict[str, Any]]:
    """The requests for prices that came, in their order."""
    with urlopen(f"{url}/_sim/log?since=0") as answer:
        lines = [json.loads(line) for line in answer.read().splitlines()]
    return [line for line in lines if line["api_id"] == "ka20002"]
