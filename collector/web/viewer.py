"""Who reads, and how they like it: language and colours, kept in the address, so that no cookie is needed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, urlencode

from collector.base.remark_texts import Numbers, explain_remark
from collector.model import KST, Sector
from collector.web import translations
from collector.web.access import PageRequest
from collector.web.queries import WalkLine

_COLOURS = ("korean", "western")
_STICKY = {"lang": translations.LANGUAGES, "colours": _COLOURS}


@dataclass(frozen=True)
class ViewerPreferences:
    """One reader of one page; `chosen` is what the address says and links carry on."""

    path: str
    language: str
    colours: str
    chosen: Mapping[str, str]
    query: Mapping[str, str]

    def text(self, key: str) -> str:
        return translations.text(key, self.language)

    def explain(self, remark: str, line: WalkLine) -> str:
        """What a remark of a walk means, with the walk's numbers, and what to do."""
        numbers = Numbers(line.pages, line.rows, line.bad, line.expected)
        return explain_remark(remark, numbers, self.language)

    def meaning(self, code: str) -> str:
        return translations.meaning(code, self.language)

    def explain_error(self, error: str) -> list[str]:
        return translations.explain_error(error, self.language)

    def link(self, path: str, **query: str) -> str:
        """An address within the site, with the reader's choices."""
        return _address(path, {**self.chosen, **query})

    def again(self, **choice: str) -> str:
        """The address of what is shown, day and order and all, in another language or other colours."""
        return _address(self.path, {**self.query, **choice})

    def sector_name(self, sector: Sector | None, code: str) -> str:
        """A sector's name in the reader's language."""
        if sector is None:
            return code
        return (sector.name_ko if self.language == "ko" else sector.name_en) or sector.name_ko or code


def _address(path: str, query: Mapping[str, str]) -> str:
    """Of this site in any case: what begins with two slashes would be another's."""
    return "/" + quote(path.lstrip("/"), safe="/:.") + (f"?{urlencode(query)}" if query else "")


def reader_of(request: PageRequest) -> ViewerPreferences:
    """By the address first, then by what the browser prefers."""
    chosen = {key: request.query[key] for key, known in _STICKY.items() if request.query.get(key) in known}
    language = chosen.get("lang") or translations.language(request.headers.get("accept-language", ""))
    return ViewerPreferences(
        request.path, language, chosen.get("colours", _COLOURS[0]), chosen, request.query
    )


def clock(at: datetime | None) -> str:
    """An instant as Korea's clocks show it: hours and minutes, seconds where there are any."""
    if at is None:
        return "–"
    there = at.astimezone(KST)
    return f"{there:%H:%M:%S}" if there.second else f"{there:%H:%M}"


def moment(at: datetime | None) -> str:
    """The same with its day, to the tenth of a second where it is not whole."""
    if at is None:
        return "–"
    there = at.astimezone(KST)
    tenth = f".{there.microsecond // 100_000}" if there.microsecond else ""
    return f"{there:%Y-%m-%d %H:%M:%S}{tenth}"


def compact(at: datetime) -> str:
    """A slot as it stands in an address: 20261120T110000, Korean time."""
    return f"{at.astimezone(KST):%Y%m%dT%H%M%S}"


def big(value: float | None) -> str:
    """A large amount, shortened: 1.2T, 340B, 12M."""
    if value is None:
        return "–"
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        if abs(value) >= size:
            return f"{value / size:,.1f}{unit}"
    return f"{value:,.0f}"


def percent(value: float | None) -> str:
    """A change with its sign."""
    return "–" if value is None else f"{round(float(value), 2) + 0.0:+.2f} %"  # and no -0.00


def level(value: float | None) -> str:
    """The class that colours a change: u1 … u5, d1 … d5, or n0."""
    if value is None or abs(float(value)) < 0.05:
        return "n0"
    size = next((n for n, bound in enumerate((0.25, 0.75, 1.5, 3.0), 1) if abs(float(value)) < bound), 5)
    return f"{'u' if float(value) > 0 else 'd'}{size}"


def whole(value: int | None) -> str:
    """A whole number with its thousands apart."""
    return "–" if value is None else f"{value:,}"
