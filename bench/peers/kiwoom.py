"""kiwoom-client's asynchronous client, which follows the pages itself, and executemany of psycopg."""

import asyncio
import json
import sys
import time

import psycopg
from kiwoom_client import AsyncKiwoomAPI

url, dsn, in_flight = sys.argv[1:]
COLUMNS = (
    *("stk_cd", "stk_nm", "cur_prc", "pred_pre_sig", "pred_pre", "flu_rt", "now_trde_qty", "sel_bid"),
    *("buy_bid", "open_pric", "high_pric", "low_pric"),
)


async def main() -> None:
    at_once = asyncio.Semaphore(int(in_flight))
    insert = f"INSERT INTO prices VALUES ({', '.join(['%s'] * (len(COLUMNS) + 1))})"
    async with (
        await psycopg.AsyncConnection.connect(dsn) as connection,
        AsyncKiwoomAPI("key", "secret", base_url=url, rate_limit=None) as client,
    ):
        await client.login()
        await connection.execute(
            f"CREATE TABLE prices (sector text, {', '.join(f'{name} text' for name in COLUMNS)})"
        )

        async def walk(sector: str) -> None:
            async with at_once:
                body = {"mrkt_tp": "7", "inds_cd": sector, "stex_tp": "1"}
                rows = await client._base_client.request_all(
                    "/api/dostk/sect", "ka20002", body, data_key="inds_stkpc"
                )
                async with connection.cursor() as cursor:
                    await cursor.executemany(
                        insert, [(sector, *(row[name] for name in COLUMNS)) for row in rows]
                    )
                await connection.commit()

        async with asyncio.TaskGroup() as group:
            for number in range(300):
                group.create_task(walk(f"{number:03}"))


began = time.perf_counter()
asyncio.run(main())
print(json.dumps({"wall": time.perf_counter() - began}))
