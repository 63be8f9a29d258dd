"""requests, one page after the other, and executemany of psycopg: what a first script looks like."""

import json
import sys
import time

import psycopg
import requests

url, dsn, _ = sys.argv[1:]
COLUMNS = (
    *("stk_cd", "stk_nm", "cur_prc", "pred_pre_sig", "pred_pre", "flu_rt", "now_trde_qty", "sel_bid"),
    *("buy_bid", "open_pric", "high_pric", "low_pric"),
)

began = time.perf_counter()
with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
    cursor.execute(f"CREATE TABLE prices (sector text, {', '.join(f'{name} text' for name in COLUMNS)})")
    insert = f"INSERT INTO prices VALUES ({', '.join(['%s'] * (len(COLUMNS) + 1))})"
    for sector in (f"{number:03}" for number in range(300)):
        more = {}
        while True:
            headers = {"api-id": "ka20002", "authorization": "Bearer x", **more}
            body = {"mrkt_tp": "7", "inds_cd": sector, "stex_tp": "1"}
            answer = requests.post(f"{url}/api/dostk/sect", json=body, headers=headers, timeout=10)
            rows = answer.json()["inds_stkpc"]
            cursor.executemany(insert, [(sector, *(row[name] for name in COLUMNS)) for row in rows])
            connection.commit()
            if answer.headers["cont-yn"] != "Y":
                break
            more = {"cont-yn": "Y", "next-key": answer.headers["next-key"]}
print(json.dumps({"wall": time.perf_counter() - began}))
