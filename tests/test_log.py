"""Log lines: JSON for machines, pretty for people, and nothing in them that nobody should see."""

import io
import json
import logging
import os

import pytest
import structlog

from collector import log


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def logged(stream: io.StringIO, **options: str) -> str:
    log.configure(stream=stream, **options)
    structlog.get_logger().info("walk.stored", target="KOSPI/001/KRX", name="삼성전자")
    return stream.getvalue()


@pytest.fixture(autouse=True)
def _restored():
    before = structlog.get_config(), logging.getLogger().handlers[:]
    yield
    structlog.configure(**before[0])
    logging.getLogger().handlers = before[1]


def test_a_machine_reads_one_json_object_a_line() -> None:
    line = json.loads(logged(io.StringIO()))
    assert (line["event"], line["target"], line["name"]) == ("walk.stored", "KOSPI/001/KRX", "삼성전자")
    assert line["timestamp"].endswith("Z")


def test_the_instant_the_level_and_the_event_come_first() -> None:
    assert list(json.loads(logged(io.StringIO()))) == ["timestamp", "level", "event", "target", "name"]


@pytest.mark.parametrize(("hint", "is_there"), [("", False), ("try again", True)])
def test_a_line_has_a_hint_only_if_there_is_one(hint: str, *, is_there: bool) -> None:
    stream = io.StringIO()
    log.configure(stream=stream)
    structlog.get_logger().error("config.refused", reason="x", hint=hint)
    assert ("hint" in json.loads(stream.getvalue())) is is_there


def test_a_person_reads_colors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = logged(Terminal())
    assert "walk.stored" in text
    assert "\x1b[" in text


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in logged(Terminal())


def test_lines_below_the_level_are_left_out() -> None:
    assert logged(io.StringIO(), level="warning") == ""


@pytest.mark.parametrize("stream", [io.StringIO, Terminal], ids=["machine", "person"])
def test_one_event_is_one_line_whatever_is_in_it(stream: type[io.StringIO]) -> None:
    opened = stream()
    log.configure(stream=opened)
    structlog.get_logger().warning("walk.failed", error="a\r\nlevel=error \x1b[31m fake\x85\u2028x")
    assert "\x1b[31m fake" not in opened.getvalue()
    assert opened.getvalue().count("\n") == 1


def test_a_traceback_shows_no_locals() -> None:
    stream = io.StringIO()
    log.configure(stream=stream)
    try:
        hidden = "s3ntinel"
        raise RuntimeError(len(hidden))
    except RuntimeError:
        structlog.get_logger().exception("bug")
    assert "RuntimeError" in stream.getvalue()
    assert "s3ntinel" not in stream.getvalue()


def test_what_a_library_complains_of_is_a_line_of_ours_without_its_exception() -> None:
    stream = io.StringIO()
    log.configure(stream=stream)
    log.configure(stream=stream)
    try:
        raise ValueError("Bearer s3ntinel")
    except ValueError:
        logging.getLogger("asyncpg.pool").warning("cannot restore %s", "s3ntinel", exc_info=True)
    [line] = map(json.loads, stream.getvalue().splitlines())
    assert line["event"] == "library.complained"
    assert (line["library"], line["error"]) == ("asyncpg.pool", "ValueError")
    assert "s3ntinel" not in str(line)


def test_lines_that_nobody_takes_are_lost_and_counted() -> None:
    reader, writer = os.pipe()
    with open(writer, "w") as stream:  # noqa: PTH123 - a descriptor has no path
        log.configure(stream=stream)
        for number in range(3000):
            structlog.get_logger().info("walk.stored", number=number, padding="x" * 100)
        taken = os.read(reader, 1 << 20).decode().splitlines()
        structlog.get_logger().info("walk.stored", number=3000)
        lost, last = os.read(reader, 1 << 20).decode().splitlines()
    os.close(reader)
    assert json.loads(lost) == {"lines": 3000 - len(taken), "event": "log.lost", "level": "warning"}
    assert json.loads(last)["number"] == 3000
