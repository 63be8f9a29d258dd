"""Whoever wants in: what children inherit, what a container may do, and texts that are made to take for ever."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from collector.base import duration, yaml_text
from collector.cli.context import take_environment
from collector.db.dsn import parse_dsn as parse_address
from collector.errors import CollectorError
from collector.kiwoom.protocol import ApiResponse, numbers, read_prices
from collector.kiwoom.protocol.error_codes import code_in, quota_in
from collector.market.schedule import parse as parse_schedule
from collector.model import Exchange
from collector.web.access import AccessPolicy

ROOT = Path(__file__).resolve().parents[2]
SECRETS = {
    "KIWOOM_APP_KEY": "s3ntinel-of-a-key",
    "KIWOOM_SECRET_KEY": "s3ntinel-of-a-key",
    "DATABASE_URL": "postgresql://s3ntinel@here/x",
    "COLLECTOR_WEB_TOKEN": "s3ntinel-of-a-key",
    "COLLECTOR_NOTIFY_URLS": "json://s3ntinel@here/x",
    "AWS_SECRET_ACCESS_KEY": "s3ntinel-of-a-key",
    "AWS_SESSION_TOKEN": "s3ntinel-of-a-token",
}


def test_what_was_read_from_the_environment_no_child_inherits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    environment = take_environment()
    assert environment.app_key is not None
    assert environment.object_access.secret_key is not None
    assert "s3ntinel" not in repr(environment)
    child = "import os; print(open('/proc/self/environ').read() + str(dict(os.environ)))"
    told = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, check=True)
    assert "s3ntinel" not in told.stdout


COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_may_do_little(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"] <= 256
    assert service["mem_limit"]
    assert service["ulimits"]["core"] == 0
    assert (
        not {"privileged", "network_mode", "pid", "ipc", "userns_mode", "cap_add", "devices"} & service.keys()
    )
    assert "docker.sock" not in str(service)


def test_what_is_published_is_published_on_loopback_and_the_database_never() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert "postgres" not in published
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    assert SERVICES["postgres"]["networks"] == ["inside"]


def test_the_image_runs_as_nobody_in_particular() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    last = lines[max(number for number, line in enumerate(lines) if line.startswith("FROM ")) :]
    assert "USER 10001:10001" in last
    assert [line for line in last if line.startswith("ENTRYPOINT")] == ['ENTRYPOINT ["collector"]']


def quietly(work: Callable[[str], object]) -> Callable[[str], object]:
    """The same, with what it rightly says of such texts passed over."""

    def tried(text: str) -> object:
        try:
            return work(text)
        except (ValueError, CollectorError) as error:
            return error

    return tried


HEAD = "GET / HTTP/1.1\r\nHost: localhost\r\n"
READERS: dict[str, Callable[[str], object]] = {
    "price": numbers.price,
    "signed": numbers.parse_signed,
    "rate": numbers.basis_points,
    "volume": numbers.volume,
    "symbol": lambda text: numbers.symbol(text, "_NX"),
    "name": numbers.name,
    "code in a message": code_in,
    "quota in a message": quota_in,
    "answer": lambda text: read_prices(ApiResponse(200, (), text.encode()), Exchange.KRX),
    "row": lambda text: read_prices(
        ApiResponse(200, (), b'{"return_code":0,"inds_stkpc":[{"stk_cd":"%b"}]}' % text.encode()),
        Exchange.KRX,
    ),
    "next key": lambda text: ApiResponse(200, (("cont-yn", "Y"), ("next-key", text)), b"").next_key(),
    "database URL": lambda text: parse_address("postgresql://" + text),
    "configuration": lambda text: yaml_text.read(text.encode(), "c.yaml"),
    "duration": duration.parse,
    "schedule": lambda text: parse_schedule("s", universe="u", every=text, during=text),
    "head of a request": lambda text: AccessPolicy().judge((HEAD + text + "\r\n\r\n").encode()),
}
TEXTS = {
    "digits": "9" * 1_000_000,
    "zeros": "0" * 1_000_000,
    "groups": "1" + ",000" * 250_000,
    "blanks": "1" + " " * 1_000_000 + "x",
    "signs": "+-" * 500_000,
    "brackets": "[" * 1_000_000,
    "braces": '{"a":' * 200_000,
    "quotes": '"' * 1_000_000,
    "backslashes": "\\" * 1_000_000,
    "colons": "a:" * 500_000,
    "percents": "%41" * 330_000,
    "half a code": "[1" * 500_000,
}


@pytest.mark.parametrize("reader", READERS)
def test_no_text_of_a_megabyte_takes_long_to_refuse(reader: str) -> None:
    read = quietly(READERS[reader])
    for name, text in TEXTS.items():
        began = time.thread_time()
        read(text)
        assert time.thread_time() - began < 1, name  # what backtracks takes minutes
