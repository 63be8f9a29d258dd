"""The page in a real browser: what a person sees, by mouse, by keyboard, on a phone.

COLLECTOR_SCREENSHOTS=docs/images ./dev test tests/web/test_browser.py -k pictures takes the pictures of the docs.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright

from collector.web.chart import Point, chart
from tests.support import web_harness, web_scene
from tests.support.harness import fetch
from tests.support.web_harness import WICKED, Stand

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = [
    *("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
PATHS = [
    *("/", "/day/2026-11-20", "/heat/KOSPI/KRX", "/sector/KOSPI/001/KRX", "/listing/000002"),
    *("/slot/20261120T091500", "/walk/20261120T091500/KOSPI/008/KRX", "/walk/20261120T091000/KOSPI/001/KRX"),
    *("/failures", "/search?q=1", "/sectors?market=KOSPI", "/sector/KOSPI/013/KRX?day=2026-11-22"),
]
LOST = "/nothing"
LEFT = "net::ERR_ABORTED"
"""What becomes of an icon when its page is left before it is there."""

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no chromium here (apt-get install chromium)"
)


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as play:
        chromium = await play.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        await chromium.close()


@asynccontextmanager
async def tab(
    browser: Browser, *, width: int = 1100, height: int = 900, **options: object
) -> AsyncIterator[tuple[Page, list[str]]]:
    """A tab of a reader's own, and what the browser complains of."""
    context = await browser.new_context(viewport={"width": width, "height": height}, **options)  # type: ignore[arg-type]
    found = await context.new_page()
    complaints: list[str] = []
    found.on("console", lambda said: complaints.append(f"{said.text} {said.location['url']}"))
    found.on("pageerror", lambda error: complaints.append(str(error)))
    found.on("dialog", lambda dialog: complaints.append(dialog.message))
    found.on("requestfailed", lambda request: request.failure == LEFT or complaints.append(request.url))
    yield found, complaints
    await context.close()


@pytest.mark.parametrize("language", ["ko-KR", "en-US"])
async def test_pages_speak_the_browsers_language_and_the_browser_has_no_complaint(shown, browser, language):
    async with tab(browser, locale=language) as (page, complaints):
        for path in PATHS:
            await page.goto(shown.url + path)
            assert await page.get_attribute("html", "lang") == language[:2]
        assert complaints == []
        await page.goto(shown.url + LOST)
        assert await page.get_attribute("html", "lang") == language[:2]
    assert [said.rpartition(" ")[2] for said in complaints] == [shown.url + LOST]


async def test_pages_fit_a_phone_and_everything_that_can_be_focused_has_a_name(shown, browser):
    script = """all => all.filter(one => !(one.ariaLabel || one.getAttribute('aria-label') || one.textContent.trim()))
                .map(one => one.outerHTML)"""
    async with tab(browser, width=360) as (page, _):
        for path in [*PATHS, LOST]:
            await page.goto(shown.url + path)
            assert await page.evaluate("document.documentElement.scrollWidth") <= 360, path
            assert await page.eval_on_selector_all("a, [tabindex='0'], summary", script) == [], path


async def test_the_grid_shows_what_the_ledger_holds(shown, browser):
    async with tab(browser) as (page, _):
        await page.goto(shown.url + "/day/2026-11-20?lang=en")
        labels = await page.eval_on_selector_all(".grid a.sq", "all => all.map(one => one.ariaLabel)")
    held = await fetch(
        shown.address,
        "SELECT to_char(slot AT TIME ZONE 'Asia/Seoul', 'HH24:MI ') || concat_ws('/', market, sector, exchange)"
        " || ': ' || status FROM walk",
    )
    assert sorted(labels) == sorted(label.replace("-", "−") for (label,) in held)


async def test_the_map_shows_what_the_rows_say(shown, browser):
    async with tab(browser) as (page, _):
        await page.goto(shown.url + "/heat/KOSPI/KRX?lang=ko")
        labels = await page.eval_on_selector_all(
            ".map.wide a", "all => all.map(one => one.getAttribute('aria-label'))"
        )
    held = await fetch(
        shown.address,
        "SELECT CASE sector WHEN '008' THEN '화학' ELSE '전기/전자' END || ' '"
        " || to_char(avg(change_percent), 'SG0.00') || ' %' FROM latest"
        " WHERE exchange = 'KRX' AND sector IN ('008', '013') GROUP BY sector",
    )
    assert sorted(labels) == sorted(label.replace("-", "−") for (label,) in held)


@pytest.mark.parametrize(("colours", "redder"), [("korean", True), ("western", False)])
async def test_up_is_red_in_korea_and_green_elsewhere(shown, browser, colours, redder):
    async with tab(browser) as (page, _):
        await page.goto(f"{shown.url}/sector/KOSPI/001/KRX?colours={colours}&order=up")
        colour = await page.eval_on_selector("td.u", "one => getComputedStyle(one).color")
    red, green, _ = (int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))
    assert (red > green) is redder


async def test_a_square_leads_to_its_walk_by_keyboard_alone(shown, browser):
    async with tab(browser) as (page, _):
        await page.goto(shown.url + "/?lang=en")
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.className") == "skip"
        await page.keyboard.press("Enter")
        for _ in range(400):
            await page.keyboard.press("Tab")
            label = await page.evaluate("document.activeElement.ariaLabel")
            if label == "09:15 KOSPI/008/KRX: failed":
                break
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/walk/20261120T091500/KOSPI/008/KRX*")
        assert "[1504:해당 URI" in await page.inner_text("main")


CONTRAST = """() => {
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


@pytest.mark.parametrize("colours", ["korean", "western"])
async def test_text_stands_out_in_light_and_dark(shown, browser, colours):
    async with tab(browser) as (page, _):
        for path in [*PATHS, LOST]:
            await page.goto(f"{shown.url}{path}?colours={colours}")
            for scheme in ("light", "dark"):
                await page.emulate_media(color_scheme=scheme)
                assert await page.evaluate(f"matchMedia('(prefers-color-scheme: {scheme})').matches")
                assert await page.evaluate(CONTRAST) == [], (path, scheme)


@pytest.mark.parametrize("language", ["ko", "en"])
async def test_the_names_on_the_map_stay_on_their_tiles(shown, browser, language):
    script = """all => all.filter(one => one.getClientRects().length).map(one => {
        const [text, tile] = [one, one.parentElement.querySelector("rect")].map(n => n.getBoundingClientRect());
        return tile.right - text.right })"""
    async with tab(browser) as (page, _):
        await page.goto(f"{shown.url}/heat/KOSPI/KRX?lang={language}")
        for width in (1100, 360):
            await page.set_viewport_size({"width": width, "height": 900})
            room = await page.eval_on_selector_all(".map text", script)
            assert len(room) >= 4, width
            assert min(room) >= 0, width


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize(("value", "unit"), [(108_500, ""), (1_234_000, ""), (-29.5, " %")])
async def test_a_chart_has_room_for_the_labels_of_its_axis(shown, browser, width, value, unit):
    drawn = chart([("KRX", [Point(web_harness.NOW, value)])], least=1, digits=2 if unit else 0, unit=unit)
    assert drawn
    script = "(one, text) => { one.textContent = text; return one.getComputedTextLength() }"
    async with tab(browser, width=width) as (page, _):
        await page.goto(shown.url + "/listing/000002")
        widths = [await page.eval_on_selector(".chart .tick", script, tick.text) for tick in drawn.up]
        boxes = await page.eval_on_selector_all(
            ".chart .tick", "all => all.map(one => [one.getBBox().x, one.getBBox().x + one.getBBox().width])"
        )
    assert max(widths) <= drawn.left - 6
    assert all(left >= 0 and right <= drawn.width for left, right in boxes[1:])


@pytest.mark.parametrize("path", ["/slot/20261120T091500", "/failures"])
async def test_a_phone_shows_the_reason_and_the_command_of_a_failure(shown, browser, path):
    async with tab(browser, width=390) as (page, _):
        await page.goto(shown.url + path)
        right = await page.eval_on_selector_all(
            ".stacked td", "all => all.map(one => one.getBoundingClientRect().right)"
        )
        assert await page.locator(".stacked .said:visible").count() >= 2
    assert max(right) <= 390


async def test_a_phone_names_the_tiles_that_are_too_small_for_a_name(shown, browser):
    async with tab(browser, width=390) as (page, _):
        await page.goto(shown.url + "/heat/KOSPI/KRX?lang=ko")
        tiles = await page.locator(".map.tall a").count()
        named = await page.locator(".map.tall text:not(.num)").count()
        assert await page.locator(".nameless li").count() == tiles - named


async def test_a_page_is_a_card_and_a_universe_keeps_its_spelling(shown, browser):
    style = "(one, name) => getComputedStyle(one, name === 'textTransform' ? '::first-letter' : null)[name]"
    async with tab(browser) as (page, _):
        await page.goto(shown.url + "/sector/KOSPI/013/KRX")
        card = await page.eval_on_selector("main", style, "backgroundColor")
        assert card != await page.eval_on_selector("body", style, "backgroundColor")
        await page.goto(shown.url + "/day/2026-11-20")
        assert await page.eval_on_selector("h2.given", style, "textTransform") == "none"


async def test_a_wicked_name_is_shown_and_does_nothing(shown, browser):
    async with tab(browser) as (page, complaints):
        await page.goto(shown.url + "/listing/000001")
        heading = await page.inner_text("h1")
    assert (heading.startswith(WICKED), complaints) == (True, [])


async def test_it_works_without_scripts(shown, browser):
    async with tab(browser, java_script_enabled=False) as (page, _):
        await page.goto(shown.url + "/?lang=en")
        await page.click("text=09:15 >> nth=0")
        await page.wait_for_url("**/slot/20261120T091500*")


async def test_every_page_renews_itself_without_scripts(shown, browser):
    async with tab(browser, java_script_enabled=False) as (page, _):
        for path in [*PATHS, LOST]:
            await page.goto(shown.url + path)
            assert await page.locator('noscript meta[http-equiv="refresh"]').count() == 1, path


async def test_every_page_renews_itself_with_scripts(shown, browser):
    async with tab(browser) as (page, _):
        await page.clock.install()
        for path in [*PATHS, LOST]:
            await page.goto(shown.url + path)
            async with page.expect_request(
                lambda request: request.resource_type == "fetch", timeout=60_000
            ) as asked:
                await page.clock.run_for(11_000)
            assert (await asked.value).url == shown.url + path


@pytest.mark.slow
async def test_it_renews_itself(server, template, browser):
    from collector.db.database import Database
    from collector.db.pool import open_pool

    async with (
        server.database(template=template) as address,
        web_harness.page(address) as shown,
        tab(browser) as (page, _),
    ):
        await page.clock.install()
        await page.goto(shown.url + "/?lang=en")
        async with open_pool(address, size=3) as pool:
            await web_harness.fill(Database(pool, address))
        assert await page.locator("a.sq.complete").count() == 0
        async with asyncio.timeout(120):
            while not await page.locator("a.sq.complete").count():
                await page.clock.run_for(5_000)


PICTURES = {
    "overview": ("/", {"locale": "ko-KR", "width": 1100, "height": 1180}),
    "map": ("/heat/KOSPI/KRX", {"locale": "en-US", "width": 1000, "height": 840, "color_scheme": "dark"}),
    "sector": ("/sector/KOSPI/001/KRX", {"locale": "en-US", "width": 1000, "height": 1180}),
    "compare": (
        "/compare?targets=KOSPI/001/KRX,KOSPI/013/KRX,KOSPI/008/KRX",
        {"locale": "ko-KR", "width": 1000, "height": 760},
    ),
    "search": ("/search?q=%E3%85%85%E3%85%85", {"locale": "ko-KR", "width": 1000, "height": 560}),
    "failures": ("/failures", {"locale": "en-US", "width": 1000, "height": 760}),
    "listing": ("/listing/005930", {"locale": "ko-KR", "width": 1000, "height": 960}),
    "failure": ("/walk/20261120T110000/KOSPI/013/KRX", {"locale": "en-US", "width": 1000, "height": 680}),
    "phone": ("/", {"locale": "ko-KR", "width": 390, "height": 844}),
}


def test_every_picture_is_taken_here_and_shown_in_the_docs():
    docs = Path(__file__).parents[2] / "docs"
    assert {path.stem for path in (docs / "images").iterdir()} == set(PICTURES)
    shown = (docs / "how-to" / "use-the-status-page.md").read_text()
    assert [name for name in PICTURES if f"](../images/{name}.png)" not in shown] == []


@pytest.mark.skipif("COLLECTOR_SCREENSHOTS" not in os.environ, reason="nobody asked for pictures")
async def test_pictures_are_taken(server, template, browser):
    folder = Path(os.environ["COLLECTOR_SCREENSHOTS"])
    stand = Stand(yaml=web_scene.YAML, now=lambda: web_scene.NOW)
    async with server.database(template=template) as address:
        await web_scene.play(address)
        async with web_harness.page(address, stand) as shown:
            for name, (path, look) in PICTURES.items():
                async with tab(browser, **look) as (page, complaints):
                    await page.goto(shown.url + path)
                    await page.screenshot(path=folder / f"{name}.png")
                    assert complaints == []
