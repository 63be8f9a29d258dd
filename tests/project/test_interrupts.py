"""Signals that ask a command of ours to stop end it in order."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import asyncio
from tests.support.interrupts import accept_interrupts

async def main():
    try:
        print("begun", flush=True)
        await asyncio.sleep(600)
    finally:
        await asyncio.sleep(0)
        print("ended in order", flush=True)

accept_interrupts()
try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("ignored", ["", "trap '' INT;"], ids=["in front", "in the background"])
def test_a_command_ends_in_order(number: signal.Signals, ignored: str) -> None:
    words = ["sh", "-c", f'{ignored} exec "$@"', "sh", sys.executable, "-c", PROGRAM]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "begun\n"
        process.send_signal(number)
        assert process.stdout.read() == "ended in order\ninterrupted\n"


@pytest.mark.parametrize(("trap", "expected"), [("trap '' HUP;", True), ("", False)])
def test_a_hangup_that_is_ignored_stays_ignored(trap: str, expected: bool) -> None:
    program = "accept_interrupts(); print(signal.getsignal(signal.SIGHUP) == signal.SIG_IGN)"
    program = f"import signal; from tests.support.interrupts import accept_interrupts; {program}"
    words = ["sh", "-c", f'{trap} exec "$@"', "sh", sys.executable, "-c", program]
    done = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout == f"{expected}\n"
