"""A client that sees bytes: what came, in what state the connection was left, and how long it took."""

import asyncio
import json
import time
from dataclasses import dataclass
from enum import Enum

from kiwoom_simulator import Simulator


class End(Enum):
    OPEN = "the whole answer came, the connection stays"
    CLOSED = "the server closed"
    RESET = "the server reset"
    SILENT = "nothing more came, and the connection stays"


@dataclass(frozen=True)
class Seen:
    head: bytes
    body: bytes
    end: End
    seconds: float

    @property
    def status(self) -> int:
        return int(self.head.split()[1]) if self.head else 0

    def header(self, name: str) -> list[str]:
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        return [
            value.strip() for key, _, value in (line.partition(":") for line in lines) if key.lower() == name
        ]

    @property
    def text(self) -> str:
        return self.body.decode()


async def post(
    simulator: Simulator, path: str, fields: dict[str, str], *, most: int = 1 << 22, **headers: str
) -> Seen:
    """One request on a connection of its own; it ends after `SILENCE` without a byte, or `most` bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", simulator.port, limit=1 << 24)
    body = json.dumps(fields).encode()
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = "\r\n".join([f"POST {path} HTTP/1.1", "host: x", f"content-length: {len(body)}", *lines])
    started = time.monotonic()
    writer.write(head.encode() + b"\r\n\r\n" + body)
    data, end = await _read(reader, most)
    seconds = time.monotonic() - started
    writer.close()
    got_head, _, got_body = data.partition(b"\r\n\r\n")
    return Seen(got_head, got_body, end, seconds)


async def page(
    simulator: Simulator, token: str, sector: str = "001", key: str = "", most: int = 1 << 22
) -> Seen:
    fields = {"mrkt_tp": "0", "inds_cd": sector, "stex_tp": "1"}
    again = {"cont_yn": "Y", "next_key": key} if key else {}
    return await post(
        simulator,
        "/api/dostk/sect",
        fields,
        most=most,
        authorization=f"Bearer {token}",
        api_id="ka20002",
        **again,
    )


async def minutes(simulator: Simulator, token: str, symbol: str = "005930") -> Seen:
    fields = {"stk_cd": symbol, "tic_scope": "1", "upd_stkpc_tp": "0", "base_dt": "20261120"}
    headers = {"authorization": f"Bearer {token}", "api_id": "ka10080"}
    return await post(simulator, "/api/dostk/chart", fields, **headers)


async def token(simulator: Simulator) -> Seen:
    fields = {"grant_type": "client_credentials", "appkey": "key", "secretkey": "secret"}
    return await post(simulator, "/oauth2/token", fields)


SILENCE = 2.0
"""Seconds without a byte that are taken for silence: an answer that is only slow may take a tenth of it."""
TURNS = 20
"""The parts of `SILENCE`. A simulator in our event loop gets a turn after each, however long a turn takes."""


async def _read(reader: asyncio.StreamReader, most: int) -> tuple[bytes, End]:
    data = b""
    while len(data) < most:
        try:
            more = await _read_some(reader)
        except TimeoutError:
            return data, End.SILENT
        except ConnectionResetError:
            return data, End.RESET
        if not more:
            return data, End.CLOSED
        data += more
        if _is_whole(data):
            return data, End.OPEN
    return data, End.OPEN


async def _read_some(reader: asyncio.StreamReader) -> bytes:
    """The next bytes, b"" at the end; TimeoutError if there is silence."""
    reading = asyncio.ensure_future(reader.read(1 << 16))
    for _ in range(TURNS):
        done, _ = await asyncio.wait([reading], timeout=SILENCE / TURNS)
        if done:
            return reading.result()
    reading.cancel()
    raise TimeoutError


def _is_whole(data: bytes) -> bool:
    head, found, body = data.partition(b"\r\n\r\n")
    lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
    if b"transfer-encoding" in lines:
        return body.endswith(b"0\r\n\r\n")
    return bool(found) and b"content-length" in lines and len(body) >= int(lines[b"content-length"])
