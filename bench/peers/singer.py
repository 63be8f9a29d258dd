"""A tap made with the Singer SDK, its output piped into target-postgres; both are in the same environment."""

import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qs, urlsplit

COLUMNS = (
    *("stk_cd", "stk_nm", "cur_prc", "pred_pre_sig", "pred_pre", "flu_rt", "now_trde_qty", "sel_bid"),
    *("buy_bid", "open_pric", "high_pric", "low_pric"),
)


def tap(url: str) -> None:
    from singer_sdk import RESTStream, Tap  # noqa: PLC0415 - the other half of the script needs none of it
    from singer_sdk import typing as th  # noqa: PLC0415
    from singer_sdk.pagination import BaseAPIPaginator  # noqa: PLC0415

    class NextKey(BaseAPIPaginator):
        def get_next(self, response):
            return response.headers["next-key"] if response.headers["cont-yn"] == "Y" else None

    class Prices(RESTStream):
        name = "prices"
        path = "/api/dostk/sect"
        http_method = "POST"
        records_jsonpath = "$.inds_stkpc[*]"
        url_base = url
        primary_keys = ()
        schema = th.PropertiesList(
            *(th.Property(name, th.StringType) for name in ("sector", *COLUMNS))
        ).to_dict()

        @property
        def partitions(self):
            return [{"sector": f"{number:03}"} for number in range(300)]

        def get_new_paginator(self):
            return NextKey(None)

        def prepare_request(self, context, next_page_token):
            headers = {"api-id": "ka20002", "authorization": "Bearer x"}
            if next_page_token is not None:
                headers |= {"cont-yn": "Y", "next-key": next_page_token}
            body = {"mrkt_tp": "7", "inds_cd": context["sector"], "stex_tp": "1"}
            return self.build_prepared_request(
                method="POST", url=self.get_url(context), headers=headers, json=body
            )

        def post_process(self, row, context=None):
            return {"sector": context["sector"], **{name: row[name] for name in COLUMNS}}

    class Kiwoom(Tap):
        name = "tap-kiwoom"
        config_jsonschema = th.PropertiesList().to_dict()

        def discover_streams(self):
            return [Prices(self)]

    Kiwoom.cli(["--config", "ENV"])


def main(url: str, dsn: str) -> None:
    place = urlsplit(dsn)
    config = {
        "host": parse_qs(place.query).get("host", [place.hostname])[0],
        "port": int(parse_qs(place.query).get("port", [place.port or 5432])[0]),
        "user": place.username,
        "password": place.password or "x",
        "database": place.path.lstrip("/"),
        "default_target_schema": "public",
        "use_copy": True,
    }
    with TemporaryDirectory() as folder:
        settings = Path(folder, "target.json")
        settings.write_text(json.dumps(config))
        target = Path(sys.executable).parent / "target-postgres"
        began = time.perf_counter()
        source = subprocess.Popen(
            [sys.executable, __file__, "tap", url], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        sink = subprocess.run(
            [target, "--config", settings],
            stdin=source.stdout,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
        source.wait()
        if sink.returncode or source.returncode:
            sys.exit(sink.stderr.decode()[-2000:])
        print(json.dumps({"wall": time.perf_counter() - began}))


if sys.argv[1] == "tap":
    tap(sys.argv[2])
else:
    main(*sys.argv[1:3])
