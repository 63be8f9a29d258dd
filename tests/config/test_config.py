"""The configuration: what is allowed reads back as itself, what is not is refused with its line."""

from dataclasses import replace
from datetime import timedelta

import pytest

from collector import config
from collector.base import resources
from collector.config import ApiConfig, Environment, TargetSpec, WebConfig
from collector.errors import ConfigError
from collector.market import sectors
from collector.model import Exchange, Market, Sector, Target
from collector.secret import Secret

EXAMPLE = resources.path("config", "collector.yaml")
TABLE = sectors.bundled_sectors()
SMALL = "universes: {u: [{market: KOSPI, sectors: [001]}]}\n"
WHOLE = """\
api:
  base_url: http://127.0.0.1:8021/
  requests_per_second: 0
  concurrency: 8
  timeout: 2s
  trusted_hosts: [simulator, sim.internal]
  user_agent: desk/1.0 (me@example.org)
universes:
  u:
    - {market: KOSPI, sectors: [001, 603], exchanges: [KRX, NXT]}
    - market: KOSDAQ
      sectors: all
schedules:
  s: {universe: u, every: 5m, during: KRX.regular, days: trading, grace: 1m}
database: {keep_days: 0, archive_after_days: 7}
web: {listen: "[::1]:0"}
"""


def parse(text: str, **options: str) -> config.Config:
    return config.parse(text.encode(), "c.yaml", **options)


def refusal(text: str, **options: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text, **options)
    return str(caught.value)


def universe(*lines: str) -> str:
    return "universes:\n  u:\n" + "".join(f"    - {line}\n" for line in lines)


def test_the_shipped_example_is_allowed_without_a_warning():
    loaded = config.load(EXAMPLE)
    assert loaded.warnings == ()
    assert list(loaded.universes) == ["boards", "everything"]
    assert [schedule.name for schedule in loaded.schedules] == ["intraday", "close"]


def test_the_shipped_example_shows_the_defaults():
    loaded = config.load(EXAMPLE)
    assert (loaded.api, loaded.database, loaded.web) == (
        ApiConfig(),
        config.DatabaseConfig(),
        WebConfig(),
    )


def test_universes_are_enough():
    assert parse(SMALL) == config.Config(universes={"u": (TargetSpec(Market.KOSPI, ("001",)),)})


def test_every_key_is_read():
    loaded = parse(WHOLE)
    assert loaded.api == ApiConfig(
        base_url="http://127.0.0.1:8021",
        requests_per_second=0,
        concurrency=8,
        timeout=timedelta(seconds=2),
        trusted_hosts=("simulator", "sim.internal"),
        user_agent="desk/1.0 (me@example.org)",
    )
    assert loaded.universes["u"] == (
        TargetSpec(Market.KOSPI, ("001", "603"), (Exchange.KRX, Exchange.NXT)),
        TargetSpec(Market.KOSDAQ, "all"),
    )
    assert (loaded.database.keep_days, loaded.database.archive_after_days) == (0, 7)
    assert (loaded.web.host, loaded.web.port) == ("::1", 0)


@pytest.mark.parametrize("section", ["api", "schedules", "database", "web"])
def test_a_section_with_nothing_in_it_has_its_defaults(section):
    assert parse(f"{section}:\n{SMALL}") == parse(SMALL)


def test_an_unknown_sector_of_the_right_market_is_taken_with_a_warning():
    loaded = parse(universe("{market: KOSPI, sectors: [001,\n        099]}"))
    assert loaded.warnings == (
        "c.yaml:4: sector 099 is not in the shipped table; it is taken as a new sector",
    )


@pytest.mark.parametrize(
    "url",
    [
        "https://api.kiwoom.com",
        "https://api.kiwoom.com/",
        "https://api.kiwoom.com:443",
        "https://mockapi.kiwoom.com",
        "http://127.0.0.1:8021",
        "http://127.9.9.9",
        "https://localhost:1",
        "http://[::1]:65535",
        "http://simulator:8021",
    ],
)
def test_a_base_url_of_the_list_is_allowed(url):
    text = f"{SMALL}api: {{base_url: '{url}', trusted_hosts: [simulator]}}\n"
    assert parse(text).api.base_url == url.rstrip("/")


def test_the_environment_wins_over_the_file():
    assert parse(SMALL, base_url="http://127.0.0.1:8021").api.base_url == "http://127.0.0.1:8021"


def test_universes_expand_in_the_order_written():
    loaded = parse(WHOLE)
    targets = config.universe_targets(loaded, "u", TABLE)
    assert [str(target) for target in targets[:5]] == [
        "KOSPI/001/KRX",
        "KOSPI/603/KRX",
        "KOSPI/001/NXT",
        "KOSPI/603/NXT",
        "KOSDAQ/101/KRX",
    ]
    assert len(targets) == 4 + 34


def test_all_follows_the_table_that_is_given():
    table = {"007": Sector("007", Market.KOSPI, "new"), "101": TABLE["101"]}
    loaded = parse(universe("{market: KOSPI, sectors: all}"))
    assert config.universe_targets(loaded, "u", table) == (Target(Market.KOSPI, "007", Exchange.KRX),)


def test_a_sector_that_became_known_is_still_one_target():
    loaded = parse(universe("{market: KOSPI, sectors: all}", "{market: KOSPI, sectors: [099]}"))
    table = {"099": Sector("099", Market.KOSPI, "new")}
    assert config.universe_targets(loaded, "u", table) == (Target(Market.KOSPI, "099", Exchange.KRX),)


def test_an_unknown_universe_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError) as caught:
        config.universe_targets(config.load(EXAMPLE), "board", TABLE)
    assert (
        str(caught.value)
        == f"{EXAMPLE}: there is no universe 'board'; use one of: boards, everything (did you mean boards?)"
    )


@pytest.mark.parametrize("text", [SMALL, WHOLE, EXAMPLE.read_text()], ids=["small", "whole", "example"])
def test_what_is_described_reads_back_as_the_same(text):
    loaded = parse(text)
    described = config.describe(loaded, Environment())
    assert parse(described) == loaded
    assert config.digest(parse(described)) == config.digest(loaded)


def test_a_description_quotes_all_sector_codes_alike():
    codes = ["'013'", "'021'", "'008'", "'001'"]
    loaded = parse(SMALL.replace("001", "013, 021, 008, 001"))
    assert f"[{', '.join(codes)}]" in config.describe(loaded, Environment())


def test_a_description_shows_which_secrets_are_set_and_never_what_they_are():
    described = config.describe(parse(SMALL), Environment(app_key=Secret("S3NT1NEL")))
    assert "# KIWOOM_APP_KEY: ***\n# KIWOOM_SECRET_KEY: not set\n" in described
    assert "S3NT1NEL" not in described


def test_the_digest_tells_configurations_apart_and_no_more():
    one, other = parse(SMALL), parse(SMALL.replace("001", "002"))
    assert config.digest(one) != config.digest(other)
    assert config.digest(replace(one, origin="elsewhere.yaml")) == config.digest(one)
    assert config.digest(parse(f"# a remark\n{SMALL}")) == config.digest(one)


def test_a_complaint_of_others_finds_its_line():
    assert (
        parse(WHOLE).format_error(("schedules", "s", "every"), "never falls due")
        == "c.yaml:14: never falls due"
    )


def test_the_path_of_the_ping_is_masked_and_what_is_shown_reads_back():
    loaded = parse(SMALL + "notify: {ping: 'https://u:S3NT1NEL@hc-ping.com:8443/S3NT1NEL?x=S3NT1NEL'}\n")
    described = config.describe(loaded, Environment())
    assert "S3NT1NEL" not in described + repr(loaded.notify)
    assert parse(described).notify.ping == "https://hc-ping.com:8443/***"


def test_events_are_all_or_those_of_a_list():
    assert parse(SMALL).notify.wants("disk")
    few = parse(SMALL + "notify: {events: [denied]}\n").notify
    assert (few.wants("denied"), few.wants("disk"), few.wants("recovery")) == (True, False, False)
