"""Renders views to HTML with templates. The templates escape every value."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from collector.web import viewer
from collector.web.squares import square
from collector.web.tables import HAS_PARQUET
from collector.web.treemap import fit_text
from collector.web.viewer import ViewerPreferences

_HERE = Path(__file__).parent
_PAGES = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_PAGES.filters |= {
    "clock": viewer.clock,
    "moment": viewer.moment,
    "tenths": viewer.tenths,
    "compact": viewer.compact,
    "percent": viewer.percent,
    "level": viewer.level,
    "whole": viewer.whole,
    "signed": viewer.signed,
}
_PAGES.globals |= {"square": square, "fitted": fit_text, "has_parquet": HAS_PARQUET}
_TEMPLATES = {name: _PAGES.get_template(name) for name in _PAGES.list_templates()}
"""Compiled at import: compilation is slow, and the first visitor should not wait for it."""
_KINDS = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

STATIC = {
    path.name: (path.read_bytes(), _KINDS[path.suffix])
    for path in sorted((_HERE / "static").iterdir())
    if path.suffix in _KINDS
}
"""The static files of the pages, with their types; read once."""


def page(template: str, reader: ViewerPreferences, values: Mapping[str, Any]) -> bytes:
    """A whole page."""
    return _TEMPLATES[template].render(reader=reader, t=reader.text, **values).encode()
