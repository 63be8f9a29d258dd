"""One visit to each page with every measurement of it: a visit costs far more than a measurement.

`visit` loads a page once, in a language, and measures it at two widths and in two colour schemes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from axe_playwright_python.base import AXE_FILE_PATH
from playwright.async_api import Page

from tests.support.browser_tabs import Tabs

KINDS = (
    *("/", "/day/2026-11-20", "/heat/KOSPI/KRX", "/sector/KOSPI/001/NXT", "/listing/000002"),
    *("/slot/20261120T091500", "/walk/20261120T091500/KOSPI/008/KRX", "/failures", "/search?q=1"),
    *("/sectors?market=KOSPI", "/compare?targets=KOSPI/001/KRX,KOSPI/013/KRX"),
)
"""A page of each template, with few rows: axe looks at every cell, and the rows of a table are all alike."""
STATES = (
    *("/walk/20261120T091000/KOSPI/001/NXT", "/sector/KOSPI/013/KRX?day=2026-11-22", "/day?day=2026-11-22"),
    *("/search", "/search?q=%EC%A2%85%EB%AA%A9", "/heat/KOSPI/KRX?slot=20261120T090500&weight=turnover"),
)
"""Other states of some of these pages."""
KOREAN_KINDS = (KINDS[1], KINDS[4], *KINDS[6:8])
"""The pages that a plain run visits in Korean: all but one are others than those in English."""
ENGLISH_KINDS = KINDS[:3]
"""The pages that a plain run visits in English: they have most of the elements."""
LOST = "/nothing"
WIDE, NARROW = 1100, 360
"""Widths of a window and of a phone in pixels."""

_RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations"],
}
_CONTRAST = "color-contrast"
_CONTRAST_RULE = {"runOnly": {"type": "rule", "values": [_CONTRAST]}, "resultTypes": ["violations"]}
"""Nothing else depends on the colour scheme. The rule takes half of the time of axe-core."""
_OTHER_RULES = {**_RULES, "rules": {_CONTRAST: {"enabled": False}}}
_AXE = """rules => axe.run(document, rules).then(result => result.violations.flatMap(violation =>
    violation.nodes.map(node => `${violation.id}: ${node.html.slice(0, 120)}`)))"""

_WITHOUT_NAME = """() => [...document.querySelectorAll("a, [tabindex='0'], summary")]
    .filter(one => !(one.ariaLabel || one.getAttribute('aria-label') || one.textContent.trim()))
    .map(one => one.outerHTML)"""
_SMALL = """() => [...document.querySelectorAll("a, button, input:not([type=hidden]), select, summary")]
  .filter(one => one.getClientRects().length && !one.matches(".skip, svg a"))
  .filter(one => { const box = one.getBoundingClientRect();
    if (box.width >= 24 && box.height >= 24) return false;
    const line = one.parentElement;
    return !(line.textContent.trim() !== one.textContent.trim() || line.matches("li, th, dd, p, nav"));
  }).map(one => one.outerHTML.slice(0, 120))"""
"""Links within a line of text are exempt (WCAG 2.5.8)."""

_SQUARES = """() => [...document.querySelectorAll("a.sq")]
    .map(one => Math.min(one.offsetWidth, one.offsetHeight))"""

_NAMES = (
    r"KOSPI\d*|KOSDAQ|KRX\d*|NXT|CONSOLIDATED|CSV|JSON|Parquet|English|Esc|Shift|collector|intraday|boards|API"
    r"|ka\d+|Rejected|Kiwoom|says|URI|ID|script|alert|row|count|IT|once|target|x|overrun|T|lease|daemon"
)
"""Markets, exchanges, codes, commands, and the words of the API."""
_LATIN_WORDS = f"""() => [...document.querySelectorAll("main *, header *, .menu *, dialog *")].flatMap(one =>
    one.closest("code, [lang=en], option, .results, tbody th") ? [] :
    [...one.childNodes].filter(n => n.nodeType === 3).map(n => n.data.replace(/\\b({_NAMES})\\b/g, ""))
    .concat([one.getAttribute("aria-label") ?? "", one.getAttribute("title") ?? ""]
      .map(text => text.replace(/\\b({_NAMES})\\b/g, ""))))
    .flatMap(text => text.match(/[A-Za-z]{{2,}}/g) ?? [])"""

_WEAK_TEXT = """() => {
  const parse = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, n) => sum + v * [.2126, .7152, .0722][n], 0);
  const behind = one => { for (; one; one = one.parentElement) {
    const tile = one.matches("svg a") && one.querySelector("rect");
    if (tile) return parse(getComputedStyle(tile).fill);
    const c = parse(getComputedStyle(one).backgroundColor);
    if (c.length === 3 || c[3] > 0) return c; } return [255, 255, 255]; };
  const ink = one => getComputedStyle(one)[one.matches("svg text") ? "fill" : "color"];
  return [...document.querySelectorAll("main *, header *")].filter(one => one.getClientRects().length
      && [...one.childNodes].some(n => n.nodeType === 3 && n.data.trim())).map(one => {
    const [a, b] = [light(parse(ink(one))), light(behind(one))];
    return [(Math.max(a, b) + .05) / (Math.min(a, b) + .05), one.outerHTML.slice(0, 90)]; })
    .filter(([ratio]) => ratio < 4.5);
}"""

_REFRESHES = """async () => new DOMParser()
    .parseFromString(await (await fetch(location.href)).text(), "text/html")
    .querySelectorAll('noscript meta[http-equiv="refresh"]').length"""
"""A DOMParser runs no script, so it reads a `noscript` as a browser without scripts does."""


@dataclass
class Visit:
    """The measurements of one page. Lists are of faults, each as a piece of HTML."""

    path: str
    address: str
    language: str
    widths: dict[int, int] = field(default_factory=dict)
    """The width of the content by that of the window, in pixels."""
    small: dict[int, list[str]] = field(default_factory=dict)
    """Controls of less than 24 x 24 pixels, by the width of the window."""
    squares: dict[int, list[int]] = field(default_factory=dict)
    """The smaller side of each square of a grid in pixels, by the width of the window."""
    without_name: list[str] = field(default_factory=list)
    latin_words: list[str] = field(default_factory=list)
    weak_text: dict[str, list[Any]] = field(default_factory=dict)
    """Contrast and HTML of texts below 4.5 : 1, by colour scheme."""
    violations: dict[str, list[str]] = field(default_factory=dict)
    """The findings of axe-core, by colour scheme."""
    refreshes: int = 0
    """The orders in the page to load it again for a browser without scripts."""
    renewed_from: str = ""
    """The address from which the script of the page loads it again."""


@dataclass(frozen=True)
class Visits:
    """The visits to all pages by a browser of one locale, the last of them to an address without a page."""

    locale: str
    pages: Sequence[Visit]
    complaints: Sequence[str]
    """The complaints of the browser before the last page was loaded again."""


async def visit_all(
    tabs: Tabs,
    url: str,
    paths: Sequence[str],
    *,
    locale: str,
    colours: str,
    widths: Sequence[int],
    has_contrast: bool,
) -> Visits:
    """Visit these pages, and one that is not there, as a browser of this locale.

    The first width is the one at which pages are loaded.

    The contrast rule of axe-core runs in both schemes or not at all: `has_contrast`. Its result depends on no language.
    """
    rules = (
        {"light": _RULES, "dark": _CONTRAST_RULE} if has_contrast else {"light": _OTHER_RULES, "dark": None}
    )
    visits = []
    async with tabs.open(width=widths[0], locale=locale) as (page, complaints):
        await page.clock.install()
        await page.add_init_script(path=AXE_FILE_PATH)
        for path in [*paths, LOST]:
            address = f"{url}{path}{'&' if '?' in path else '?'}colours={colours}"
            await page.goto(address)
            visit = Visit(path, address, await page.get_attribute("html", "lang") or "")
            for width in widths:
                await _measure_width(page, visit, width)
            await _measure_content(page, visit)
            await page.set_viewport_size({"width": WIDE, "height": 900})
            for scheme, chosen in rules.items():
                await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                await _measure_scheme(page, visit, scheme, chosen)
            seen = list(complaints)
            await _renew(page, visit)
            await page.emulate_media(color_scheme="light")
            await page.set_viewport_size({"width": widths[0], "height": 900})
            visits.append(visit)
    return Visits(locale, visits, seen)


async def _measure_width(page: Page, visit: Visit, width: int) -> None:
    await page.set_viewport_size({"width": width, "height": 900})
    visit.widths[width] = await page.evaluate("document.documentElement.scrollWidth")
    visit.small[width] = await page.evaluate(_SMALL)
    visit.squares[width] = await page.evaluate(_SQUARES)


async def _measure_content(page: Page, visit: Visit) -> None:
    visit.without_name = await page.evaluate(_WITHOUT_NAME)
    visit.latin_words = await page.evaluate(_LATIN_WORDS)


async def _measure_scheme(page: Page, visit: Visit, scheme: str, rules: dict[str, Any] | None) -> None:
    assert await page.evaluate(f"matchMedia('(prefers-color-scheme: {scheme})').matches")
    visit.weak_text[scheme] = await page.evaluate(_WEAK_TEXT)
    await page.evaluate("document.querySelectorAll('details').forEach(each => (each.open = true))")
    if rules:
        visit.violations[scheme] = await page.evaluate(_AXE, rules)


async def _renew(page: Page, visit: Visit) -> None:
    """Load the page again without scripts, and let the time pass after which its script does so."""
    visit.refreshes = await page.evaluate(_REFRESHES)
    async with page.expect_request(
        lambda request: request.resource_type == "fetch", timeout=60_000
    ) as request:
        await page.clock.run_for(11_000)
    visit.renewed_from = (await request.value).url
