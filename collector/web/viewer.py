"""A visitor's preferences: language and colours. They are part of the address, so no cookie is needed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from urllib.parse import quote, urlencode

from markupsafe import Markup

from collector.base.remark_texts import Numbers, explain_remark
from collector.model import KST, Sector, Target
from collector.web import translations
from collector.web.access import PageRequest
from collector.web.day_note import DayNote
from collector.web.grid import Mark
from collector.web.health import CHECKS, Check
from collector.web.queries.ledger import Failure, SlotLine
from collector.web.queries.walk import WalkLine

_COLOURS = ("korean", "western")
_UNITS = {
    "ko": ((1e12, "조", 1), (1e8, "억", 0), (1e4, "만", 0), (1, "", 0)),
    "en": ((1e12, "T", 1), (1e9, "B", 1), (1e6, "M", 1), (1, "", 0)),
}
"""Units of amounts with their decimals, the largest first."""
_STICKY = {"lang": translations.LANGUAGES, "colours": _COLOURS}


@dataclass(frozen=True)
class ViewerPreferences:
    """The preferences for one page. `chosen` is the part given in the address; links carry it on."""

    path: str
    language: str
    colours: str
    chosen: Mapping[str, str]
    query: Mapping[str, str]

    def text(self, key: str) -> str:
        return translations.text(key, self.language)

    def explain(self, remark: str, line: WalkLine) -> str:
        """The meaning of a walk's remark, with the walk's numbers and advice."""
        numbers = Numbers(line.pages, line.rows, line.bad, line.expected)
        return explain_remark(remark, numbers, self.language)

    def closure(self, note: DayNote) -> str:
        """The reason for a closed day, in the visitor's language where it has a translation."""
        return note.closure_ko if self.language == "ko" else note.closure or ""

    def hidden_inputs(self, **values: str) -> Markup:
        """The visitor's choices as fields of a form, with further values."""
        field = Markup('<input type="hidden" name="{}" value="{}">')
        return Markup("").join(field.format(*pair) for pair in {**self.chosen, **values}.items())

    def meaning(self, code: str) -> str:
        return translations.meaning(code, self.language)

    def explain_error(self, error: str) -> list[str]:
        return translations.explain_error(error, self.language)

    def big(self, value: float | None) -> str:
        return amount(value, self.language)

    def value(self, series: str, value: float, digits: int) -> str:
        """A value of a chart: an amount of money shortened, everything else with its decimals."""
        if series == "turnover":
            return self.big(value)
        return f"{value:,.{digits}f}".replace("-", "−")

    def check_name(self, check: Check) -> str:
        """The name of a check; schedules keep their own."""
        return translations.text(f"name_{check.name}", self.language) if check.name in CHECKS else check.name

    def check_reason(self, check: Check) -> str:
        """The reason of a check, in Korean if there is a translation."""
        cause = str(check.values.get("cause", ""))
        meaning = " ".join(self.explain_error(cause)) or cause
        if self.language == "en" or not check.message:
            return f"{check.reason}. {meaning}" if meaning not in ("", cause) else check.reason
        text = translations.text(check.message, self.language).format_map(check.values)
        return f"{text} {meaning}".rstrip()

    def reason(self, line: SlotLine | Failure) -> str:
        """The reason beside a line of a slot: the meaning of its error, or the error itself."""
        if line.status == Mark.ABSENT:
            return self.text("absent_is")
        error = line.error or ""
        return " ".join(self.explain_error(error)) or error

    def link(self, path: str, **query: str) -> str:
        """An address within the site, with the visitor's choices. Empty values are left out."""
        given = {name: value for name, value in query.items() if value}
        return _address(path, {**self.chosen, **given})

    def again(self, **choice: str) -> str:
        """The address of the current page, including day and order, in another language or other colours."""
        return _address(self.path, {**self.query, **choice})

    def sector_labels(self, targets: Mapping[str, Target], sectors: Mapping[str, Sector]) -> dict[str, str]:
        """The labels of some targets by key, for a chart."""
        return {
            key: f"{self.sector_name(sectors.get(target.sector), target.sector)} {self.text(target.exchange)}"
            for key, target in targets.items()
        }

    def sector_name(self, sector: Sector | None, code: str) -> str:
        """A sector's name in the visitor's language."""
        if sector is None:
            return code
        return (sector.name_ko if self.language == "ko" else sector.name_en) or sector.name_ko or code


def _address(path: str, query: Mapping[str, str]) -> str:
    """An address of this site. Leading slashes are merged, because two of them would name another site."""
    return "/" + quote(path.lstrip("/"), safe="/:.") + (f"?{urlencode(query)}" if query else "")


def reader_of(request: PageRequest) -> ViewerPreferences:
    """The preferences in the address, else the browser's preference."""
    chosen = {key: request.query[key] for key, known in _STICKY.items() if request.query.get(key) in known}
    language = chosen.get("lang") or translations.language(request.headers.get("accept-language", ""))
    return ViewerPreferences(
        request.path, language, chosen.get("colours", _COLOURS[0]), chosen, request.query
    )


def clock(at: datetime | None) -> str:
    """A time of day in Korea: hours and minutes, and seconds unless they are 0."""
    if at is None:
        return "–"
    there = at.astimezone(KST)
    return f"{there:%H:%M:%S}" if there.second else f"{there:%H:%M}"


def moment(at: datetime | None) -> str:
    """An instant in Korea with its day, to the second."""
    return "–" if at is None else f"{at.astimezone(KST):%Y-%m-%d %H:%M:%S}"


def tenths(at: datetime) -> str:
    """A time of day in Korea to the tenth of a second, for the arrival of pages."""
    local = at.astimezone(KST)
    return f"{local:%H:%M:%S}.{local.microsecond // 100_000}"


def compact(at: datetime) -> str:
    """A slot in the form of addresses: 20261120T110000, Korean time."""
    return f"{at.astimezone(KST):%Y%m%dT%H%M%S}"


def amount(value: float | None, language: str) -> str:
    """A large amount, shortened: 4.3조, 8,190억, 35만 in Korean; 4.3T, 819.0B, 12.0M in English."""
    if value is None:
        return "–"
    for (size, unit, digits), (smaller, _, fewer) in pairwise(_UNITS[language]):
        if round(abs(value) / smaller, fewer) * smaller >= size:  # the smaller unit would show a round 10,000
            return f"{value / size:,.{digits}f}{unit}".replace("-", "−")
    return f"{value:,.0f}".replace("-", "−")


def percent(value: float | None) -> str:
    """A change with its sign. Zero has none, and minus is U+2212."""
    if value is None:
        return "–"
    change = round(float(value), 2)
    return f"{change:+.2f} %".replace("-", "−") if change else "0.00 %"


def level(value: float | None) -> str:
    """The CSS class of a change: u1 … u5, d1 … d5, or n0."""
    if value is None or abs(float(value)) < 0.05:
        return "n0"
    size = next((n for n, bound in enumerate((0.25, 0.75, 1.5, 3.0), 1) if abs(float(value)) < bound), 5)
    return f"{'u' if float(value) > 0 else 'd'}{size}"


def whole(value: int | None) -> str:
    """An integer with thousands separators."""
    return "–" if value is None else f"{value:,}"


def signed(value: int) -> str:
    """An integer with its sign and thousands separators. Zero has no sign, and minus is U+2212."""
    return f"{value:+,}".replace("-", "−") if value else "0"
