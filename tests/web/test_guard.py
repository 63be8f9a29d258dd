"""Who may ask: the rules of the door, as a table."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import ConfigError
from collector.secret import Secret
from collector.web.access import AccessPolicy, PageRefusal, PageRequest, is_loopback, make_access_policy

LOCAL = make_access_policy("127.0.0.1", None)
ABROAD = make_access_policy("0.0.0.0", Secret("t0ken"), ["box"])


def head(line: str = "GET / HTTP/1.1", *headers: str, host: str = "127.0.0.1:8020") -> bytes:
    return "\r\n".join([line, f"Host: {host}", *headers, "", ""]).encode("latin-1")


def status(guard: AccessPolicy, sent: bytes) -> int:
    found = guard.judge(sent)
    return found.status if isinstance(found, PageRefusal) else 200


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8020", "localhost", "LOCALHOST:1", "[::1]:8020"],
)
def test_loopback_answers_to_its_own_names(host):
    assert status(LOCAL, head(host=host)) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "collector",
        "10.0.0.1",
        "",
        "a b",
        "@",
    ],
)
def test_loopback_answers_to_no_other_name(host):
    assert status(LOCAL, head(host=host)) == 403


@pytest.mark.parametrize(
    ("host", "expected"),
    [("collector:8020", 401), ("10.0.0.7:8020", 401), ("box", 401), ("evil.example", 403), ("a.b", 403)],
)
def test_beyond_loopback_a_name_that_could_be_rebound_is_refused(host, expected):
    assert status(ABROAD, head(host=host)) == expected


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"])
def test_only_reading_is_possible(method):
    assert status(LOCAL, head(f"{method} / HTTP/1.1")) == 405


@pytest.mark.parametrize(
    "sent",
    [
        b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        head("GET /"),
        head("get / HTTP/1.1"),
        head("GET http://127.0.0.1/ HTTP/1.1"),
        head("GET / HTTP/2.0"),
        head("GET / HTTP/1.1", "Host: localhost"),
        head("GET / HTTP/1.1", " folded"),
        head("GET / HTTP/1.1", "Name : value"),
        head("GET / HTTP/1.1", "X: a\x00b"),
        head("GET / HTTP/1.1", "Content-Length: 5"),
        head("GET / HTTP/1.1", "Transfer-Encoding: chunked"),
        head("GET /\xe9 HTTP/1.1"),
        head(f"GET /?{'&'.join(f'a{number}=1' for number in range(21))} HTTP/1.1"),
    ],
    ids=lambda sent: repr(sent[:40]),
)
def test_what_two_readers_could_take_differently_is_refused(sent):
    assert status(LOCAL, sent) in (400, 403)


@pytest.mark.parametrize(
    ("site", "mode", "dest", "expected"),
    [
        ("same-origin", "cors", "empty", 200),
        ("none", "navigate", "document", 200),
        ("cross-site", "navigate", "document", 200),
        ("cross-site", "navigate", "iframe", 403),
        ("cross-site", "no-cors", "image", 403),
        ("same-site", "cors", "empty", 403),
    ],
)
def test_another_site_may_link_here_and_no_more(site, mode, dest, expected):
    fetched = [f"Sec-Fetch-Site: {site}", f"Sec-Fetch-Mode: {mode}", f"Sec-Fetch-Dest: {dest}"]
    assert status(LOCAL, head("GET / HTTP/1.1", *fetched)) == expected


def basic(password: str) -> str:
    return base64.b64encode(f"anybody:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        ("Bearer t0ken", 200),
        ("bearer t0ken", 200),
        (f"Basic {basic('t0ken')}", 200),
        (f"Basic {basic('other')}", 401),
        ("Bearer other", 401),
        ("Bearer", 401),
        ("t0ken", 401),
        ("Basic !", 401),
        ("Digest t0ken", 401),
    ],
)
def test_a_token_opens_the_door(authorization, expected):
    assert status(ABROAD, head("GET / HTTP/1.1", f"Authorization: {authorization}")) == expected


@pytest.mark.parametrize(
    ("path", "expected"), [("/healthz", 200), ("/readyz", 200), ("/metrics", 401), ("/", 401)]
)
def test_health_needs_no_token_and_everything_else_does(path, expected):
    assert status(ABROAD, head(f"GET {path} HTTP/1.1")) == expected


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "box.example"])
def test_no_place_that_others_reach_is_served_without_a_token(host):
    with pytest.raises(ConfigError, match="no token is set"):
        make_access_policy(host, None)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("x", False),
    ],
)
def test_loopback_is_known_when_seen(host, expected):
    assert is_loopback(host) is expected


@given(st.binary(max_size=400))
def test_any_bytes_are_judged(sent):
    assert isinstance(LOCAL.judge(sent + b"\r\n\r\n"), PageRequest | PageRefusal)


@given(st.text(max_size=60))
def test_any_authorization_is_judged(text):
    found = ABROAD._is_known(text)
    assert found is (text.partition(" ")[2].strip() == "t0ken" and text.partition(" ")[0].lower() == "bearer")
