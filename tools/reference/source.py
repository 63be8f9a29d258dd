"""Environment, HTTP addresses, metrics and log events, found in the source of the program.

The meaning of a name that has no text in the source stands in a file under docs/data; a name without one stops
the generator with the file to complete.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from collector.web import addresses
from tools.reference.markdown import code, table

PACKAGE = Path(addresses.__file__).parents[1]
LEVELS = ("debug", "info", "warning", "error", "exception", "critical")
_READERS = ("_plain", "_secret", "_key", "_web_token", "_listen", "_notify_urls")
_NAME = re.compile(r"[a-z_]+(\.[a-z_]+)*")


def _calls(folder: Path) -> Iterator[ast.Call]:
    for path in sorted(folder.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        yield from (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _text(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _meanings(path: Path, names: Iterable[str]) -> Mapping[str, Any]:
    """The file's entries for these names, in its order; SystemExit names the missing ones."""
    entries: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    wanted = set(names)
    if missing := sorted(wanted - set(entries)):
        raise SystemExit(
            f"docs/data/{path.name} has no entry for {', '.join(missing)}; write one sentence for each"
        )
    return {name: entry for name, entry in entries.items() if name in wanted}


# Log events


class Event(NamedTuple):
    """One call of the logger."""

    name: str
    level: str
    fields: Sequence[str]


def events() -> Mapping[str, list[Event]]:
    """All calls of the logger by the name of their event."""
    by_name: dict[str, list[Event]] = {}
    for call in _calls(PACKAGE):
        function = call.func
        if not (isinstance(function, ast.Attribute) and function.attr in LEVELS and call.args):
            continue
        name = _text(call.args[0])
        if name and "." in name and _NAME.fullmatch(name):
            names = [word.arg or "…" for word in call.keywords]
            by_name.setdefault(name, []).append(Event(name, function.attr, names))
    by_name["log.lost"] = [Event("log.lost", "warning", ["lines"])]
    return dict(sorted(by_name.items()))


def events_page(path: Path) -> str:
    """All events with level, fields and meaning."""
    found = events()
    meanings = _meanings(path, found)
    rows = [(code(name), _levels(calls), _fields(calls), meanings[name]) for name, calls in found.items()]
    return "\n".join([EVENTS, table(("event", "level", "fields", "meaning"), rows)])


def _levels(calls: Sequence[Event]) -> str:
    return ", ".join(dict.fromkeys("error" if call.level == "exception" else call.level for call in calls))


def _fields(calls: Sequence[Event]) -> str:
    names = dict.fromkeys(name for call in calls for name in call.fields)
    return ", ".join("…" if name == "…" else code(name) for name in names)


EVENTS = """\
# Log events

Log lines go to stderr. On a terminal they are coloured text, otherwise JSON: one line for each event with
`event`, `level`, `timestamp` (UTC) and the fields of the event. "…" stands for fields that several events
share, such as `slot` and `schedule`.
"""

# Metrics


class Metric(NamedTuple):
    """A metric as the source declares it."""

    name: str
    kind: str
    labels: Sequence[str]
    text: str


def metrics() -> Sequence[Metric]:
    """All metrics of the page, by name."""
    found = {metric.name: metric for metric in map(_metric, _calls(PACKAGE / "web")) if metric}
    return [found[name] for name in sorted(found)]


def _metric(call: ast.Call) -> Metric | None:
    texts = [_text(argument) for argument in call.args[:3]]
    if len(texts) < 2 or not texts[0] or not texts[1] or not re.fullmatch(r"[a-z_]+", texts[0]):
        return None
    if not (texts[1].endswith(".") and " " in texts[1]):
        return None
    kind = next((kind for kind in ("counter", "histogram") if kind in _name(call.func).lower()), "gauge")
    name = texts[0] if texts[0].startswith("collector_") else f"collector_{texts[0]}"
    return Metric(f"{name}_total" if kind == "counter" else name, kind, _labels(call, texts), texts[1])


def _labels(call: ast.Call, texts: Sequence[str | None]) -> Sequence[str]:
    for word in call.keywords:
        if word.arg == "labels" and isinstance(word.value, ast.List | ast.Tuple):
            return [text for element in word.value.elts if (text := _text(element))]
    return texts[2].split() if len(texts) > 2 and texts[2] else []


def metrics_page() -> str:
    """All metrics with type, labels and meaning."""
    rows = [(code(name), kind, ", ".join(map(code, labels)), text) for name, kind, labels, text in metrics()]
    return "\n".join([METRICS, table(("metric", "type", "labels", "meaning"), rows)])


METRICS = """\
# Metrics

`/metrics` serves them in the text format of Prometheus; `process_…` of the client library is there too. Gauges
are read from the database, so they are right after a restart and in a second daemon. Counters count in the
process that sends the requests. Alert rules: `deploy/prometheus/alerts.yml`. Set-up: [Prometheus and
Grafana](../how-to/prometheus-and-grafana.md).
"""

# Environment


def environment_page(path: Path) -> str:
    """All variables that the program reads."""
    meanings = _meanings(path, _variables())
    rows = [(code(name), meaning) for name, meaning in meanings.items()]
    return "\n".join([ENVIRONMENT, table(("variable", "meaning"), rows)])


def _variables() -> set[str]:
    names: set[str] = set()
    for call in _calls(PACKAGE):
        text = _text(call.args[0]) if call.args else None
        if (
            text
            and re.fullmatch(r"[A-Z][A-Z_]+", text)
            and (_name(call.func) in _READERS or _is_environ(call))
        ):
            names.add(text)
            names.update([f"{text}_FILE"] if _name(call.func) in ("_secret", "_key", "_web_token") else [])
    return names - {"PATH"}


def _is_environ(call: ast.Call) -> bool:
    function = call.func
    return (
        isinstance(function, ast.Attribute) and function.attr == "get" and _name(function.value) == "environ"
    )


ENVIRONMENT = """\
# Environment

Secrets come from the environment or from files, never from arguments. A file must be readable for its owner
only (`chmod 600`), except in `/run/secrets` and `/run/credentials`. A variable and its `…_FILE` cannot be set
together.
"""

# HTTP


def http_page(path: Path) -> str:
    """All addresses of the status page."""
    meanings = _meanings(path, _addresses())
    rows = [(code(address), *_parameters(entry)) for address, entry in meanings.items()]
    return "\n".join([HTTP, table(("address", "query parameters", ""), rows)])


def _parameters(entry: Any) -> tuple[str, str]:
    text, names = (entry, ()) if isinstance(entry, str) else (entry["text"], entry["query"])
    return ", ".join(map(code, names)), text


def _addresses() -> list[str]:
    """The patterns in a readable form, then the addresses for programs."""
    shown = [_readable(pattern.pattern) for pattern, *_ in addresses.ADDRESSES]
    tree = ast.parse((PACKAGE / "web" / "routes.py").read_text(encoding="utf-8"))
    cases = [node.pattern for node in ast.walk(tree) if isinstance(node, ast.match_case)]
    fixed = [text for case in cases if isinstance(case, ast.MatchValue) and (text := _text(case.value))]
    return [*shown, *(text for text in fixed if text.startswith("/")), "/static/{file}"]


def _readable(pattern: str) -> str:
    pattern = re.sub(r"\(\\\.\(\?P<form>[^)]*\)\)\?", "", pattern)
    pattern = re.sub(r"\(\\\.\(\?P<form>[^)]*\)\)", ".csv", pattern)
    return re.sub(r"\(\?P<(\w+)>[^()]*\)", r"{\1}", pattern).replace("\\.", ".")


HTTP = """\
# HTTP addresses

The page listens on `web.listen` (`127.0.0.1:8020`). It answers GET and HEAD only. Beyond loopback it needs the
token of `COLLECTOR_WEB_TOKEN`, as `Authorization: Bearer …` or as the password of any user in a browser. With
`.csv`, `.json` or `.parquet` behind its path each page but `/` gives its data. `lang=ko` or `lang=en` chooses the
language, `colours=` the colours.
"""
