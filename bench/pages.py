"""A server that only hands out pages it made beforehand, so that what is measured is the client.

300 targets of three pages of 100 rows, cut from the simulator's market, each after the same latency; the first answer
of a connection comes later by what a new one costs.
"""

import asyncio
import json
import sys
from datetime import datetime, timedelta

from bench.contenders import PAGES, ROWS, TARGETS
from collector.model import KST, Exchange
from kiwoom_simulator import Options, Simulator


def _pages() -> dict[tuple[str, str], bytes]:
    """(sector, next-key) → a whole HTTP answer."""
    frozen = datetime(2026, 11, 20, 14, 0, tzinfo=KST)
    market = Simulator(Options(freeze=frozen)).market
    rows = market.rows("001", Exchange.KRX, frozen) + market.rows("101", Exchange.KRX, frozen)
    answers = {}
    for number in range(TARGETS):
        start = number * 37 % (len(rows) - PAGES * ROWS)
        for page in range(PAGES):
            body = rows[start + page * ROWS : start + (page + 1) * ROWS]
            answers[f"{number:03}", f"{page}" if page else ""] = _answer(
                body, page + 1 if page + 1 < PAGES else None
            )
    return answers


def _answer(rows: list[dict[str, str]], following: int | None) -> bytes:
    document = {"inds_stkpc": rows, "return_code": 0, "return_msg": "정상적으로 처리되었습니다"}
    more = f"cont-yn: Y\r\nnext-key: {following}\r\n" if following else "cont-yn: N\r\nnext-key: \r\n"
    return _http(
        json.dumps(document, ensure_ascii=False).encode(),
        f"api-id: ka20002\r\n{more}resp-cnt: {len(rows)}\r\n",
    )


def _http(body: bytes, headers: str = "") -> bytes:
    kind = "Content-Type: application/json;charset=UTF-8"
    head = f"HTTP/1.1 200 OK\r\n{kind}\r\n{headers}Content-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def _token() -> bytes:
    ends = datetime.now(KST) + timedelta(days=1)
    facts = {"token": "bench", "token_type": "bearer", "expires_dt": f"{ends:%Y%m%d%H%M%S}"}
    return json.dumps(facts | {"return_code": 0, "return_msg": ""}).encode()


class _Connection(asyncio.Protocol):
    def __init__(self, answers: dict[tuple[str, str], bytes], latency: float, connecting: float) -> None:
        self._answers = answers
        self._latency = latency
        self._more = connecting
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        headers = {name.lower(): value.strip() for name, _, value in map(_split, head.split(b"\r\n")[1:])}
        length = int(headers[b"content-length"])
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        answer = self._answer(head, headers, rest[:length])
        asyncio.get_running_loop().call_later(self._latency + self._more, self._write, answer)
        self._more = 0.0

    def _answer(self, head: bytes, headers: dict[bytes, bytes], body: bytes) -> bytes:
        if head.startswith(b"POST /oauth2"):
            return _http(_token())
        return self._answers[json.loads(body)["inds_cd"], headers.get(b"next-key", b"").decode()]

    def _write(self, answer: bytes) -> None:
        self._transport.write(answer)  # type: ignore[attr-defined]


def _split(line: bytes) -> tuple[bytes, bytes, bytes]:
    return line.partition(b":")


async def _serve(latency: float, connecting: float) -> None:
    answers = _pages()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(answers, latency, connecting), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(*map(float, sys.argv[1:3])))
