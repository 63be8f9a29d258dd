"""Reads YAML with every scalar as typed text and every node with its line number.

YAML 1.1 would read `001` as 1, `010` as 8 and `15:30` as 930, and keep the last of two equal keys. Here the
caller gives each value its type. Only plain YAML is allowed: no tags, anchors, aliases, merges or second
documents, at most 256 kB and 50 levels. The reader works on events, so it refuses a YAML bomb before
expansion.
"""

import re
from collections import abc
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from collector.errors import ConfigError

MAX_BYTES = 256 * 1024
MAX_DEPTH = 50

_LOADER: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# YAML's own set without U+0085, U+2028 and U+2029: YAML counts them as line breaks, editors do not.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value as typed, without quotes; an absent value (`key:`) is ""."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Sequence:
    line: int
    items: tuple["Node", ...] = ()


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys in the order written; `lines` has the line of each key."""

    line: int
    entries: abc.Mapping[str, "Node"] = field(default_factory=dict)
    lines: abc.Mapping[str, int] = field(default_factory=dict)


Node = Scalar | Sequence | Mapping


def read_file(path: Path) -> Mapping:
    """Read the mapping in a file; ConfigError if it cannot be read or is not allowed."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{printable(str(path))}: no such file; create it, or correct the path") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{printable(str(path))}: cannot be read ({_why(error)})") from None
    return read(data, str(path))


def read(data: bytes, origin: str) -> Mapping:
    """Read the mapping in a text; ConfigError `ORIGIN:LINE: …` for anything not allowed."""
    text = _decode(data, origin)
    events = _Events(text, origin)
    node = events.document()
    if node is None or node == Scalar(node.line, ""):
        return Mapping(1)
    if not isinstance(node, Mapping):
        raise events.refuse(node.line, f"{describe(node)} at the top; use a mapping (`key: value` lines)")
    return node


def line_of(node: Node, path: abc.Iterable[str | int]) -> int:
    """Return the line of the key or item at a path, or of the last existing node on the way to it."""
    line = node.line
    for step in path:
        if isinstance(node, Mapping) and step in node.entries:
            line = node.lines[str(step)]
            node = node.entries[str(step)]
        elif isinstance(node, Sequence) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
            line = node.line
        else:
            break
    return line


def format_error(origin: str, line: int, text: str) -> str:
    """Format an error about a file; always a single line."""
    return f"{printable(origin)}:{line}: {text}"


def describe(node: Node) -> str:
    """Describe a node in a few words, for error messages."""
    if isinstance(node, Scalar):
        return quote(node.text) if node.text else "nothing"
    return "a list" if isinstance(node, Sequence) else "a mapping"


def quote(text: str) -> str:
    """Quote an external text, short and on one line, for any content."""
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def printable(text: str) -> str:
    """Return a text unchanged if it prints on one line, else quoted and escaped."""
    return text if text.isprintable() else repr(text)


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


def _decode(data: bytes, origin: str) -> str:
    if len(data) > MAX_BYTES:
        raise ConfigError(format_error(origin, 1, f"more than {MAX_BYTES // 1024} kB; use a shorter file"))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = _line(data[: error.start].decode("utf-8", "replace"))
        raise ConfigError(
            format_error(origin, line, "bytes that are not UTF-8; save the file as UTF-8")
        ) from None
    if match := _UNPRINTABLE.search(text):
        line = _line(text[: match.start()])
        raise ConfigError(format_error(origin, line, f"the character U+{ord(match[0]):04X}; use plain text"))
    return text


def _line(before: str) -> int:
    return len(re.findall("\r\n|\r|\n", before)) + 1


class _Events:
    """Builds the nodes of one document from the parser's events and refuses a forbidden event at once."""

    def __init__(self, text: str, origin: str) -> None:
        self._events = self._parse(text)
        self._origin = origin
        self._depth = 0

    def document(self) -> Node | None:
        """Return the only document, None if the text has nothing but comments."""
        node = None
        for event in self._events:
            if not isinstance(event, yaml.DocumentStartEvent):
                continue
            if node is not None:
                raise self.refuse(_at(event), "a second document (`---`); use one document")
            node = self._node(next(self._events))
        return node

    def refuse(self, line: int, text: str) -> ConfigError:
        return ConfigError(format_error(self._origin, line, text))

    def _parse(self, text: str) -> Iterator[yaml.Event]:
        try:
            yield from yaml.parse(text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            what = f"{error.context or ''} {error.problem or ''}".strip()
            raise self.refuse(mark.line + 1 if mark else 1, f"not YAML: {printable(what)}") from None
        except (yaml.YAMLError, ValueError) as error:  # ValueError: PyYAML's own chr() of "\U00110000"
            raise self.refuse(1, f"not YAML: {type(error).__name__}") from None

    def _node(self, event: yaml.Event) -> Node:
        line = _at(event)
        if isinstance(event, yaml.AliasEvent):
            raise self.refuse(
                line, f"the alias *{event.anchor}; write the value out (quote it if it is text)"
            )
        assert isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent)
        if event.anchor is not None:
            raise self.refuse(
                line, f"the anchor &{event.anchor}; write the value out (quote it if it is text)"
            )
        if event.tag is not None:
            raise self.refuse(
                line, f"the tag {quote(event.tag)}; write the bare value (quote it if it is text)"
            )
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(line, event.value)
        return self._collection(event, line)

    def _collection(self, event: yaml.Event, line: int) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self.refuse(line, f"nested deeper than {MAX_DEPTH} levels; use fewer")
        node = self._mapping(line) if isinstance(event, yaml.MappingStartEvent) else self._sequence(line)
        self._depth -= 1
        return node

    def _sequence(self, line: int) -> Sequence:
        items = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event))
        return Sequence(line, tuple(items))

    def _mapping(self, line: int) -> Mapping:
        entries: dict[str, Node] = {}
        lines: dict[str, int] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(self._node(event), lines)
            lines[key] = _at(event)
            entries[key] = self._node(next(self._events))
        return Mapping(line, entries, lines)

    def _key(self, key: Node, lines: abc.Mapping[str, int]) -> str:
        if not isinstance(key, Scalar):
            raise self.refuse(key.line, f"{describe(key)} as a key; use a name")
        if key.text == "<<":
            raise self.refuse(key.line, "the merge key <<; write the keys out")
        if key.text in lines:
            raise self.refuse(key.line, f"the key {quote(key.text)} again (first on line {lines[key.text]})")
        return key.text


def _at(event: yaml.Event) -> int:
    assert event.start_mark is not None  # every event of a parser has a mark
    return event.start_mark.line + 1
