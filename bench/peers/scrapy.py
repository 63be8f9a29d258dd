"""Scrapy with a pipeline that collects rows and COPYs them in lots of 10,000."""

import json
import sys
import time
from pathlib import Path

sys.path = [
    place for place in sys.path if Path(place or ".").resolve() != Path(__file__).parent
]  # our own name

import psycopg  # noqa: E402
import scrapy  # noqa: E402
from scrapy.crawler import CrawlerProcess  # noqa: E402

url, dsn, in_flight = sys.argv[1:]
COLUMNS = (
    *("stk_cd", "stk_nm", "cur_prc", "pred_pre_sig", "pred_pre", "flu_rt", "now_trde_qty", "sel_bid"),
    *("buy_bid", "open_pric", "high_pric", "low_pric"),
)
LOT = 10_000


class Prices(scrapy.Spider):
    name = "prices"

    async def start(self):
        for number in range(300):
            yield self.page(f"{number:03}", {})

    def page(self, sector, more):
        body = json.dumps({"mrkt_tp": "7", "inds_cd": sector, "stex_tp": "1"})
        headers = {
            "api-id": "ka20002",
            "authorization": "Bearer x",
            "Content-Type": "application/json",
            **more,
        }
        return scrapy.Request(
            f"{url}/api/dostk/sect",
            method="POST",
            body=body,
            headers=headers,
            cb_kwargs={"sector": sector},
            dont_filter=True,
        )

    def parse(self, response, sector):
        for row in response.json()["inds_stkpc"]:
            yield {"sector": sector, **row}
        if response.headers["cont-yn"] == b"Y":
            yield self.page(sector, {"cont-yn": "Y", "next-key": response.headers["next-key"].decode()})


class Copy:
    def open_spider(self):
        self.connection = psycopg.connect(dsn)
        self.connection.execute(
            f"CREATE TABLE prices (sector text, {', '.join(f'{name} text' for name in COLUMNS)})"
        )
        self.rows = []

    def process_item(self, item):
        self.rows.append((item["sector"], *(item[name] for name in COLUMNS)))
        if len(self.rows) >= LOT:
            self.flush()
        return item

    def flush(self):
        with self.connection.cursor().copy("COPY prices FROM STDIN") as copy:
            for row in self.rows:
                copy.write_row(row)
        self.connection.commit()
        self.rows = []

    def close_spider(self):
        self.flush()
        self.connection.close()


began = time.perf_counter()
process = CrawlerProcess(
    {
        "CONCURRENT_REQUESTS": int(in_flight),
        "CONCURRENT_REQUESTS_PER_DOMAIN": int(in_flight),
        "DOWNLOAD_DELAY": 0,
        "ITEM_PIPELINES": {Copy: 1},
        "LOG_LEVEL": "ERROR",
        "ROBOTSTXT_OBEY": False,
        "TELNETCONSOLE_ENABLED": False,
    }
)
process.crawl(Prices)
process.start()
print(json.dumps({"wall": time.perf_counter() - began}))
