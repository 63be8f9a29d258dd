"""A server of pages made beforehand, so that what is measured of a backfill is the client.

2,500 listings in one sector on 25 pages, and the same few histories, of 600 bars up to the newest trading
day, under each of their symbols.
"""

import asyncio
import json
import random
import sys
from datetime import UTC, date, datetime, timedelta

from collector.backfill.period import newest_over
from collector.base import resources
from collector.market import calendar
from collector.market.calendar import Calendar
from collector.model import KST

LISTINGS, PAGE, BARS, VARIANTS = 2_500, 100, 600, 16
_SYMBOL = "@@@@@@"


def days(count: int) -> list[date]:
    """So many trading days, newest first, the newest that is over in front."""
    file = resources.path("config", "calendar.yaml")
    known: Calendar = calendar.load(file.read_bytes(), str(file))
    found = [newest_over(known, datetime.now(UTC))]
    while len(found) < count:
        found.append(known.previous_trading_day(found[-1]))
    return found


def _history(number: int) -> bytes:
    """One history; `_SYMBOL` stands for the listing's."""
    chance = random.Random(number)
    price, rows = 10 ** chance.uniform(3, 5.3), []
    for day in days(BARS):
        close, change = round(price), chance.randint(-300, 300)
        high, low = close + chance.randint(0, 300), close - chance.randint(0, 300)
        rows.append(
            {
                "cur_prc": f"{close}",
                "trde_qty": f"{chance.randint(1_000, 30_000_000)}",
                "trde_prica": f"{chance.randint(10, 1_000_000)}",
                "dt": f"{day:%Y%m%d}",
                "open_pric": f"{chance.randint(low, high)}",
                "high_pric": f"{high}",
                "low_pric": f"{low}",
                "pred_pre": f"{change:+}",
                "pred_pre_sig": "2" if change > 0 else "5",
                "trde_tern_rt": "+0.16",
            }
        )
        price = max(1_000.0, price - change)
    document = {"stk_cd": _SYMBOL, "stk_dt_pole_chart_qry": rows}
    return json.dumps(document | {"return_code": 0, "return_msg": "정상적으로 처리되었습니다"}).encode()


def _members(page: int) -> bytes:
    start = (page - 1) * PAGE
    rows = [
        {
            "stk_cd": f"{number * 10:06}",
            "stk_nm": f"종목{number}",
            "cur_prc": "+10100",
            "pred_pre_sig": "2",
            "pred_pre": "+100",
            "flu_rt": "+1.00",
            "now_trde_qty": "1000",
            **dict.fromkeys(("sel_bid", "buy_bid", "open_pric", "high_pric", "low_pric"), "+10100"),
        }
        for number in range(start + 1, start + PAGE + 1)
    ]
    return json.dumps({"inds_stkpc": rows, "return_code": 0, "return_msg": ""}).encode()


def _token() -> bytes:
    facts = {"token": "bench", "token_type": "bearer", "return_code": 0, "return_msg": ""}
    return json.dumps(
        facts | {"expires_dt": f"{datetime.now(KST) + timedelta(days=1):%Y%m%d%H%M%S}"}
    ).encode()


def http(body: bytes, api_id: str, key: str = "") -> bytes:
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json;charset=UTF-8\r\napi-id: {api_id}\r\n"
        f"cont-yn: {'Y' if key else 'N'}\r\nnext-key: {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class BoardConnection(asyncio.Protocol):
    def __init__(self, histories: list[bytes]) -> None:
        self._histories = histories
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        fields = {
            name.lower(): text.strip() for name, _, text in (_split(line) for line in head.split(b"\r\n"))
        }
        if end and len(body) >= int(fields[b"content-length"]):
            self._buffer = b""
            self._transport.write(self.answer(fields, json.loads(body)))  # type: ignore[attr-defined]

    def answer(self, fields: dict[bytes, bytes], asked: dict[str, str]) -> bytes:
        api_id = fields[b"api-id"].decode()
        if api_id == "ka10081":
            symbol = asked["stk_cd"].encode()
            history = self._histories[hash(symbol) % VARIANTS]
            return http(history.replace(_SYMBOL.encode(), symbol, 1), api_id, "more")
        if api_id == "ka20002":
            page = int(fields.get(b"next-key", b"1") or b"1")
            return http(_members(page), api_id, f"{page + 1}" if page * PAGE < LISTINGS else "")
        return http(_token(), api_id)


def _split(line: bytes) -> tuple[bytes, bytes, bytes]:
    return line.partition(b":")


async def _serve() -> None:
    histories = [_history(number) for number in range(VARIANTS)]
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: BoardConnection(histories), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve())
