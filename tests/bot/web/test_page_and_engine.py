"""The whole way: the program as people start it, the engine with the model that ships, and a real browser."""

import asyncio
import io
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.async_api import FilePayload, Locator, expect

from tests.bot.web.browser import Pixel, Visit, a_browser

ROOT = Path(__file__).parents[3]
CIRCLE = "a big red circle on a white background"
HALF_DONE = """() => document.querySelector(".frame img")
  && document.querySelector("[role=progressbar]")?.ariaValueNow > 0"""
TWICE_AS_WIDE = """() => [...document.querySelectorAll(".frame:has(img)")].some(
  (frame) => frame.clientWidth > 1.9 * frame.clientHeight)"""


class Program:
    """`python -m bot` on a folder of its own; started again it is the same bot."""

    process: asyncio.subprocess.Process | None = None

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.config = folder / "config.toml"
        self.config.write_text(
            f'[engine]\nfiles = "files"\n[storage]\ndatabase = "atelier.db"\n[local]\nport = {self.port}\n'
        )

    async def start(self) -> str:
        """Start it; the address that it prints."""
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot"),
            cwd=ROOT,
            env={**os.environ, "ATELIER_CONFIG": str(self.config)},
            stdout=asyncio.subprocess.PIPE,
        )
        assert self.process.stdout is not None
        line = (await asyncio.wait_for(self.process.stdout.readline(), 30)).decode()
        assert "http://" in line, line
        return next(word for word in line.split() if word.startswith("http://"))

    async def end(self, number: signal.Signals) -> int:
        """Send it this signal, and wait; its exit status."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        await asyncio.wait_for(self.process.communicate(), 30)
        assert self.process.returncode is not None
        return self.process.returncode


@pytest.fixture
async def program(tmp_path: Path) -> AsyncIterator[Program]:
    program = Program(tmp_path)
    yield program
    if program.process is not None:
        await program.end(signal.SIGKILL)


@pytest.mark.timeout(300)
async def test_the_whole_way_from_a_typed_word_to_an_old_button(program: Program) -> None:
    async with a_browser() as browser:
        address = await program.start()
        ana = await Visit.come(browser, address)

        await ana.types("/im")
        await ana.words.press("Tab")
        await ana.types(f"{CIRCLE} --ste")
        await ana.words.press("Tab")
        await ana.types("20 --seed 7")
        await ana.words.press("Enter")
        await ana.page.wait_for_function(HALF_DONE, timeout=120_000)
        first = await ana.new_card([])

        middle, border = await ana.pixels(first)
        assert share(middle, red) > 0.8
        assert share(border, whitish) > 0.8

        before = await ana.jobs()
        await first.get_by_role("button", name="Paint it again").click()
        again = await ana.new_card(before)
        assert await again.locator(".prompt").text_content() == CIRCLE
        assert await ana.seed(first) == "7" != await ana.seed(again)

        before = await ana.jobs()
        await ana.says(f"/imagine {CIRCLE} --count 2 --steps 100")
        await ana.page.wait_for_function(TWICE_AS_WIDE)  # both pictures are seen while they are painted
        await ana.new_card(before)

        before = await ana.jobs()
        await first.get_by_role("button", name="Change the recipe").click()
        form = ana.page.get_by_role("dialog", name="/imagine")
        await expect(form.get_by_label("prompt")).to_have_value(CIRCLE)
        await form.get_by_label("prompt").fill(CIRCLE.replace("red", "blue"))
        await form.get_by_role("button", name="Paint").click()
        blue = await ana.new_card(before)
        assert await ana.seed(blue) == "7"
        assert share((await ana.pixels(blue))[0], red) < 0.1

        await edit_a_picture(ana, first)

        star = first.get_by_role("button", name="Add the picture to your favourites")
        await star.click()
        await expect(star).to_have_attribute("aria-pressed", "true")

        assert await program.end(signal.SIGINT) == 0
        await expect(ana.state).not_to_have_text("Connected")
        assert await program.start() == address
        await ana.connects()
        before = await ana.jobs()
        assert len(before) == 7
        await expect(star).to_have_attribute("aria-pressed", "true")
        await first.get_by_role("button", name="Paint it again").click()
        await ana.new_card(before, seconds=120)

        await ana.page.reload()
        await ana.connects()
        await expect(ana.page.locator(".card")).to_have_count(8)
        await ana.page.get_by_role("button", name="My favourites").first.click()
        await expect(ana.page.get_by_role("button", name=f"Open: {CIRCLE}")).to_have_count(1)
        assert ana.complaints == []


@pytest.mark.timeout(300)
async def test_a_bot_that_was_killed_paints_on_before_the_same_eyes(program: Program) -> None:
    async with a_browser() as browser:
        address = await program.start()
        ana = await Visit.come(browser, address)
        for _ in range(2):
            await ana.says(f"/imagine {CIRCLE} --steps 60 --count 2")
        await expect(ana.page.get_by_role("progressbar").first).to_be_visible(timeout=90_000)

        await program.end(signal.SIGKILL)
        await expect(ana.state).not_to_have_text("Connected")
        assert await program.start() == address

        await ana.connects()
        finished = ana.page.locator('.card[data-state="succeeded"]')
        await expect(finished).to_have_count(2, timeout=150_000)
        await expect(ana.page.locator(".card")).to_have_count(2)
        assert ana.complaints == []


async def verify_a_jpeg(ana: Visit, card: Locator) -> None:
    """The card's picture, downloaded and saved as a JPEG, is from here."""
    await card.get_by_role("button", name="Open:").click()
    address = await ana.page.get_by_role("link", name="Download").get_attribute("href")
    await ana.page.keyboard.press("Escape")
    answer = await ana.page.context.request.get(f"{ana.page.url.rstrip('/')}{address}")
    saved = io.BytesIO()
    Image.open(io.BytesIO(await answer.body())).convert("RGB").save(saved, "JPEG", quality=85)

    await ana.says("/verify")
    form = ana.page.get_by_role("dialog", name="/verify")
    jpeg: FilePayload = {"name": "saved.jpg", "mimeType": "image/jpeg", "buffer": saved.getvalue()}
    await form.locator("input[type=file]").set_input_files([jpeg])
    await expect(form.get_by_text("saved.jpg")).to_be_visible()
    await form.get_by_role("button", name="Verify").click()
    await expect(ana.notices.last).to_contain_text("It carries the watermark of here")
    await expect(ana.notices.last).to_contain_text(await card.get_attribute("data-job") or "")


async def edit_a_picture(ana: Visit, card: Locator) -> None:
    """Its circle becomes blue under the brush, there is more at its left, it is enlarged, and from here."""
    before = await ana.jobs()
    await card.get_by_role("button", name="Change a part").click()
    brush = ana.page.get_by_role("dialog", name="Draw over what should change")
    await expect(brush.get_by_role("application")).to_be_focused()
    for key in ("]", "]", "]", "]", "]", "]", "Space"):
        await ana.page.keyboard.press(key)
    await brush.get_by_label("What should be there").fill(CIRCLE.replace("red", "blue"))
    await brush.get_by_role("button", name="Change it").click()
    changed = await ana.new_card(before)
    assert share((await ana.pixels(changed))[0], blue) > 0.8

    await changed.get_by_role("button", name="picture 1, part changed").click()
    await expect(card).to_be_focused()  # what it is from

    before = await ana.jobs()
    await changed.get_by_label("More").select_option(label="⬅️ Extend the picture to the left.")
    extended = await ana.new_card(before)
    await expect(extended.locator(".shot img")).to_have_js_property("naturalWidth", 192)

    before = await ana.jobs()
    await ana.says(f"/upscale 4 --image {await extended.get_attribute('data-job')}")
    enlarged = await ana.new_card(before)
    await expect(enlarged.locator(".shot img")).to_have_attribute("width", "768")
    await verify_a_jpeg(ana, enlarged)


def share(pixels: list[Pixel], wanted: Callable[[Pixel], bool]) -> float:
    return sum(wanted(pixel) for pixel in pixels) / len(pixels)


def red(pixel: Pixel) -> bool:
    return pixel[0] > 150 and pixel[1] < 90 and pixel[2] < 90


def blue(pixel: Pixel) -> bool:
    return pixel[2] > 150 and pixel[0] < 90


def whitish(pixel: Pixel) -> bool:
    return min(pixel) > 200
