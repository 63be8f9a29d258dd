"""`collector simulate` as a process: how it begins, what it says, and that it ends when it should."""

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

EXTENDED = pytest.mark.extended
COMMAND = [sys.executable, "-m", "collector", "simulate"]


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A simulator on a port of its own, and its address."""
    with subprocess.Popen(
        [*COMMAND, "--port", "0", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            yield process, line.removeprefix("simulator listening on ").strip()
        finally:
            process.kill()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=600, check=False)


@pytest.mark.extended
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_soon_after_a_signal_even_with_a_connection_that_hangs(sent: signal.Signals) -> None:
    with running("--fault", "stall_body:api=*") as (process, url):
        host, _, port = url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port))) as hanging:
            hanging.sendall(b"POST /oauth2/token HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
            hanging.recv(10)
            process.send_signal(sent)
            assert process.wait(timeout=600) == 0  # the connection would hang for ever


@pytest.mark.extended
def test_it_ends_when_its_parent_goes_if_it_was_told_to() -> None:
    with running("--until-eof") as (process, _):
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=600) == 0


@pytest.mark.extended
def test_nothing_to_wait_for_on_stdin_is_the_end_of_it() -> None:
    done = subprocess.run(
        [*COMMAND, "--port", "0", "--until-eof"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=600,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.extended
def test_a_port_in_use_is_one_clear_line_and_exit_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("--port", str(port))
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr.splitlines()[0] == f"collector: cannot listen on 127.0.0.1:{port}: Address already in use"
    )
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["--fault", "throtle_200"], "did you mean 'throttle_200'"),
     pytest.param(["--freeze", "noon"], "2026-11-20T10:00", marks=EXTENDED),
     pytest.param(["--latency", "20"], "is not a duration", marks=EXTENDED),
     pytest.param(["--key", "x"], "APPKEY:SECRET", marks=EXTENDED),
     (["--faults", "nowhere.yaml"], "does not exist")],
)  # fmt: skip
def test_what_it_is_asked_wrongly_it_refuses(arguments: list[str], says: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert says in done.stderr


def test_it_lists_its_faults() -> None:
    done = run("--list-faults")
    assert done.returncode == 0
    assert all(name in done.stdout for name in ("token_8005", "double_minus", "gzip_bomb", "page"))


@pytest.mark.extended
def test_keys_and_faults_come_from_files(tmp_path: Path) -> None:
    keys, faults = tmp_path / "keys.yaml", tmp_path / "faults.yaml"
    keys.write_text("good: secret\n")
    faults.write_text("faults:\n  - error_1999: {p: 0.5}\n  - bom\n")
    with running("--keys", str(keys), "--faults", str(faults)) as (_, url):
        with urllib.request.urlopen(f"{url}/_sim/faults") as answer:
            assert [on["fault"] for on in json.load(answer)["faults"]] == ["error_1999:p=0.5", "bom"]
        body = b'{"grant_type": "client_credentials", "appkey": "bad", "secretkey": "secret"}'
        with urllib.request.urlopen(f"{url}/oauth2/token", data=body) as answer:
            assert "8001" in json.load(answer)["return_msg"]


@pytest.mark.extended
def test_the_same_options_give_the_same_bytes_in_another_process() -> None:
    served = []
    for _ in range(2):
        with running("--freeze", "2026-11-20T11:00", "--seed", "7") as (_, url):
            body = b'{"grant_type": "client_credentials", "appkey": "k", "secretkey": "s"}'
            with urllib.request.urlopen(f"{url}/oauth2/token", data=body) as answer:
                token = json.load(answer)["token"]
            asked = urllib.request.Request(
                f"{url}/api/dostk/sect", b'{"mrkt_tp": "0", "inds_cd": "001", "stex_tp": "3"}',
                {"authorization": f"Bearer {token}", "api-id": "ka20002"},
            )  # fmt: skip
            with urllib.request.urlopen(asked) as answer:
                served.append((token, answer.headers["next-key"], answer.read()))
    assert served[0] == served[1]
