"""The page in a real browser: what a person sees, by mouse, by keyboard, on a phone.

COLLECTOR_SCREENSHOTS=docs/images ./dev test tests/web/test_browser.py -k pictures takes the pictures of the docs.
"""

import asyncio
import os
from pathlib import Path

import pytest

from collector.web.chart import Point, chart
from tests.support import web_harness, web_scene
from tests.support.harness import fetch
from tests.support.web_harness import WICKED, Stand

EXTENDED = pytest.mark.extended


async def test_the_grid_shows_what_the_ledger_holds(shown, tabs):
    async with tabs.common() as (page, _):
        await page.goto(shown.url + "/day/2026-11-20?lang=en")
        labels = await page.eval_on_selector_all(".grid a.sq", "all => all.map(one => one.ariaLabel)")
    held = await fetch(
        shown.address,
        "SELECT to_char(slot AT TIME ZONE 'Asia/Seoul', 'HH24:MI ') || concat_ws('/', market, sector, exchange)"
        " || ': ' || status FROM walk",
    )
    assert sorted(labels) == sorted(label.replace("-", "−") for (label,) in held)


@pytest.mark.extended
async def test_the_map_shows_what_the_rows_say(shown, tabs):
    async with tabs.common() as (page, _):
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


@pytest.mark.extended
@pytest.mark.parametrize(("colours", "redder"), [("korean", True), ("western", False)])
async def test_up_is_red_in_korea_and_green_elsewhere(shown, tabs, colours, redder):
    async with tabs.common() as (page, _):
        await page.goto(f"{shown.url}/sector/KOSPI/001/KRX?colours={colours}&order=up")
        colour = await page.eval_on_selector("td.u", "one => getComputedStyle(one).color")
    red, green, _ = (int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))
    assert (red > green) is redder


@EXTENDED
async def test_a_square_leads_to_its_walk_by_keyboard_alone(shown, tabs):
    async with tabs.common() as (page, _):
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


@pytest.mark.extended
@pytest.mark.parametrize("language", ["ko", "en"])
async def test_the_names_on_the_map_stay_on_their_tiles(shown, tabs, language):
    script = """all => all.filter(one => one.getClientRects().length).map(one => {
        const [text, tile] = [one, one.parentElement.querySelector("rect")].map(n => n.getBoundingClientRect());
        return tile.right - text.right })"""
    async with tabs.common() as (page, _):
        await page.goto(f"{shown.url}/heat/KOSPI/KRX?lang={language}")
        for width in (1100, 360):
            await page.set_viewport_size({"width": width, "height": 900})
            room = await page.eval_on_selector_all(".map text", script)
            assert len(room) >= 4, width
            assert min(room) >= 0, width


@pytest.mark.extended
@pytest.mark.parametrize("width", [390, 1440])
async def test_a_chart_has_room_for_the_labels_of_its_axis(shown, tabs, width):
    script = """(one, texts) => texts.map(text => { one.textContent = text; return one.getComputedTextLength() })"""
    async with tabs.common(width=width) as (page, _):
        await page.goto(shown.url + "/listing/000002")
        boxes = await page.eval_on_selector_all(
            ".chart .tick", "all => all.map(one => [one.getBBox().x, one.getBBox().x + one.getBBox().width])"
        )
        for value, unit in ((108_500, ""), (1_234_000, ""), (-29.5, " %")):
            drawn = chart(
                [("KRX", [Point(web_harness.NOW, value)])], least=1, digits=2 if unit else 0, unit=unit
            )
            assert drawn
            widths = await page.eval_on_selector(".chart .tick", script, [tick.text for tick in drawn.up])
            assert max(widths) <= drawn.left - 6, value
            assert all(left >= 0 and right <= drawn.width for left, right in boxes[1:]), value


@pytest.mark.extended
@pytest.mark.parametrize("path", ["/slot/20261120T091500", "/failures"])
async def test_a_phone_shows_the_reason_and_the_command_of_a_failure(shown, tabs, path):
    async with tabs.common(width=390) as (page, _):
        await page.goto(shown.url + path)
        right = await page.eval_on_selector_all(
            ".stacked td", "all => all.map(one => one.getBoundingClientRect().right)"
        )
        assert await page.locator(".stacked .said:visible").count() >= 2
    assert max(right) <= 390


@pytest.mark.extended
async def test_a_phone_names_the_tiles_that_are_too_small_for_a_name(shown, tabs):
    async with tabs.common(width=390) as (page, _):
        await page.goto(shown.url + "/heat/KOSPI/KRX?lang=ko")
        tiles = await page.locator(".map.tall a").count()
        named = await page.locator(".map.tall text:not(.num)").count()
        assert await page.locator(".nameless li").count() == tiles - named


@pytest.mark.extended
async def test_a_page_is_a_card_and_a_universe_keeps_its_spelling(shown, tabs):
    style = "(one, name) => getComputedStyle(one, name === 'textTransform' ? '::first-letter' : null)[name]"
    async with tabs.common() as (page, _):
        await page.goto(shown.url + "/sector/KOSPI/013/KRX")
        card = await page.eval_on_selector("main", style, "backgroundColor")
        assert card != await page.eval_on_selector("body", style, "backgroundColor")
        await page.goto(shown.url + "/day/2026-11-20")
        assert await page.eval_on_selector("h2.given", style, "textTransform") == "none"


@pytest.mark.extended
async def test_a_wicked_name_is_shown_and_does_nothing(shown, tabs):
    async with tabs.common() as (page, complaints):
        await page.goto(shown.url + "/listing/000001")
        heading = await page.inner_text("h1")
    assert (heading.startswith(WICKED), complaints) == (True, [])


@EXTENDED
async def test_it_works_without_scripts(shown, tabs):
    async with tabs.open(java_script_enabled=False) as (page, _):
        await page.goto(shown.url + "/?lang=en")
        await page.click("text=09:15 >> nth=0")
        await page.wait_for_url("**/slot/20261120T091500*")


@pytest.mark.extended
async def test_it_renews_itself(server, template, tabs):
    from collector.db.database import Database
    from collector.db.pool import open_pool

    async with (
        server.database(template=template) as address,
        web_harness.page(address) as shown,
        tabs.open() as (page, _),
    ):
        await page.clock.install()
        await page.goto(shown.url + "/?lang=en")
        async with open_pool(address, size=3) as pool:
            await web_harness.fill(Database(pool, address))
        assert await page.locator("a.sq.complete").count() == 0
        async with asyncio.timeout(600):
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
async def test_pictures_are_taken(server, template, tabs):
    folder = Path(os.environ["COLLECTOR_SCREENSHOTS"])
    stand = Stand(yaml=web_scene.YAML, now=lambda: web_scene.NOW)
    async with server.database(template=template) as address:
        await web_scene.play(address)
        async with web_harness.page(address, stand) as shown:
            for name, (path, look) in PICTURES.items():
                async with tabs.open(**look) as (page, complaints):
                    await page.goto(shown.url + path)
                    await page.screenshot(path=folder / f"{name}.png")
                    assert complaints == []
