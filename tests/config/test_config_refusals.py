"""What a configuration must not say, and the one line that each slip gets."""

import pytest

from collector import config
from collector.errors import ConfigError

SMALL = "universes: {u: [{market: KOSPI, sectors: [001]}]}\n"


def refusal(text: str, **options: str) -> str:
    with pytest.raises(ConfigError) as caught:
        config.parse(text.encode(), "c.yaml", **options)
    return str(caught.value)


def universe(*lines: str) -> str:
    return "universes:\n  u:\n" + "".join(f"    - {line}\n" for line in lines)


SPELLING = [
    ("", "c.yaml:1: there are no universes; add at least one"),
    ("api:\nuniverses:\n", "c.yaml:2: there are no universes; add at least one"),
    ("universes: []\n", "c.yaml:1: universes is a list; use a mapping (`key: value` lines)"),
    ("universes:\n  u: []\n", "c.yaml:2: universes.u is an empty list; use a list, each item such as"),
    ("universes:\n  u:\n", "c.yaml:2: universes.u is nothing; use a list, each item such as"),
    ("universes:\n  u: all\n", "c.yaml:2: universes.u is 'all'; use a list, each item such as"),
    ("universes:\n  1: [{}]\n", "c.yaml:2: a name in universes is '1'; use a letter, then up to 39"),
    (
        SMALL + "schedule: {}\n",
        (
            "c.yaml:2: the configuration: unknown key 'schedule'; "
            "use one of: api, quota, universes, schedules, database, archive, web, repair, witness, notify"
            " (did you mean schedules?)"
        ),
    ),
    (
        SMALL + "api:\n  timeout: 10s\n  request_per_second: 5\n",
        (
            "c.yaml:4: api: unknown key 'request_per_second'; use one of: base_url, requests_per_second, "
            "concurrency, timeout, trusted_hosts, keys, user_agent (did you mean requests_per_second?)"
        ),
    ),
    (SMALL + "api: 5\n", "c.yaml:2: api is '5'; use a mapping (`key: value` lines)"),
    (SMALL + "web:\n  - x\n", "c.yaml:3: web is a list; use a mapping (`key: value` lines)"),
    (
        SMALL + "api:\n  requests_per_second: five\n",
        "c.yaml:3: api.requests_per_second is 'five'; use a whole number from 1 to 20 (0, no quota,",
    ),
    (SMALL + "api: {requests_per_second: -1}\n", "c.yaml:2: api.requests_per_second is '-1'; use"),
    (SMALL + "api: {requests_per_second: 5.5}\n", "c.yaml:2: api.requests_per_second is '5.5'; use"),
    (SMALL + "api: {requests_per_second: [5]}\n", "c.yaml:2: api.requests_per_second is a list; use"),
    (SMALL + "api: {requests_per_second: ５}\n", "c.yaml:2: api.requests_per_second is '５'; use"),
    (
        SMALL + "api: {concurrency: 0}\n",
        "c.yaml:2: api.concurrency is '0'; use a whole number from 1 to 64",
    ),
    (SMALL + "api: {concurrency: }\n", "c.yaml:2: api.concurrency is nothing; use a whole number"),
    (
        SMALL + "api: {timeout: 10}\n",
        "c.yaml:2: api.timeout is '10'; use a whole number and a unit (500ms, 10s, 5m, 2h, 7d)",
    ),
    (
        SMALL + "api: {trusted_hosts: [127.0.0.2]}\n",
        "c.yaml:2: api.trusted_hosts[0] is '127.0.0.2'; use a host's name in lower case",
    ),
    (
        SMALL + "api: {trusted_hosts: [2130706433]}\n",
        "c.yaml:2: api.trusted_hosts[0] is '2130706433'; use",
    ),
    (
        SMALL + "api: {trusted_hosts: simulator}\n",
        "c.yaml:2: api.trusted_hosts is 'simulator'; use a list, each item",
    ),
    (
        SMALL + 'api: {user_agent: "a\\r\\nb: c"}\n',
        "c.yaml:2: api.user_agent is 'a\\r\\nb: c'; use 1 to 200",
    ),
    (SMALL + "database: {keep_days: for ever}\n", "c.yaml:2: database.keep_days is 'for ever'; use"),
    (SMALL + "web: {listen: 8020}\n", "c.yaml:2: web.listen is '8020'; use HOST:PORT such as"),
    (
        universe("{sectors: all}"),
        "c.yaml:3: universes.u[0]: the key market is missing; set it to one of KOSPI, KOSDAQ,",
    ),
    (
        universe("{market: KOSPI}"),
        "c.yaml:3: universes.u[0]: the key sectors is missing; set it to all or a list",
    ),
    (universe("KOSPI"), "c.yaml:3: universes.u[0] is 'KOSPI'; use a mapping"),
    (
        universe("{market: kospi, sectors: all}"),
        (
            "c.yaml:3: universes.u[0].market is 'kospi'; "
            "use one of KOSPI, KOSDAQ, KOSPI200, KOSPI100, KRX100 (did you mean KOSPI?)"
        ),
    ),
    (
        universe("{market: NASDAQ, sectors: all}"),
        "c.yaml:3: universes.u[0].market is 'NASDAQ'; use one of KOSPI,",
    ),
    (
        universe("{market: KOSPI, sectors: al}"),
        "c.yaml:3: universes.u[0].sectors is 'al'; use all or a list, each item three digits",
    ),
    (
        universe("{market: KOSPI, sectors: [전기/전자]}"),
        "c.yaml:3: universes.u[0].sectors[0] is '전기/전자'; use three digits such as 001 (did you mean 013",
    ),
    (
        universe("{market: KOSPI, sectors: [반도체]}"),
        "c.yaml:3: universes.u[0].sectors[0] is '반도체'; use three digits such as 001",
    ),
    (
        universe("{market: KOSPI, sectors: []}"),
        "c.yaml:3: universes.u[0].sectors is an empty list; use",
    ),
    (
        universe("{market: KOSPI, sectors: [001,\n        1]}"),
        "c.yaml:4: universes.u[0].sectors[1] is '1'; use three digits such as 001",
    ),
    (
        universe("{market: KOSPI, sectors: [001], exchanges: []}"),
        "c.yaml:3: universes.u[0].exchanges is an empty list; use a list, each item one of KRX",
    ),
    (
        universe("{market: KOSPI, sectors: [001], exchanges: [NTX]}"),
        (
            "c.yaml:3: universes.u[0].exchanges[0] is 'NTX'; "
            "use one of KRX, NXT, CONSOLIDATED (did you mean NXT?)"
        ),
    ),
    (
        universe("{market: KOSPI, sectors: [001], exchange: [KRX]}"),
        (
            "c.yaml:3: universes.u[0]: unknown key 'exchange'; "
            "use one of: market, sectors, exchanges (did you mean exchanges?)"
        ),
    ),
    (
        SMALL + "schedules:\n  s: {every: 5m}\n",
        "c.yaml:3: schedules.s: the key universe is missing; set it to a text",
    ),
    (SMALL + "schedules:\n  s:\n", "c.yaml:3: schedules.s: the key universe is missing"),
    (SMALL + "api: {a: 1}\napi: {b: 1}\n", "c.yaml:3: the key 'api' again (first on line 2)"),
]
MEANING = [
    (
        universe("{market: KOSPI, sectors: [001, 101]}"),
        ("c.yaml:3: sector 101 belongs to KOSDAQ; use 0xx and 6xx for KOSPI (did you mean market: KOSDAQ?)"),
    ),
    (
        universe("{market: KRX100, sectors:\n        [302]}"),
        "c.yaml:4: sector 302 belongs to no market; use 7xx for KRX100",
    ),
    (
        universe("{market: KOSPI, sectors: [001]}", "{market: KOSPI, sectors: [002, 001]}"),
        "c.yaml:4: universes.u[1]: KOSPI/001/KRX again (first in universes.u[0]); list it once",
    ),
    (
        universe("{market: KOSPI, sectors: all}", "{market: KOSPI, sectors: [001]}"),
        "c.yaml:4: universes.u[1]: KOSPI/001/KRX again (first in universes.u[0]); list it once",
    ),
    (
        universe("{market: KOSPI, sectors: [001], exchanges: [KRX, KRX]}"),
        "c.yaml:3: universes.u[0]: KOSPI/001/KRX again (first in universes.u[0]); list it once",
    ),
    (
        universe("{market: KOSPI, sectors: [001], exchanges: [KRX, NXT]}")
        + "api:\n  base_url: https://mockapi.kiwoom.com\n",
        "c.yaml:3: NXT is not served by mockapi.kiwoom.com; use KRX",
    ),
    (
        SMALL + "api:\n  requests_per_second: 0\n",
        "c.yaml:3: api.requests_per_second is 0; use 1 to 20 for Kiwoom",
    ),
    (
        SMALL + "api: {requests_per_second: 21}\n",
        "c.yaml:2: api.requests_per_second is 21; use 1 to 20 for Kiwoom",
    ),
    (SMALL + "api:\n  timeout: 0s\n", "c.yaml:3: api.timeout is 0ms; use 100ms to 5m"),
    (
        SMALL + "database:\n  keep_days: 30\n  archive_after_days: 30\n",
        "c.yaml:4: database.archive_after_days is 30; use less than keep_days, 30",
    ),
    (
        SMALL + "web: {listen: 127.0.0.1:65536}\n",
        "c.yaml:2: web.listen names the port 65536; use 0 to 65535",
    ),
    (
        SMALL + "archive: {to: 'gs://bucket/cold'}\n",
        "c.yaml:2: archive.to: 'gs://bucket/cold' is no place for files; use a folder, or s3://BUCKET/FOLDER",
    ),
    (
        SMALL + "archive: {to: 's3://AKID:s3ntinel@bucket/cold'}\n",
        "c.yaml:2: archive.to: the URL holds an @, a ? or a #, so it may hold a secret and is not shown",
    ),
    (
        SMALL + "archive: {endpoint_url: 'https://me:s3ntinel@minio'}\n",
        "c.yaml:2: archive.endpoint_url holds an @, a ? or a #, and may hold a secret; use https://HOST:PORT",
    ),
    (
        SMALL + "archive: {endpoint_url: 'minio:9000'}\n",
        "c.yaml:2: archive.endpoint_url is no URL of http or https; use https://HOST:PORT (it is not shown)",
    ),
    (
        SMALL + "schedules:\n  s: {universe: v, at: 09:00}\n",
        "c.yaml:3: schedules.s: unknown universe 'v'; use one of: u",
    ),
    (
        SMALL + "notify:\n  ping: hc-ping.com/s3ntinel\n",
        "c.yaml:3: notify.ping is no URL of http or https (it is not shown); use https://HOST/PATH",
    ),
    (SMALL + "notify: {quiet: 0s}\n", "c.yaml:2: notify.quiet is 0ms; use 1s to 30d"),
    (
        SMALL + "notify: {events: [behind, deny]}\n",
        (
            "c.yaml:2: notify.events[1] is 'deny'; use one of behind, failure, denied, quota, clocks, database,"
            " calendar, disk, contradicted, recovery (did you mean denied?)"
        ),
    ),
    (SMALL + "notify: {slots: 0}\n", "c.yaml:2: notify.slots is '0'; use a whole number from 1 to 1000"),
    (
        SMALL + "notify: {summary: 24:00}\n",
        "c.yaml:2: notify.summary is '24:00'; use off, or HH:MM in Korean time such as 18:10",
    ),
    (SMALL + "notify: {language: de}\n", "c.yaml:2: notify.language is 'de'; use one of ko, en"),
    (SMALL + "schedules:\n  s:\n    universe: u\n    at: noon\n", "c.yaml:5: schedules.s.at: "),
    (
        SMALL + "schedules:\n  s:\n    universe: u\n    every: 5\n    during: KRX.regular\n",
        "c.yaml:5: schedules.s.every: ",
    ),
]


@pytest.mark.parametrize(
    ("text", "expected"), SPELLING + MEANING, ids=[case[1][:60] for case in SPELLING + MEANING]
)
def test_what_cannot_be_carried_out_is_refused_with_its_line(text, expected):
    complaint = refusal(text)
    assert complaint.startswith(expected)
    assert complaint.isprintable(), "one complaint, one line"


def test_all_that_is_wrong_is_said_at_once_in_the_order_of_the_file():
    complaint = refusal("api:\n  concurrency: 0\n  timeuot: 5s\nuniverses:\n  u: [{market: X}]\n")
    assert [line.split(":")[1] for line in complaint.splitlines()] == ["2", "3", "5", "5"]


def test_very_many_complaints_are_cut():
    lines = refusal(SMALL + "api:\n" + "".join(f"  x{n}: 1\n" for n in range(30))).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "… and 10 more"


@pytest.mark.parametrize("key", ["app_key", "secretkey", "DATABASE_URL", "password"])
def test_a_secret_in_the_file_is_sent_to_where_it_belongs_and_not_repeated(key):
    complaint = refusal(f"{SMALL}api: {{{key}: S3NT1NEL}}\n")
    assert "KIWOOM_APP_KEY_FILE" in complaint
    assert "S3NT1NEL" not in complaint


FORBIDDEN_URLS = [
    "http://api.kiwoom.com",
    "http://mockapi.kiwoom.com",
    "https://api.kiwoom.com:8443",
    "https://api.kiwoom.com.",
    "https://api.kiwoom.com.evil.example",
    "https://evil-api.kiwoom.com",
    "https://openapi.kiwoom.com",
    "https://api.kiwoom.co",
    "https://api.kiwoom.com@evil.example",
    "https://evil.example#@api.kiwoom.com",
    "https://evil.example?api.kiwoom.com",
    "https://evil.example\\@api.kiwoom.com",
    "https://user:pass@api.kiwoom.com",
    "https://api.kiwoom.com/path",
    "https://api.kiwoom.com//",
    "https:///api.kiwoom.com",
    "https:api.kiwoom.com",
    "//api.kiwoom.com",
    "api.kiwoom.com",
    "HTTPS://API.KIWOOM.COM",
    "ftp://127.0.0.1",
    "file:///etc/passwd",
    "http://169.254.169.254",
    "http://2130706433",
    "http://0x7f000001",
    "http://017700000001",
    "http://127.1",
    "http://127.0.0.01",
    "http://127.0.0.1.",
    "http://127.0.0.1.nip.io",
    "http://0.0.0.0",
    "http://0",
    "http://10.0.0.1",
    "http://[::]",
    "http://[::ffff:127.0.0.1]",
    "http://[0:0:0:0:0:0:0:1]",
    "http://[::1%25lo]",
    "http://[fe80::1]",
    "http://localhost.",
    "http://foo.localhost",
    "http://127.0.0.1:0",
    "http://127.0.0.1:65536",
    "http://127.0.0.1:",
    "http://127.0.0.1:80:80",
    "http://simulator.evil.example",
    "https://аpi.kiwoom.com",
    "https://api。kiwoom。com",
    "https://xn--pi-7kc.kiwoom.com",
    "http://１２７.0.0.1",
    "http://127.0.0.1\n",
    " http://127.0.0.1",
    "http://127.0.0.1\t",
    "",
]


@pytest.mark.parametrize("url", FORBIDDEN_URLS, ids=repr)
def test_every_other_base_url_is_refused_in_the_file(url):
    quoted = url.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")
    complaint = refusal(f'api:\n  base_url: "{quoted}"\n  trusted_hosts: [simulator]\n{SMALL}')
    assert complaint.startswith("c.yaml:2: api.base_url ")
    assert "use one of: https://api.kiwoom.com, https://mockapi.kiwoom.com, a loopback host" in complaint


@pytest.mark.parametrize("url", FORBIDDEN_URLS, ids=repr)
def test_every_other_base_url_is_refused_in_the_environment(url):
    assert refusal(SMALL, base_url=url).startswith("KIWOOM_BASE_URL ")


def test_a_password_in_a_url_is_not_repeated():
    assert "S3NT1NEL" not in refusal(SMALL, base_url="https://me:S3NT1NEL@api.kiwoom.com")


def test_targets_are_judged_against_the_host_that_is_really_asked():
    text = universe("{market: KOSPI, sectors: [001], exchanges: [NXT]}")
    assert refusal(text, base_url="https://mockapi.kiwoom.com").startswith("c.yaml:3: NXT is not served")


@pytest.mark.parametrize(
    "url",
    [
        "hc-ping.com/s3ntinel",
        "ftp://h/s3ntinel",
        "https://:s3ntinel@",
        "https://h:s3ntinel/",
        "http:///s3ntinel",
    ],
)
def test_a_wrong_ping_is_never_shown(url):
    complaint = refusal(SMALL + f"notify:\n  ping: {url}\n")
    assert "notify.ping" in complaint
    assert "s3ntinel" not in complaint
