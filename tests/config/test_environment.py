"""The environment: secrets from variables or files, refused unless they are safe and whole."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector import config
from collector.config import Environment
from collector.errors import ConfigError
from collector.secret import Secret


def write(path: Path, text: str | bytes, mode: int = 0o600) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return str(path)


def test_an_empty_environment_has_its_defaults():
    assert config.settings({}) == Environment(
        None, None, None, None, Path("config/collector.yaml"), Path(".collector")
    )


def test_the_environment_is_read(tmp_path):
    environ = {
        "KIWOOM_APP_KEY": " app\n",
        "KIWOOM_SECRET_KEY_FILE": write(tmp_path / "secret", "\ufeffs3cret\r\n"),
        "DATABASE_URL": "postgresql://me:pass word@db/collector",
        "KIWOOM_BASE_URL": "http://127.0.0.1:1",
        "COLLECTOR_CONFIG": "c.yaml",
        "COLLECTOR_HOME": "/srv/collector",
    }
    assert config.settings(environ) == Environment(
        app_key=Secret("app"),
        secret_key=Secret("s3cret"),
        database_url=Secret("postgresql://me:pass word@db/collector"),
        base_url="http://127.0.0.1:1",
        config=Path("c.yaml"),
        home=Path("/srv/collector"),
    )


def complaint_about(environ: dict[str, str], **options: object) -> str:
    with pytest.raises(ConfigError) as caught:
        config.settings(environ, **options)
    return str(caught.value)


@pytest.mark.parametrize("name", ["KIWOOM_APP_KEY", "KIWOOM_SECRET_KEY", "DATABASE_URL", "COLLECTOR_HOME"])
@pytest.mark.parametrize("value", ["", " \n"], ids=["empty", "blank"])
def test_an_empty_variable_is_refused(name, value):
    assert complaint_about({name: value}) == f"{name} is empty; give it a value, or unset it"


@pytest.mark.parametrize(
    "value", ["S3NT\x00", "S3NT\nX", "S3NT\x1b[0m", "S3NT\u202e", "S3NT\udcff"], ids=repr
)
def test_a_control_character_is_refused_and_not_repeated(value):
    complaint = complaint_about({"KIWOOM_APP_KEY": value})
    assert complaint.startswith("KIWOOM_APP_KEY holds a control character")
    assert "S3NT" not in complaint


def test_a_secret_given_twice_is_refused():
    complaint = complaint_about({"DATABASE_URL": "postgresql://x", "DATABASE_URL_FILE": "/x"})
    assert complaint == "both DATABASE_URL and DATABASE_URL_FILE are set; unset one of them"


def test_a_database_of_another_kind_is_refused_and_not_repeated():
    complaint = complaint_about({"DATABASE_URL": "mysql://me:S3NT1NEL@db/x"})
    assert complaint.startswith("DATABASE_URL is not a PostgreSQL URL; use postgresql://")
    assert "S3NT1NEL" not in complaint


@pytest.mark.parametrize(
    ("text", "mode", "expected"),
    [
        ("", 0o600, " is empty; give it a value, or unset it"),
        ("\n \n", 0o600, " is empty; give it a value, or unset it"),
        ("a\nb", 0o600, " holds a control character or a line break; use one line of text"),
        (b"\xff\xfe", 0o600, " is not UTF-8; a key is one line of plain text"),
        ("a" * 16385, 0o600, " holds more than 16 kB; a key is one short line"),
        ("a", 0o644, " can be read by others (mode 0644); chmod 600 {path}"),
        ("a", 0o640, " can be read by others (mode 0640); chmod 600 {path}"),
        ("a", 0o602, " can be read by others (mode 0602); chmod 600 {path}"),
    ],
    ids=["empty", "blank", "two lines", "not UTF-8", "long", "world-readable", "group-readable", "writable"],
)
def test_a_key_file_that_will_not_do_is_refused(tmp_path, text, mode, expected):
    path = write(tmp_path / "key", text, mode)
    complaint = complaint_about({"KIWOOM_APP_KEY_FILE": path})
    assert complaint == f"KIWOOM_APP_KEY_FILE: {path}{expected.format(path=path)}"


UNLIKE_KEYS = [
    pytest.param('"S3NTinel+key"', "holds quotation marks", id="quotes"),
    pytest.param("'S3NTinel+key'", "holds quotation marks", id="single quotes"),
    pytest.param("“S3NTinel+key”", "holds quotation marks", id="printed quotes"),
    pytest.param('S3NTinel+key"', "holds quotation marks", id="half a quotation"),
    pytest.param("KIWOOM_APP_KEY=S3NTinel", "holds NAME=value", id="NAME=value"),
    pytest.param("export KEY=S3NTinel", "holds NAME=value", id="export"),
    pytest.param('appkey="S3NTinel"', "holds NAME=value", id="a quoted value"),
    pytest.param("appkey: S3NTinel", "holds NAME=value", id="YAML"),
    pytest.param("앱키=S3NTinel", "holds NAME=value", id="a Korean name"),
    pytest.param("S3NTinel key", "holds a blank inside", id="blank"),
    pytest.param("여기에 앱키를 넣으세요", "holds a blank inside", id="an instruction"),
    pytest.param("S3NTinel키", "holds letters outside ASCII", id="Hangul"),
    pytest.param("Ｓ３ＮＴinel", "holds letters outside ASCII", id="full-width letters"),
    pytest.param("<S3NTinel>", "holds a forbidden character", id="brackets"),
    pytest.param("S3NTinel,S3NTinel", "holds a forbidden character", id="two keys"),
    pytest.param('{"appkey":"S3NTinel"}', "holds a forbidden character", id="JSON"),
]


@pytest.mark.parametrize(("text", "reason"), UNLIKE_KEYS)
@pytest.mark.parametrize("name", ["KIWOOM_APP_KEY", "KIWOOM_SECRET_KEY"])
def test_a_text_that_cannot_be_a_key_is_refused_and_not_repeated(tmp_path, name, text, reason):
    path = write(tmp_path / "key", f"\ufeff{text}\r\n")
    given = [({f"{name}_FILE": path}, f"{name}_FILE: {path}")]
    if " " not in text:
        given.append(({name: text}, name))
    for environ, where in given:
        complaint = complaint_about(environ)
        assert complaint.startswith(f"{where} {reason}")
        assert "S3NT" not in complaint
        assert "넣으" not in complaint


@pytest.mark.parametrize("text", ["a", "Ab9_-c", "kW7/mQ2xV9+tR4bN6yHj", "YWJj" * 20 + "YQ==", "a.b~c"])
def test_a_text_that_can_be_a_key_is_taken(text):
    assert config.settings({"KIWOOM_APP_KEY": text}).app_key == Secret(text)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_a_key_file_in_utf_16_says_so(tmp_path, encoding):
    data = ("" if encoding == "utf-16" else "\ufeff") + "S3NTinel"
    path = write(tmp_path / "key", data.encode(encoding))
    assert "is UTF-16; save it again as UTF-8" in complaint_about({"KIWOOM_APP_KEY_FILE": path})


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("1", "is shorter than 16 characters"),
        ("123456789012345", "is shorter than 16 characters"),
        ("1 2 3 4 5 6 7 8 9", "holds a blank"),
        ("            S3NTinel", "is shorter than 16 characters"),
        ("S3NTinel 토큰 S3NTinel", "holds a blank"),
        ("토큰토큰토큰토큰토큰토큰토큰토큰토큰", "holds a blank or a letter beyond ASCII"),
        ("0" * 40, "repeats fewer than 5 characters"),
        ("1234" * 8, "repeats fewer than 5 characters"),
    ],
    ids=str,
)
def test_a_token_of_the_page_that_can_be_guessed_is_refused_and_not_repeated(tmp_path, token, reason):
    path = write(tmp_path / "token", token)
    for environ, where in (
        ({"COLLECTOR_WEB_TOKEN": token}, "COLLECTOR_WEB_TOKEN"),
        ({"COLLECTOR_WEB_TOKEN_FILE": path}, f"COLLECTOR_WEB_TOKEN_FILE: {path}"),
    ):
        complaint = complaint_about(environ)
        assert complaint.startswith(f"{where} {reason}")
        assert "use at least 16 characters" in complaint
        assert "S3NT" not in complaint


@pytest.mark.parametrize(
    "token", ["0123456789abcdef", "qS1+wE6/fA9dU3gHx7Oc", "it's-a-long-one:with-a-colon"]
)
def test_a_token_of_the_page_of_sixteen_characters_is_taken(token):
    assert config.settings({"COLLECTOR_WEB_TOKEN": token}).web_token == Secret(token)


def test_a_key_file_that_is_not_there_is_refused(tmp_path):
    complaint = complaint_about({"KIWOOM_APP_KEY_FILE": str(tmp_path / "key")})
    assert (
        complaint
        == f"KIWOOM_APP_KEY_FILE: {tmp_path}/key does not exist; create the file, or correct the path"
    )


def test_a_folder_is_no_key_file(tmp_path):
    assert "cannot be read (Is a directory)" in complaint_about({"KIWOOM_APP_KEY_FILE": str(tmp_path)})


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_key_file_of_somebody_else_is_refused(tmp_path):
    path = write(tmp_path / "key", "a", 0o000)
    assert "cannot be read (Permission denied)" in complaint_about({"KIWOOM_APP_KEY_FILE": path})


def test_a_mounted_secret_may_be_readable_by_all(tmp_path):
    path = write(tmp_path / "key", "a", 0o444)
    environ = {"KIWOOM_APP_KEY_FILE": path}
    assert config.settings(environ, mounts=[tmp_path]).app_key == Secret("a")


def test_a_link_out_of_the_mounts_gains_nothing(tmp_path):
    mount = tmp_path / "mount"
    mount.mkdir()
    (mount / "key").symlink_to(write(tmp_path / "key", "a", 0o444))
    environ = {"KIWOOM_APP_KEY_FILE": str(mount / "key")}
    assert "can be read by others" in complaint_about(environ, mounts=[mount])


@given(
    st.dictionaries(st.sampled_from(["KIWOOM_APP_KEY", "DATABASE_URL", "KIWOOM_SECRET_KEY_FILE"]), st.text())
)
def test_no_environment_makes_anything_but_a_config_error(environ):
    try:
        config.settings(environ)
    except ConfigError as error:
        complaint = str(error)
        assert complaint


def test_the_urls_of_services_are_separated_by_blanks_commas_and_line_ends(tmp_path):
    urls = ["tgram://TOKEN/CHAT", "mailto://u:p@h?to=a,b", "json://h/x"]
    for text in (" ".join(urls), ", ".join(urls), ",".join(urls)):
        assert config.settings({"COLLECTOR_NOTIFY_URLS": text}).notify_urls == tuple(map(Secret, urls))
    file = write(tmp_path / "urls", "\n".join(urls) + "\n")
    assert config.settings({"COLLECTOR_NOTIFY_URLS_FILE": file}).notify_urls == tuple(map(Secret, urls))


def test_a_file_of_urls_that_others_can_read_is_refused(tmp_path):
    file = write(tmp_path / "urls", "json://h/x", 0o644)
    assert "can be read by others" in complaint_about({"COLLECTOR_NOTIFY_URLS_FILE": file})
