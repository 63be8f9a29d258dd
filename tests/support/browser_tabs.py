"""Tabs of a real Chromium, and the complaints of the browser about a page."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from playwright.async_api import Browser, Page, async_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_QUIET = [
    *("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--in-process-gpu", "--disable-software-rasterizer", "--no-zygote"),
]
"""The last three save processes of the browser, and so a tenth of its time."""
_LEFT = "net::ERR_ABORTED"
"""The failure of an icon whose page is left before the icon is there."""


@dataclass
class Tab:
    """A tab, and the errors, dialogs and failed requests of its pages."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        page, complain = self.page, self.complaints.append
        page.on("console", lambda line: complain(f"{line.text} {line.location['url']}"))
        page.on("pageerror", lambda error: complain(str(error)))
        page.on("dialog", lambda dialog: complain(dialog.message))
        page.on("requestfailed", lambda request: request.failure == _LEFT or complain(request.url))


@dataclass
class Tabs:
    """A browser, and its tab for the tests that need nothing special: a new tab costs as much as three pages.

    Tests may read the clipboard in the common tab and move its clock.
    """

    browser: Browser
    _common: Tab | None = None

    @asynccontextmanager
    async def open(
        self, *, width: int = 1100, height: int = 900, **options: object
    ) -> AsyncIterator[tuple[Page, list[str]]]:
        """A tab of the test's own, and its complaints."""
        viewport = {"width": width, "height": height}
        context = await self.browser.new_context(viewport=viewport, **options)  # type: ignore[arg-type]
        tab = Tab(await context.new_page())
        yield tab.page, tab.complaints
        await context.close()

    @asynccontextmanager
    async def common(self, *, width: int = 1100) -> AsyncIterator[tuple[Page, list[str]]]:
        """The tab that tests share, empty again. The pages keep nothing in a browser but their own address."""
        if self._common is None:
            context = await self.browser.new_context(
                viewport={"width": 1100, "height": 900}, permissions=["clipboard-read", "clipboard-write"]
            )
            self._common = Tab(await context.new_page())
            await self._common.page.clock.install()
        tab = self._common
        await tab.page.goto("about:blank")
        await tab.page.set_viewport_size({"width": width, "height": 900})
        tab.complaints.clear()
        yield tab.page, tab.complaints


@asynccontextmanager
async def launched() -> AsyncIterator[Tabs]:
    """A browser as long as the block runs."""
    async with async_playwright() as play:
        browser = await play.chromium.launch(executable_path=CHROMIUM, args=_QUIET)
        yield Tabs(browser)
        await browser.close()
