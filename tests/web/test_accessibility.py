"""Every page against axe-core, in both languages and both colour schemes, and by keyboard alone."""

import pytest
from axe_playwright_python.async_playwright import Axe

from tests.web.test_browser import LOST, PATHS, browser, pytestmark, tab  # noqa: F401 - the browser of the session

RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations"],
}
CONTRAST = {"runOnly": {"type": "rule", "values": ["color-contrast"]}, "resultTypes": ["violations"]}
"""Nothing else depends on the colour scheme."""
MORE = [
    *("/day?day=2026-11-22", "/search", "/search?q=%EC%A2%85%EB%AA%A9"),
    "/compare?targets=KOSPI/001/KRX,KOSPI/013/KRX",
    "/heat/KOSPI/KRX?slot=20261120T090500&weight=turnover",
]


@pytest.mark.parametrize("language", ["ko", "en"])
async def test_axe_finds_no_violation_on_any_page(shown, browser, language):  # noqa: F811
    told = []
    async with tab(browser) as (page, _):
        for path in [*PATHS, *MORE, LOST]:
            for scheme, rules in (("light", RULES), ("dark", CONTRAST)):
                await page.emulate_media(color_scheme=scheme)
                if scheme == "light":
                    await page.goto(f"{shown.url}{path}{'&' if '?' in path else '?'}lang={language}")
                    await page.evaluate(
                        "document.querySelectorAll('details').forEach(each => (each.open = true))"
                    )
                answer = await Axe().run(page, options=rules)
                told += [
                    f"{path} {scheme} {each['id']}: {node['html'][:120]}"
                    for each in answer.response["violations"]
                    for node in each["nodes"]
                ]
    assert told == []


SMALL = """() => [...document.querySelectorAll("a, button, input:not([type=hidden]), select, summary")]
  .filter(one => one.getClientRects().length && !one.matches(".skip, svg a"))
  .filter(one => { const box = one.getBoundingClientRect();
    if (box.width >= 24 && box.height >= 24) return false;
    const line = one.parentElement;
    return !(line.textContent.trim() !== one.textContent.trim() || line.matches("li, th, dd, p, nav"));
  }).map(one => one.outerHTML.slice(0, 120))"""


@pytest.mark.parametrize("width", [1100, 360])
async def test_every_square_and_control_is_24_pixels_wide_and_high(shown, browser, width):  # noqa: F811
    """Links within a line of text are exempt (WCAG 2.5.8)."""
    async with tab(browser, width=width) as (page, _):
        for path in [*PATHS, *MORE, LOST]:
            await page.goto(shown.url + path)
            assert await page.evaluate(SMALL) == []
            assert await page.evaluate("document.documentElement.scrollWidth") <= width
        await page.goto(shown.url + "/day/2026-11-20")
        sizes = await page.eval_on_selector_all(
            "a.sq", "all => all.map(one => Math.min(one.offsetWidth, one.offsetHeight))"
        )
        assert min(sizes) >= 24


async def test_no_english_word_stands_in_a_korean_page(shown, browser):  # noqa: F811
    """Names of markets, exchanges, codes, commands, and the words of the API may: they are names."""
    names = (
        r"KOSPI\d*|KOSDAQ|KRX\d*|NXT|CONSOLIDATED|CSV|JSON|Parquet|English|Esc|Shift|collector|intraday|boards|API"
        r"|ka\d+|Rejected|Kiwoom|says|URI|ID|script|alert|row|count|IT|once|target|x|overrun|T|lease|daemon"
    )
    script = f"""() => [...document.querySelectorAll("main *, header *, .menu *, dialog *")].flatMap(one =>
        one.closest("code, [lang=en], option, .results, tbody th") ? [] :
        [...one.childNodes].filter(n => n.nodeType === 3).map(n => n.data.replace(/\\b({names})\\b/g, ""))
        .concat([one.getAttribute("aria-label") ?? "", one.getAttribute("title") ?? ""]
          .map(text => text.replace(/\\b({names})\\b/g, ""))))
        .flatMap(text => text.match(/[A-Za-z]{{2,}}/g) ?? [])"""
    async with tab(browser) as (page, _):
        for path in [*PATHS, *MORE, LOST]:
            await page.goto(f"{shown.url}{path}{'&' if '?' in path else '?'}lang=ko")
            assert await page.evaluate(script) == [], path


async def test_the_keyboard_searches_steps_and_helps(shown, browser):  # noqa: F811
    async with tab(browser) as (page, complaints):
        await page.goto(shown.url + "/slot/20261120T090500?lang=en")
        await page.keyboard.press("ArrowRight")
        await page.wait_for_url("**/slot/20261120T091000*")
        await page.keyboard.press("ArrowLeft")
        await page.wait_for_url("**/slot/20261120T090500*")
        await page.keyboard.press("?")
        assert await page.locator("#help").is_visible()
        await page.keyboard.press("Escape")
        assert not await page.locator("#help").is_visible()
        await page.keyboard.press("/")
        await page.keyboard.type("ㅈㅁ 7/")
        assert await page.input_value("#q") == "ㅈㅁ 7/"
        await page.keyboard.press("Backspace")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/search?*")
        assert await page.locator(".results a").count() > 0
    assert complaints == []


async def test_a_chart_reads_out_its_values_by_mouse_and_by_keyboard(shown, browser):  # noqa: F811
    async with tab(browser) as (page, complaints):
        await page.goto(shown.url + "/listing/000002?lang=en")
        readout = page.locator(".readout")
        for number, hit in enumerate(await page.locator(".chart .hit").all()):
            await hit.hover()
            assert f"09:{5 * number:02}:00" in await readout.inner_text()
        await page.focus(".chart")
        await page.keyboard.press("ArrowRight")
        await page.keyboard.press("ArrowLeft")
        assert "09:10:00 · KRX" in await readout.inner_text()
    assert complaints == []


async def test_a_table_is_sorted_by_a_column_and_stays_so_when_the_page_renews(shown, browser):  # noqa: F811
    async with tab(browser) as (page, complaints):
        await page.clock.install()
        await page.goto(shown.url + "/sector/KOSPI/013/KRX?lang=en")
        table = page.locator("main table").last
        price = table.locator("thead button", has_text="Price")
        await price.click()

        async def prices() -> list[int]:
            told = await table.locator("tbody tr td:nth-child(3)").all_inner_texts()
            return [int(text.replace(",", "")) for text in told]

        falling = sorted(await prices(), reverse=True)
        assert await prices() == falling
        await price.click()
        assert await prices() == falling[::-1]
        assert await table.locator("th[aria-sort=ascending]").count() == 1
        await page.evaluate("shown = ''")
        async with page.expect_request(lambda request: request.resource_type == "fetch", timeout=60_000):
            await page.clock.run_for(11_000)
        await page.locator("th[aria-sort=ascending]").wait_for()
        assert await prices() == falling[::-1]
    assert complaints == []


async def test_the_slider_of_the_map_goes_to_another_slot(shown, browser):  # noqa: F811
    async with tab(browser) as (page, complaints):
        await page.goto(shown.url + "/heat/KOSPI/KRX?lang=en")
        await page.focus("#map-time")
        await page.keyboard.press("Home")
        await page.wait_for_url("**/heat/KOSPI/KRX?*slot=20261120T090000*")
        assert "09:00:00" in await page.inner_text("main")
    assert complaints == []


async def test_a_command_is_copied_by_its_button(shown, browser):  # noqa: F811
    async with tab(browser, permissions=["clipboard-read", "clipboard-write"]) as (page, _):
        await page.goto(shown.url + "/walk/20261120T091500/KOSPI/008/KRX?lang=en")
        await page.get_by_role("button", name="Copy: collector once --target KOSPI/008/KRX").click()
        await page.get_by_text("Copied").wait_for()
        assert (
            await page.evaluate("navigator.clipboard.readText()") == "collector once --target KOSPI/008/KRX"
        )
