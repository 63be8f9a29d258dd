"""The configuration, from its classes and from the comments of the example files."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields
from datetime import timedelta
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from msgspec import Meta

from collector import __version__
from collector.config import schema
from tools.reference.markdown import block, code, table

SECTIONS: Mapping[str, type] = {
    "api": schema.ApiConfig,
    "quota": schema.QuotaConfig,
    "universes.NAME[]": schema.TargetSpec,
    "schedules.NAME": schema.ScheduleSpec,
    "database": schema.DatabaseConfig,
    "archive": schema.ArchiveConfig,
    "notify": schema.NotifyConfig,
    "web": schema.WebConfig,
}
INTRODUCTION = """\
# Configuration

The program reads `config/collector.yaml`, or the file that `COLLECTOR_CONFIG` or `--config` names. `collector
check` says whether the file is right and shows the values in force. An unknown key is refused with file, line
and the probable key. Every scalar is read as text: `001` stays `001`. Keys and passwords are never in this
file; see [environment](environment.md).
"""


def page(folder: Path) -> str:
    """Tables of all keys, then the two commented files."""
    example = (folder / "collector.yaml").read_text(encoding="utf-8")
    calendar = (folder / "calendar.example.yaml").read_text(encoding="utf-8")
    comments = _comments(example)
    parts = [INTRODUCTION, "## Keys\n"]
    for name, section in SECTIONS.items():
        parts += [f"### {name}\n", _keys(section, comments), ""]
    parts += [
        "## The commented file\n",
        "`collector check --example` prints it.\n",
        block(example, "yaml"),
        "",
    ]
    parts += ["## A calendar of your own\n", CALENDAR, block(calendar, "yaml")]
    return "\n".join(parts)


CALENDAR = """\
A file `calendar.yaml` beside the configuration lies over the shipped calendar. `collector check --example
calendar` prints this one:
"""


def _keys(section: type, comments: Mapping[str, str]) -> str:
    hints = get_type_hints(section, include_extras=True)
    rows = [
        (code(field.name), _allowed(hints[field.name]), _default(field), comments.get(field.name, ""))
        for field in fields(section)
    ]
    return table(("key", "allowed", "default", ""), rows)


def _comments(example: str) -> Mapping[str, str]:
    """What the example says beside a key, also beside a key that is commented out."""
    found = re.findall(r"^\s*(?:# )?(\w+):[^#\n]*#\s*(.+)$", example, re.MULTILINE)
    lines = re.findall(r"^#   (?:\w+ \+ )?(\w+) {2,}(\S.*)$", example, re.MULTILINE)
    return dict([*lines, *found])


def _allowed(hint: Any) -> str:
    """The type as an operator writes it."""
    if get_origin(hint) is Annotated:
        described = [
            meta.description for meta in hint.__metadata__ if isinstance(meta, Meta) and meta.description
        ]
        return described[0] if described else _allowed(get_args(hint)[0])
    if get_origin(hint) is tuple:
        return f"a list: {_allowed(get_args(hint)[0])}"
    if get_origin(hint) is Literal:
        return ", ".join(code(value) for value in get_args(hint))
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(_allowed(part) for part in get_args(hint) if part is not type(None))
    if hint is timedelta:
        return "a duration: a number and a unit, such as 500ms, 10s, 5m"
    return ", ".join(_members(hint)) or "text"


def _members(hint: Any) -> Iterator[str]:
    for member in getattr(hint, "__members__", {}).values():
        yield code(str(member))


def _default(field: Field[Any]) -> str:
    if field.default is MISSING:
        return "required"
    match field.default:
        case None | ():
            return ""
        case timedelta() as value:
            return code(f"{value.total_seconds():g}s")
        case tuple() as values:
            return code(", ".join(map(str, values)))
        case value:
            return code(str(value).replace(__version__, "VERSION"))
