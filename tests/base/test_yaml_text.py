"""YAML as text: nothing is guessed, nothing is overwritten, nothing unfolds."""

import json
import string
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collector.base import yaml_text
from collector.base.yaml_text import Mapping, Scalar, Sequence
from collector.errors import ConfigError

AS_TYPED = [
    "001",
    "010",
    "08",
    "15:30",
    "09:00",
    "no",
    "1e3",
    "0x1F",
    "~",
    "null",
    "2026-01-01",
    "1_000",
    ".5",
]


def read(text: str) -> Mapping:
    return yaml_text.read(text.encode(), "f.yaml")


def refusal(data: bytes | str) -> str:
    with pytest.raises(ConfigError) as caught:
        yaml_text.read(data if isinstance(data, bytes) else data.encode(), "f.yaml")
    return str(caught.value)


def complaint_about(data: bytes) -> str:
    try:
        yaml_text.read(data, "f.yaml")
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("text", AS_TYPED)
def test_a_scalar_is_what_was_typed(text):
    assert read(f"a: {text}\n").entries["a"] == Scalar(1, text)


def test_nodes_know_their_lines():
    node = read("# head\na: 1\nb:\n  c:\n    - x\n    - {d: y,\n       e: z}\n")
    assert node.lines == {"a": 2, "b": 3}
    assert yaml_text.line_of(node, ("b", "c", 1, "e")) == 7
    assert node.entries["b"].entries["c"].items[0] == Scalar(5, "x")


def test_a_path_that_is_not_there_has_the_line_of_its_nearest():
    assert yaml_text.line_of(read("a: 1\nb:\n  c: 2\n"), ("b", "d", 3)) == 2


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"], ids=repr)
def test_a_text_without_a_node_is_an_empty_mapping(text):
    assert read(text) == Mapping(1)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("- a\n", "f.yaml:1: a list at the top; use a mapping (`key: value` lines)"),
        ("just text", "f.yaml:1: 'just text' at the top; use a mapping (`key: value` lines)"),
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3: the key 'a' again (first on line 1)"),
        ("a:\n  b: 1\n  'b': 2\n", "f.yaml:3: the key 'b' again (first on line 2)"),
        ("a: &x 1\n", "f.yaml:1: the anchor &x; write the value out (quote it if it is text)"),
        ("a: 1\nb: *x\n", "f.yaml:2: the alias *x; write the value out (quote it if it is text)"),
        ("a: &x {b: 1}\n", "f.yaml:1: the anchor &x; write the value out (quote it if it is text)"),
        ("a: 1\n<<: {b: 2}\n", "f.yaml:2: the merge key <<; write the keys out"),
        (
            "a: !!python/object:os.system x\n",
            "f.yaml:1: the tag 'tag:yaml.org,2002:python/object:os.system'; write the bare value",
        ),
        ("a: ! x\n", "f.yaml:1: the tag '!'; write the bare value (quote it if it is text)"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2: a second document (`---`); use one document"),
        ("? [a]\n: 1\n", "f.yaml:1: a list as a key; use a name"),
        ("a: 1\n  b: 2\n", "f.yaml:2: not YAML: mapping values are not allowed in this context"),
        ("a: 1\n\tb: 2\n", "f.yaml:2: not YAML: "),
        (b"a: 1\nb: \xff\n", "f.yaml:2: bytes that are not UTF-8; save the file as UTF-8"),
        ("a: 1\n".encode("utf-16"), "f.yaml:1: bytes that are not UTF-8; save the file as UTF-8"),
        ("a: 1\r\nb: \x00\n", "f.yaml:2: the character U+0000; use plain text"),
        ("a: \u2028b\n", "f.yaml:1: the character U+2028; use plain text"),
        (b"a" * (256 * 1024 + 1), "f.yaml:1: more than 256 kB; use a shorter file"),
        ("a: " + "[" * 50, "f.yaml:1: nested deeper than 50 levels; use fewer"),
        ("a: " + "{a: " * 60, "f.yaml:1: nested deeper than 50 levels; use fewer"),
        ("a: [1, 2\n", "f.yaml:2: not YAML: while parsing a flow sequence did not find expected ',' or ']'"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_not_allowed_is_refused_with_its_line(data, expected):
    assert refusal(data).startswith(expected)


def test_fifty_levels_are_allowed():
    assert read("a: " + "[" * 49 + "]" * 49)


def test_a_byte_order_mark_is_passed_over():
    assert yaml_text.read(b"\xef\xbb\xbfa: 1\n", "f").entries == {"a": Scalar(1, "1")}


def test_an_alias_bomb_does_not_unfold():
    bomb = "a: &a [x, x]\n" + "".join(
        f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert "the anchor &a" in refusal(bomb)


@given(st.text())
@example("\x85\u2028\ufeff\U0001f600\x00")
def test_a_quoted_scalar_round_trips(text):
    assert read(f"a: {json.dumps(text)}\n" if text.isascii() else f"a: {_quoted(text)}\n").entries[
        "a"
    ] == Scalar(1, text)


def _quoted(text: str) -> str:
    return '"' + "".join(f"\\U{ord(character):08x}" for character in text) + '"'


@given(st.text(string.ascii_letters + string.digits + ".:+_/", min_size=1).filter(lambda s: s[-1] != ":"))
def test_a_plain_scalar_round_trips(text):
    assert read(f"a: {text}\n").entries["a"] == Scalar(1, text)


@given(st.binary() | st.text().map(str.encode) | st.text("ab: -[]{},&*!|>'\"%@`#?\n\t\\x0<").map(str.encode))
def test_nothing_but_a_config_error_escapes(data):
    complaint = complaint_about(data)
    assert complaint.isprintable()
    assert complaint.startswith("f.yaml:") or not complaint


@pytest.mark.extended
@given(st.text())
def test_a_complaint_is_one_line_whatever_the_file_is_called(origin):
    assert yaml_text.format_error(origin, 1, "text").isprintable()


@pytest.mark.parametrize(
    ("name", "expected"),
    [("missing", "no such file; create it, or correct the path"), (".", "cannot be read (Is a directory)")],
    ids=str,
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, expected):
    with pytest.raises(ConfigError, match="^" + str(tmp_path / name)) as caught:
        yaml_text.read_file(tmp_path / name)
    assert expected in str(caught.value)


def test_an_endless_file_is_refused():
    with pytest.raises(ConfigError, match="more than 256 kB"):
        yaml_text.read_file(Path("/dev/zero"))


def test_sequences_keep_their_order():
    assert read("a: [x, [y], z]\n").entries["a"] == Sequence(
        1, (Scalar(1, "x"), Sequence(1, (Scalar(1, "y"),)), Scalar(1, "z"))
    )
