"""A real browser at the web chat's page."""

import atexit
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from signal import SIGKILL
from subprocess import DEVNULL, PIPE, Popen
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Page, Playwright, async_playwright, expect
from playwright.async_api import TimeoutError as PlaywrightTimeoutError

CHROMIUM = Path("/usr/bin/chromium")
REQUIRED = "ATELIER_BROWSER"  # the environment variable that says "required" where the browser must be
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
STARTING = 60.0  # seconds that the browser may take on a busy machine, the first time
TRIES = 3  # now and then one hangs while it starts beside other work
MIDDLE_AND_BORDER = """
async (address) => {
  const bitmap = await createImageBitmap(await (await fetch(address)).blob());
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
  const pixel = (x, y) => [...data.subarray((y * bitmap.width + x) * 4).subarray(0, 3)];
  const middle = [], border = [];
  for (let x = 0; x < bitmap.width; x++) for (let y = 0; y < bitmap.height; y++) {
    const far = Math.max(Math.abs(x / bitmap.width - 0.5), Math.abs(y / bitmap.height - 0.5));
    if (far < 0.08) middle.push(pixel(x, y));
    if (far > 0.47) border.push(pixel(x, y));
  }
  return [middle, border];
}
"""
Pixel = list[int]


def check_installed() -> None:
    """Skip the test where there is no browser, with the reason; fail it where there must be one."""
    reason = f"there is no browser at {CHROMIUM}: apt-get install chromium"
    if CHROMIUM.exists():
        return
    if os.environ.get(REQUIRED) == "required":
        pytest.fail(reason)
    pytest.skip(reason)


@cache
def chromium() -> str:
    """Where the one Chromium of all tests listens: the system's, without a window, until they end."""
    check_installed()
    profile = TemporaryDirectory(prefix="atelier-browser-", ignore_cleanup_errors=True)
    options = (*ARGUMENTS, "--headless=new", "--remote-debugging-port=0", f"--user-data-dir={profile.name}")
    program = Popen([CHROMIUM, *options], stderr=PIPE, stdout=DEVNULL, text=True, start_new_session=True)

    def end() -> None:
        os.killpg(program.pid, SIGKILL)
        program.communicate()
        profile.cleanup()

    atexit.register(end)
    assert program.stderr is not None
    for line in program.stderr:
        if "DevTools listening on " in line:
            Thread(target=program.stderr.read, daemon=True).start()  # or it would stop at a full pipe
            return line.rpartition(" ")[2].strip()
    raise RuntimeError("the browser did not start")


@asynccontextmanager
async def a_browser() -> AsyncIterator[Browser]:
    """The browser, with nobody's windows or cookies in it."""
    async with async_playwright() as playwright:
        browser = await _connected(playwright)
        try:
            yield browser
        finally:
            for context in browser.contexts:
                await context.close()
            await browser.close()


async def _connected(playwright: Playwright) -> Browser:
    """The browser; one that says nothing is left alone, and another one started."""
    for _ in range(TRIES):
        try:
            return await playwright.chromium.connect_over_cdp(chromium(), timeout=STARTING * 1000)
        except PlaywrightTimeoutError:
            chromium.cache_clear()
    raise RuntimeError(f"{TRIES} browsers said nothing for {STARTING:g} seconds each")


class Visit:
    """Somebody who looks at the page, clicks and types; `complaints` are the browser's about our code."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.words = page.get_by_role("combobox", name="Message")
        self.options = page.get_by_role("option")
        self.notices = page.get_by_label("Only you can see this")
        self.state = page.locator("#state")
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._hear)

    @classmethod
    async def come(cls, browser: Browser, address: str, **how: Any) -> "Visit":
        context = await browser.new_context(**{"viewport": {"width": 1280, "height": 860}, **how})
        visit = cls(await context.new_page())
        visit.page.set_default_timeout(20_000)
        await visit.page.goto(address)
        await visit.connects()
        return visit

    async def connects(self, seconds: float = 30) -> None:
        await expect(self.state).to_have_text("Connected", timeout=seconds * 1000)

    async def says(self, text: str) -> None:
        """Type it all at once, and send it."""
        await self.words.fill(text)
        await self.words.press("Escape")
        await self.words.press("Enter")

    async def types(self, text: str) -> None:
        """Type it letter by letter."""
        await self.words.press_sequentially(text)

    async def paints(self, text: str, seconds: float = 60) -> Locator:
        """Say it, and wait for the pictures of the new card."""
        before = await self.jobs()
        await self.says(text)
        return await self.new_card(before, seconds)

    async def new_card(self, before: list[str], seconds: float = 60) -> Locator:
        """The card that was not among those before, once it is painted."""
        others = "".join(f':not([data-job="{job}"])' for job in before)
        card = self.page.locator(f".card{others}")
        await expect(card).to_have_attribute("data-state", "succeeded", timeout=seconds * 1000)
        return self.card(await card.get_attribute("data-job") or "")

    def card(self, job: str) -> Locator:
        return self.page.locator(f'.card[data-job="{job}"]')

    async def jobs(self) -> list[str]:
        """The jobs of the cards, from top to bottom."""
        jobs: list[str] = await self.page.locator(".card").evaluate_all(
            "cards => cards.map(card => card.dataset.job)"
        )
        return jobs

    async def seed(self, card: Locator) -> str:
        """The seed in the card's recipe."""
        text = await card.locator(".command code").text_content() or ""
        seed = re.search(r"--seed (\d+)", text)
        assert seed, text
        return seed[1]

    async def pixels(self, card: Locator) -> tuple[list[Pixel], list[Pixel]]:
        """The pixels in the middle and at the border of the card's first picture, from its PNG."""
        thumb = await card.locator(".shot img").first.get_attribute("src") or ""
        address = thumb.replace("/thumbs/", "/pictures/").replace(".webp", ".png")
        middle, border = await self.page.evaluate(MIDDLE_AND_BORDER, address)
        return middle, border

    async def wider_than_the_window(self) -> list[str]:
        """What sticks out at the right."""
        elements: list[str] = await self.page.evaluate(
            "() => [...document.querySelectorAll('.main *')]"
            ".filter(element => element.getBoundingClientRect().right > innerWidth + 1)"
            ".map(element => element.outerHTML.slice(0, 80))"
        )
        return elements

    def _hear(self, message: Any) -> None:
        expected = "ERR_CONNECTION" in message.text or "status of 422" in message.text
        if message.type in ("error", "warning") and not expected:
            self.complaints.append(f"{message.text} ({message.location.get('url')})")


Comes = Callable[..., Awaitable[Visit]]
