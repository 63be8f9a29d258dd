"""dlt's rest_api source into its postgres destination: as its documentation shows it, parallelized, or tuned.

Tuned: resources extracted side by side, files of CSV that PostgreSQL takes by COPY, no compression, no state to fetch.
"""

import json
import os
import sys
import tempfile
import time

import dlt
from dlt.sources.helpers.rest_client.paginators import BasePaginator
from dlt.sources.rest_api import rest_api_source

url, dsn, in_flight, mode = sys.argv[1:]


class NextKey(BasePaginator):
    """`cont-yn: Y` and a next-key in the headers of an answer go into those of the next request."""

    def __init__(self):
        super().__init__()
        self.key = None

    def update_state(self, response, data=None):
        self._has_next_page = response.headers.get("cont-yn") == "Y"
        self.key = response.headers.get("next-key")

    def update_request(self, request):
        request.headers = {**(request.headers or {}), "cont-yn": "Y", "next-key": self.key}


def resource(number):
    return {
        "name": f"sector_{number:03}",
        "table_name": "prices",
        "write_disposition": "append",
        "parallelized": mode != "default",
        "endpoint": {
            "path": "/api/dostk/sect",
            "method": "POST",
            "json": {"mrkt_tp": "7", "inds_cd": f"{number:03}", "stex_tp": "1"},
            "data_selector": "inds_stkpc",
            "paginator": NextKey(),
        },
    }


folder = tempfile.mkdtemp()
os.environ |= {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "DLT_DATA_DIR": folder,
    "EXTRACT__WORKERS": in_flight,
    "EXTRACT__MAX_PARALLEL_ITEMS": in_flight,
}
if mode == "tuned":
    os.environ |= {
        "NORMALIZE__WORKERS": "2",
        "DATA_WRITER__DISABLE_COMPRESSION": "true",
        "DATA_WRITER__BUFFER_MAX_ITEMS": "50000",
    }

began = time.perf_counter()
source = rest_api_source(
    {
        "client": {"base_url": url, "headers": {"api-id": "ka20002", "authorization": "Bearer x"}},
        "resources": [resource(number) for number in range(300)],
    },
    name="kiwoom",
)
pipeline = dlt.pipeline(
    "bench", pipelines_dir=folder, destination=dlt.destinations.postgres(dsn), dataset_name="bench"
)
pipeline.run(source, loader_file_format="csv" if mode == "tuned" else None)
print(json.dumps({"wall": time.perf_counter() - began}))
