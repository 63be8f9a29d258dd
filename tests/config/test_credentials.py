"""Named keys: found in their folder, and refused unless each name has files of its own."""

from pathlib import Path

import pytest

from collector import config
from collector.config import Environment
from collector.errors import ConfigError
from collector.secret import Secret

YAML = """\
api:
  keys: [main, second]
universes:
  all: [{market: KOSPI, sectors: [001]}]
"""


def write(folder: Path, **files: str) -> Environment:
    """Files such as main__app_key, and an environment that names their folder."""
    for name, text in files.items():
        path = folder / name.replace("__", ".")
        path.write_text(text)
        path.chmod(0o600)
    return Environment(keys=folder)


SOUND = {
    "main__app_key": "app-key-1\n",
    "main__secret_key": "secret-key-1\n",
    "second__app_key": "app-key-2\n",
    "second__secret_key": "secret-key-2\n",
}


def complaint_of(environment: Environment, text: str = YAML) -> str:
    with pytest.raises(ConfigError) as caught:
        config.keys(config.parse(text.encode(), "c.yaml"), environment)
    assert not any(
        secret in str(caught.value) for secret in ("app-key-1", "secret-key-1", "app-key-2", "secret-key-2")
    )
    return f"{caught.value} {caught.value.hint}"


def test_each_name_has_its_pair(tmp_path: Path) -> None:
    found = config.keys(config.parse(YAML.encode(), "c.yaml"), write(tmp_path, **SOUND))
    assert found == [
        config.Credentials("main", Secret("app-key-1"), Secret("secret-key-1")),
        config.Credentials("second", Secret("app-key-2"), Secret("secret-key-2")),
    ]


def test_without_names_there_is_the_environments_key() -> None:
    pair = {"app_key": Secret("app-key-1"), "secret_key": Secret("secret-key-1")}
    plain = config.parse(YAML.replace("keys: [main, second]", "timeout: 5s").encode(), "c.yaml")
    assert config.keys(plain, Environment(**pair)) == [config.Credentials("main", *pair.values())]


def test_a_name_that_is_not_there_is_refused_with_the_ones_that_are(tmp_path: Path) -> None:
    environment = write(tmp_path, **SOUND)
    found = complaint_of(environment, YAML.replace("second", "secnd"))
    assert found.startswith("c.yaml:2: api.keys[1]: there is no key secnd in ")
    assert "use one of: main, second (did you mean second?)" in found


def test_where_there_is_none_at_all_the_file_is_named(tmp_path: Path) -> None:
    assert "create the file main.app_key" in complaint_of(write(tmp_path))


def test_a_name_without_its_secret_key_is_refused(tmp_path: Path) -> None:
    environment = write(tmp_path, **SOUND)
    (tmp_path / "second.secret_key").unlink()
    assert "second.secret_key" in complaint_of(environment)


@pytest.mark.parametrize("part", ["app_key", "secret_key"])
def test_a_file_with_another_ones_content_is_refused(tmp_path: Path, part: str) -> None:
    environment = write(tmp_path, **{**SOUND, f"second__{part}": SOUND[f"main__{part}"].strip()})
    assert f"api.keys[1]: second.{part} holds the same as main.{part}" in complaint_of(environment)


def test_a_file_that_two_names_lead_to_is_refused(tmp_path: Path) -> None:
    environment = write(tmp_path, **SOUND)
    (tmp_path / "second.app_key").unlink()
    (tmp_path / "second.app_key").symlink_to(tmp_path / "main.app_key")
    assert "second.app_key holds the same as main.app_key" in complaint_of(environment)


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    environment = write(tmp_path, **SOUND)
    (tmp_path / "second.app_key").chmod(0o644)
    assert "chmod 600" in complaint_of(environment)


def test_names_without_a_folder_are_refused() -> None:
    assert "KIWOOM_KEYS is not set" in complaint_of(Environment())


def test_names_beside_a_key_in_the_environment_are_refused(tmp_path: Path) -> None:
    environment = write(tmp_path, **SOUND)
    both = Environment(keys=environment.keys, app_key=Secret("app-key-1"))
    assert "KIWOOM_APP_KEY" in complaint_of(both)


def test_a_name_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"c.yaml:2: api.keys\[1\]: main again; name it once"):
        config.parse(YAML.replace("second", "main").encode(), "c.yaml")
