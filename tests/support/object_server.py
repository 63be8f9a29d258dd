"""An object store that speaks S3 (moto's server) as a process of its own, and a look at its objects."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.support.command_process import SECRET_KEY

ACCESS_KEY = "AKIDCOLLECTORTESTS00"
_RUNNING = re.compile(rb"Running on http://127\.0\.0\.1:(\d+)")


@dataclass
class ObjectServer:
    """A running server. Its client speaks for the tests, with keys of its own."""

    url: str
    client: Any
    pid: int

    def read_cpu(self) -> float:
        """Seconds of CPU that the server has taken so far."""
        times = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")

    def make_bucket(self) -> str:
        name = f"tests-{uuid4().hex}"
        self.client.create_bucket(Bucket=name)
        return name

    def keys(self, bucket: str) -> list[str]:
        """The names of all objects with content, temporary ones included."""
        objects = self.client.list_objects_v2(Bucket=bucket).get("Contents", [])
        return sorted(item["Key"] for item in objects if item["Size"])

    def variables(self, url: str | None = None) -> dict[str, str]:
        """The environment of a program that uses this server, or a proxy before it."""
        return {
            "AWS_ENDPOINT_URL": url or self.url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_EC2_METADATA_DISABLED": "true",
        }


def client(service: str, url: str, access_key: str = "tests", secret_key: str = "tests") -> Any:
    import boto3  # here, as its import is slow and few tests need it
    from botocore.config import Config

    return boto3.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=Config(retries={"max_attempts": 1}),
    )


@asynccontextmanager
async def object_server(**variables: str) -> AsyncIterator[ObjectServer]:
    """A server on a port of its own, with nothing in it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"),
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **variables},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr
    try:
        async with asyncio.timeout(600):
            while (match := _RUNNING.search(line := await process.stderr.readline())) is None:
                assert line, "the server has ended"
        url = f"http://127.0.0.1:{int(match[1])}"
        reading = asyncio.ensure_future(_pass_over(process.stderr))
        yield ObjectServer(url, client("s3", url), process.pid)
        reading.cancel()
    finally:
        process.kill()
        await process.wait()


async def _pass_over(stream: asyncio.StreamReader) -> None:
    while await stream.readline():
        pass
