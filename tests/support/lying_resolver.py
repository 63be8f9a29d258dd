"""Asks by host names in a network and a file system of its own, where the only name server is a lying one.

Run as `OUTSIDE=$(readlink /proc/self/ns/mnt) unshare --mount --net python -m tests.support.lying_resolver
CASE ...`; says what
came of each as one JSON object.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from collector.errors import CollectorError
from collector.kiwoom import protocol
from collector.kiwoom.transport import HttpTransport
from collector.secret import Secret
from tests.faults.test_tls import Authority, greeting
from tests.support.byte_server import answer, serving
from tests.support.tcp_listener import listening

ADDRESSES = {"here.test": "127.0.0.1", "api.kiwoom.com": "127.0.0.1"}
"""What the name server says; of `slow.test` it says nothing at all, and no other name is there."""


def serve_names() -> None:
    wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    wire.bind(("127.0.0.1", 53))
    threading.Thread(target=lambda: [answer_one(wire) for _ in iter(int, 1)], daemon=True).start()


def answer_one(wire: socket.socket) -> None:
    query, asker = wire.recvfrom(512)
    labels, at = [], 12
    while size := query[at]:
        labels.append(query[at + 1 : at + 1 + size].decode())
        at += size + 1
    name, kind = ".".join(labels), query[at + 1 : at + 3]
    question = query[12 : at + 5]
    if name == "slow.test":
        return
    address = ADDRESSES.get(name)
    found = address is not None and kind == b"\0\1"
    head = query[:2] + (b"\x81\x80" if address else b"\x81\x83") + b"\0\1" + bytes([0, found]) + bytes(4)
    record = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + socket.inet_aton(address or "0.0.0.0") if found else b""
    wire.sendto(head + question + record, asker)


async def asked(url: str, timeout: float = 2.0) -> tuple[str, float]:
    began = time.monotonic()
    async with HttpTransport(url, timeout=timeout, user_agent="tests/1", connections=1) as api:
        try:
            said = str((await api.post(protocol.ask_token(Secret("s3ntinel"), Secret("s3ntinel")))).status)
        except CollectorError as error:
            said = f"{type(error).__name__}: {error}"
    return said, time.monotonic() - began


async def unknown() -> dict[str, object]:
    said, seconds = await asked("http://nobody.test:8021")
    return {"said": said, "seconds": seconds}


async def slow() -> dict[str, object]:
    said, seconds = await asked("http://slow.test:8021", timeout=0.5)
    return {"said": said, "seconds": seconds}


async def hijacked() -> dict[str, object]:
    """Kiwoom's own name leads to this machine, where somebody speaks TLS on Kiwoom's port."""
    with tempfile.TemporaryDirectory() as folder:
        context = Authority(Path(folder)).server(signed=False)
        received = b""

        async def note(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            nonlocal received
            received += await reader.read(65536)

        async with listening(note, port=443, tls=context):
            said, _ = await asked("https://api.kiwoom.com")
    return {"said": said, "received": len(received)}


async def moved() -> dict[str, object]:
    """The name gets another address, and the host behind the old one goes away."""
    async with serving(greeting) as first:
        ADDRESSES["here.test"] = "127.0.0.1"
        async with HttpTransport(
            f"http://here.test:{first.port}", timeout=2, user_agent="tests/1", connections=1
        ) as api:
            ask = protocol.ask_token(Secret("k"), Secret("s"))
            before = (await api.post(ask)).status
            async with listening(closing, "127.0.0.2", first.port):
                ADDRESSES["here.test"] = "127.0.0.2"
                await asyncio.sleep(10.5)  # addresses are remembered for ten seconds
                after = (await api.post(ask)).status
    return {"said": [before, after]}


async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(answer(status=b"418 Here"))
    writer.close()


STOPPED = """
import os, signal, threading
from collector.kiwoom.client import protocol
from collector.kiwoom.transport import HttpTransport
from collector.cli.context import run_command
from collector.model import Target

async def asking():
    async with HttpTransport("http://slow.test:8021", timeout=60, user_agent="tests/1", connections=1) as api:
        threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()
        await api.post(protocol.ask_prices(Target.of("KOSPI", "001", "KRX")))

run_command(asking())
"""


async def stopped() -> dict[str, object]:
    """A command that is told to stop while it waits for a name: its exit status, and how long it took."""
    began = time.monotonic()
    env = {**os.environ, "RES_OPTIONS": "timeout:20 attempts:1"}
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", STOPPED, env=env)
    return {"code": await process.wait(), "seconds": time.monotonic() - began}


CASES: dict[str, Callable[[], Coroutine[Any, Any, dict[str, object]]]] = {
    case.__name__: case for case in (unknown, slow, hijacked, moved, stopped)
}


def main() -> None:
    assert os.environ["OUTSIDE"] != str(Path("/proc/self/ns/mnt").readlink()), (
        "this must not be the machine's own"
    )
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with tempfile.NamedTemporaryFile("w") as lying:
        lying.write("nameserver 127.0.0.1\noptions timeout:2 attempts:1\n")
        lying.flush()
        subprocess.run(["mount", "--bind", lying.name, "/etc/resolv.conf"], check=True)
        serve_names()
        asking = asyncio.new_event_loop()
        found = {case: asking.run_until_complete(CASES[case]()) for case in sys.argv[1:]}
    print(json.dumps(found), flush=True)
    os._exit(0)  # a name that is still being looked up would keep the process


if __name__ == "__main__":
    main()
