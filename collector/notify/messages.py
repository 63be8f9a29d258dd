"""Writes messages about events, in Korean or English: the event, its begin and a command that helps. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal

from collector.db.notices import Notice
from collector.market.calendar import kst

Language = Literal["ko", "en"]
MOST = 10
"""Events with a paragraph of their own in one message; the others are counted."""
_LONGEST = 500
"""Characters of one line. Services cut long messages."""


@dataclass(frozen=True)
class Message:
    """A message to people. `level` is info, success, warning or failure, as the services know them."""

    title: str
    body: str
    level: str = "warning"


def compose(notices: Sequence[Notice], language: Language) -> Message:
    """One message about one or more events."""
    parts = [_paragraph(notice, language) for notice in notices[:MOST]]
    if len(notices) > MOST:
        parts.append([_text("more", language, {"count": len(notices) - MOST})])
    title = parts[0][0] if len(notices) == 1 else _text("title_many", language, {"count": len(notices)})
    lines = parts[0][1:] if len(notices) == 1 else [line for part in parts for line in (*part, "")]
    return Message(f"collector: {title}", "\n".join(lines).strip(), _level(notices))


def headline(notice: Notice, language: Language) -> str:
    """The first line of an event's message."""
    facts = _values(notice, language)
    if notice.ended_at is not None and notice.kind not in _OF_A_MOMENT:
        # An event that was over before its message could be sent is told once, by its beginning.
        key = f"{notice.kind}_end" if notice.told_at else "over"
        return _text(key, language, {**facts, "headline": _text(_headline_key(notice), language, facts)})
    return _text(_headline_key(notice), language, facts)


_OF_A_MOMENT = ("summary", "test")


def _paragraph(notice: Notice, language: Language) -> list[str]:
    facts = _values(notice, language)
    lines = [headline(notice, language)]
    is_over = notice.ended_at is not None and notice.kind not in _OF_A_MOMENT
    if not is_over:
        lines += [_text(key, language, facts) for key in _detail_keys(notice)]
    if notice.kind not in _OF_A_MOMENT:
        lines.append(_text("lasted" if is_over else "since", language, facts))
    if not is_over and (key := _todo_key(notice)):
        lines.append(_text("todo", language, {"todo": _text(key, language, facts)}))
    return [line[:_LONGEST] for line in lines]


def _headline_key(notice: Notice) -> str:
    return "disk_low" if notice.kind == "disk" and notice.facts.get("days", -1) < 0 else notice.kind


def _detail_keys(notice: Notice) -> list[str]:
    keys = [f"{notice.kind}_detail"] if f"{notice.kind}_detail" in _texts() else []
    if notice.kind == "behind" and not notice.facts.get("last"):
        keys = []
    if notice.kind == "failure" and notice.facts.get("error"):
        keys.append("failure_error")
    return keys


def _todo_key(notice: Notice) -> str:
    if notice.kind != "failure":
        return f"{notice.kind}_todo" if f"{notice.kind}_todo" in _texts() else ""
    status, _, name = str(notice.facts["failure"]).partition(" ")
    return f"{status}_{name}_todo" if f"{status}_{name}_todo" in _texts() else f"{status}_todo"


def _level(notices: Sequence[Notice]) -> str:
    if any(notice.ended_at is None for notice in notices):
        return "failure" if any(notice.kind in _SEVERE for notice in notices) else "warning"
    return "info" if all(notice.kind in _OF_A_MOMENT for notice in notices) else "success"


_SEVERE = ("behind", "denied", "clocks", "database")


def _values(notice: Notice, language: Language) -> Mapping[str, Any]:
    """The facts as a message shows them: times of Korea, lists as one text."""
    values: dict[str, Any] = {
        name: ", ".join(value) if isinstance(value, list | tuple) else value
        for name, value in notice.facts.items()
    }
    values.setdefault("day", kst(notice.began_at).date().isoformat())
    values.setdefault("slot", notice.began_at.isoformat())
    values["slot"] = kst(datetime.fromisoformat(values["slot"])).strftime("%Y-%m-%dT%H:%M:%S+09:00")
    values["began"] = _clock(notice.began_at)
    if notice.ended_at is not None:
        values["ended"] = _clock(notice.ended_at)
        values["length"] = _length(notice.ended_at - notice.began_at, language)
    if values.get("last"):
        values["last"] = _clock(datetime.fromisoformat(values["last"]))
    if "failure" in values:
        values["failure_text"] = _failure_text(str(values["failure"]), language)
    if "rows" in values:
        values["rows"] = f"{values['rows']:,}"
    return values


def _failure_text(failure: str, language: Language) -> str:
    status, _, name = failure.partition(" ")
    key = f"text_{status}_{name}"
    return _text(key if key in _texts() else f"text_{status}", language, {"name": name})


def _clock(at: datetime) -> str:
    return f"{kst(at):%Y-%m-%d %H:%M} KST"


def _length(span: timedelta, language: Language) -> str:
    minutes = max(0, round(span.total_seconds() / 60))
    days, minutes = divmod(minutes, 1440)
    hours, minutes = divmod(minutes, 60)
    units = {"ko": ("일", "시간", "분"), "en": (" d", " h", " min")}[language]
    parts = [f"{count}{unit}" for count, unit in zip((days, hours, minutes), units, strict=True) if count]
    return " ".join(parts) or f"0{units[-1]}"


def _text(key: str, language: Language, values: Mapping[str, Any]) -> str:
    template = _texts()[key][language]
    return template.format_map(_Shown(values))


class _Shown(dict[str, Any]):
    """Values of a template. An event that an older program stored may lack one; it shows as a question mark."""

    def __missing__(self, key: str) -> str:
        return "?"


@cache
def _texts() -> Mapping[str, Mapping[str, str]]:
    texts: Mapping[str, Mapping[str, str]] = json.loads(
        Path(__file__).with_name("translations.json").read_text(encoding="utf-8")
    )
    return texts
