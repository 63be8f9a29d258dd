"""A server of a board of 2,500 listings and of minute bars made beforehand, so that the client is measured.

The bars are pages of the simulator: 900 bars of `VARIANTS` listings, under each of the symbols. The board is that of
`bench.bars`.
"""

import asyncio
import sys
from datetime import datetime, timedelta

from bench import bars
from collector.model import KST, Exchange
from kiwoom_simulator.market.market import SimulatedMarket
from kiwoom_simulator.market.minutes import page

DAY = datetime(2026, 11, 20, tzinfo=KST)
VARIANTS = 16
_SYMBOL = "@@@@@@"


def _pages() -> list[bytes]:
    """The first page of some listings that trade, as the API spells it."""
    market = SimulatedMarket()
    members = [listing for listing in market.members("001", Exchange.KRX) if listing.dormant_since is None]
    now = market.sessions.moments(DAY + timedelta(days=2))
    pages = []
    for listing in members[:: len(members) // VARIANTS][:VARIANTS]:
        rows, _ = page(market, listing, Exchange.KRX, newest=DAY.toordinal(), page_number=1, now=now)
        text = f'{{"stk_cd":"{_SYMBOL}","stk_min_pole_chart_qry":[{",".join(rows)}]'
        pages.append(f'{text},"return_code":0,"return_msg":"정상적으로 처리되었습니다"}}'.encode())
    return pages


class _MinuteConnection(bars.BoardConnection):
    def __init__(self, pages: list[bytes]) -> None:
        super().__init__([])
        self._pages = pages

    def answer(self, fields: dict[bytes, bytes], asked: dict[str, str]) -> bytes:
        if fields[b"api-id"] != b"ka10080":
            return super().answer(fields, asked)
        symbol = asked["stk_cd"]
        body = self._pages[int(symbol) // 10 % VARIANTS].replace(_SYMBOL.encode(), symbol.encode(), 1)
        return bars.http(body, "ka10080", "more")


async def _serve() -> None:
    pages = _pages()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _MinuteConnection(pages), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve())
