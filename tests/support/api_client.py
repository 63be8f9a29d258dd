"""A small honest client: enough of the protocol to walk a sector and to see what came back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from collector.model import Exchange
from kiwoom_simulator import Options, Simulator

NUMBER = {Exchange.KRX: "1", Exchange.NXT: "2", Exchange.CONSOLIDATED: "3"}


@dataclass(frozen=True)
class Got:
    status: int
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def rows(self) -> list[dict[str, Any]]:
        return next((value for value in self.body.values() if isinstance(value, list)), [])

    @property
    def code(self) -> str:
        """Kiwoom's own code in the text of a refusal."""
        return str(self.body.get("return_msg", "")).partition("[")[2].partition(":")[0]


class Client:
    def __init__(self, simulator: Simulator, session: aiohttp.ClientSession) -> None:
        self.simulator = simulator
        self.session = session
        self.token = ""

    async def post(self, path: str, api_id: str, fields: dict[str, str], **headers: str) -> Got:
        sent = {"api-id": api_id, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if self.token:
            sent["authorization"] = f"Bearer {self.token}"
        async with self.session.post(self.simulator.url + path, json=fields, headers=sent) as got:
            return Got(got.status, dict(got.headers), await got.json(content_type=None))

    async def status(self, **headers: str) -> int:
        """The HTTP status of a page, whatever the body is."""
        fields = {"mrkt_tp": "0", "inds_cd": "402", "stex_tp": "1"}
        sent = {"api-id": "ka20002", "authorization": f"Bearer {self.token}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.post(
            f"{self.simulator.url}/api/dostk/sect", json=fields, headers=sent
        ) as got:
            return got.status

    async def issue(self, app_key: str = "key", secret: str = "secret") -> Got:
        fields = {"grant_type": "client_credentials", "appkey": app_key, "secretkey": secret}
        got = await self.post("/oauth2/token", "au10001", fields)
        self.token = got.body.get("token", "")
        return got

    async def page(self, sector: str = "001", exchange: Exchange = Exchange.KRX, key: str = "") -> Got:
        fields = {"mrkt_tp": "0", "inds_cd": sector, "stex_tp": NUMBER[exchange]}
        again = {"cont_yn": "Y", "next_key": key} if key else {}
        return await self.post("/api/dostk/sect", "ka20002", fields, **again)

    async def walk(
        self, sector: str = "001", exchange: Exchange = Exchange.KRX, pages: int = 100
    ) -> list[Got]:
        """All pages, or as many as `pages` says; stops at the first refusal."""
        walked = [await self.page(sector, exchange)]
        while walked[-1].headers.get("cont-yn") == "Y" and len(walked) < pages:
            walked.append(await self.page(sector, exchange, walked[-1].headers["next-key"]))
        return walked

    async def bars(self, symbol: str, base: str, page_key: str = "", adjusted: str = "0") -> Got:
        fields = {"stk_cd": symbol, "base_dt": base, "upd_stkpc_tp": adjusted}
        again = {"cont_yn": "Y", "next_key": page_key} if page_key else {}
        return await self.post("/api/dostk/chart", "ka10081", fields, **again)

    async def control(self, method: str, path: str, content: object = None) -> Any:
        async with self.session.request(method, f"{self.simulator.url}/_sim/{path}", json=content) as got:
            return await got.json()


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[Client]:
    """A simulator without a quota unless one is asked for, and a client that has its token."""
    async with Simulator(Options(**{"quota": 0, **options})) as simulator, aiohttp.ClientSession() as session:
        client = Client(simulator, session)
        await client.issue()
        yield client
