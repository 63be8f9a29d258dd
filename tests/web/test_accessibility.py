"""Every page in both languages, at two widths and in both colour schemes; and by keyboard alone."""

import pytest

from tests.support.browser_tabs import Tabs
from tests.support.page_visits import (
    ENGLISH_KINDS,
    KINDS,
    KOREAN_KINDS,
    NARROW,
    STATES,
    WIDE,
    Visits,
    visit_all,
)
from tests.support.web_harness import Page

pytestmark = pytest.mark.extended

PAGES = {
    "ko-KR": KOREAN_KINDS,
    "en-US": ENGLISH_KINDS,
    "ko-KR states": (*(kind for kind in KINDS if kind not in KOREAN_KINDS), *STATES),
    "en-US states": (*(kind for kind in KINDS if kind not in ENGLISH_KINDS), *STATES),
}
KOREAN = ["ko-KR", "ko-KR states"]


@pytest.fixture(scope="session", params=PAGES)
async def visits(shown: Page, tabs: Tabs, request: pytest.FixtureRequest) -> Visits:
    """Visits to pages in a language: one of them in Korean colours and first wide, the other first narrow."""
    if request.param.startswith("ko"):
        korean = {"colours": "korean", "widths": (WIDE, NARROW), "has_contrast": True}
        return await visit_all(tabs, shown.url, PAGES[request.param], locale="ko-KR", **korean)
    western = {"colours": "western", "widths": (NARROW, WIDE), "has_contrast": False}
    return await visit_all(tabs, shown.url, PAGES[request.param], locale="en-US", **western)


def faults(visits, look):
    """The faults that a look finds, by page."""
    return {visit.path: seen for visit in visits.pages if (seen := look(visit))}


async def test_axe_finds_no_violation_on_any_page(visits):
    assert faults(visits, lambda visit: [each for seen in visit.violations.values() for each in seen]) == {}


@pytest.mark.parametrize("visits", KOREAN, indirect=True)
async def test_axe_judges_the_contrast_in_light_and_dark(visits):
    """The language has no part in it, and `test_text_stands_out` measures the western colours."""
    assert all(set(visit.violations) == {"light", "dark"} for visit in visits.pages)


async def test_every_square_and_control_is_24_pixels_wide_and_high(visits):
    for width in (WIDE, NARROW):
        assert faults(visits, lambda visit, width=width: visit.small[width]) == {}, width


@pytest.mark.parametrize("visits", ["ko-KR", "en-US"], indirect=True)
async def test_every_square_of_the_grid_is_24_pixels_wide_and_high(visits):
    [day] = [visit for visit in visits.pages if visit.path == "/day/2026-11-20"]
    for width in (WIDE, NARROW):
        assert min(day.squares[width]) >= 24


async def test_pages_fit_a_phone_and_a_window(visits):
    for width in (WIDE, NARROW):
        assert faults(visits, lambda visit, width=width: visit.widths[width] > width) == {}, width


async def test_everything_that_can_be_focused_has_a_name(visits):
    assert faults(visits, lambda visit: visit.without_name) == {}


async def test_text_stands_out_in_light_and_dark(visits):
    """With axe-core beside it, which does not look into drawings."""
    for scheme in ("light", "dark"):
        assert faults(visits, lambda visit, scheme=scheme: visit.weak_text[scheme]) == {}, scheme


async def test_pages_speak_the_browsers_language_and_the_browser_has_no_complaint(visits):
    assert {visit.language for visit in visits.pages} == {visits.locale[:2]}
    assert [said.rpartition(" ")[2] for said in visits.complaints] == [visits.pages[-1].address]


@pytest.mark.parametrize("visits", KOREAN, indirect=True)
async def test_no_english_word_stands_in_a_korean_page(visits):
    """Names of markets, exchanges, codes, commands, and the words of the API may: they are names."""
    assert faults(visits, lambda visit: visit.latin_words) == {}


async def test_every_page_renews_itself_without_scripts(visits):
    assert {visit.path: visit.refreshes for visit in visits.pages} == dict.fromkeys(
        (visit.path for visit in visits.pages), 1
    )


async def test_every_page_renews_itself_with_scripts(visits):
    assert [visit.renewed_from for visit in visits.pages] == [visit.address for visit in visits.pages]


async def test_the_keyboard_searches_steps_and_helps(shown, tabs):
    async with tabs.common() as (page, complaints):
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


async def test_a_chart_reads_out_its_values_by_mouse_and_by_keyboard(shown, tabs):
    async with tabs.common() as (page, complaints):
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


async def test_a_table_is_sorted_by_a_column_and_stays_so_when_the_page_renews(shown, tabs):
    async with tabs.common() as (page, complaints):
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


async def test_the_slider_of_the_map_goes_to_another_slot(shown, tabs):
    async with tabs.common() as (page, complaints):
        await page.goto(shown.url + "/heat/KOSPI/KRX?lang=en")
        await page.focus("#map-time")
        await page.keyboard.press("Home")
        await page.wait_for_url("**/heat/KOSPI/KRX?*slot=20261120T090000*")
        assert "09:00:00" in await page.inner_text("main")
    assert complaints == []


async def test_a_command_is_copied_by_its_button(shown, tabs):
    async with tabs.common() as (page, _):
        await page.goto(shown.url + "/walk/20261120T091500/KOSPI/008/KRX?lang=en")
        await page.get_by_role("button", name="Copy: collector once --target KOSPI/008/KRX").click()
        await page.get_by_text("Copied").wait_for()
        assert (
            await page.evaluate("navigator.clipboard.readText()") == "collector once --target KOSPI/008/KRX"
        )
