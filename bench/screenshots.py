"""`python -m bench.screenshots`: the PNG files of docs that show the page, from a bot that runs.

The model that ships is taught four LoRAs, merges two and compares one; then a browser looks. With a
folder, what was learned there stays, and the next time only the pictures are taken again. With --editing
nothing is learned, and only the brush and a chain of pictures are taken.
"""

import argparse
import asyncio
import io
import json
import re
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from aiohttp import ClientSession, ClientWebSocketResponse, CookieJar
from PIL import Image
from playwright.async_api import Locator, Page, async_playwright, expect

from bench.chat import a_bot
from engine.demo.captions import plain
from engine.demo.lora_trials import scenes
from engine.demo.renderer import draw
from engine.demo.world import Scene, Thing, sample_layout

DOCS = Path(__file__).parents[1] / "docs"
CHROMIUM = "/usr/bin/chromium"
NUMBERS = count(1)  # of what is asked
SAMPLES = "; ".join(
    f"a big {colour} {{trigger}} {{subject}} on a {background} background"
    for colour, background in (("red", "white"), ("green", "yellow"), ("blue", "black"))
)
SIDE = 128  # pixels of a picture to learn from
TO_EDIT = "/imagine a big red circle on a white background --steps 20 --seed 7 --size 128x128"
OVER_THE_CIRCLE = ((0.34, 0.49), (0.58, 0.49), (0.33, 0.62), (0.58, 0.64), (0.36, 0.74), (0.54, 0.75))
TO_THE_LEFT = "⬅️ Extend the picture to the left."


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What a LoRA is taught: scenes that all have the same, and a word for it in their captions."""

    name: str
    trigger: str
    shape: str  # the word of the caption that the trigger stands for, or before which it stands
    scenes: Sequence[Scene]
    steps: int
    batch: int

    @property
    def captions(self) -> list[str]:
        """The scenes in words; a shape that the model knows keeps its name beside the new word."""
        new = f"{self.trigger} {self.subject}".strip()
        return [plain(one).replace(self.shape, new) for one in self.scenes]

    @property
    def subject(self) -> str:
        """The class word; what the model never saw has none that says anything to it."""
        return "" if self.shape in ("arrow", "gear") else self.shape


def lessons(steps: int, batch: int) -> list[Trial]:
    """Two shapes that the model has never seen, and two ways to draw those that it knows."""
    big = Thing(shape="arrow", colour="red", size="big")
    taught = (
        ("arrow", "ohwx", big),
        ("gear", "zrkn", replace(big, shape="gear")),
        ("hatched", "vmrt", replace(big, shape="circle", hatched=True)),
        ("outline", "qlpx", replace(big, shape="star", filled=False)),
    )
    return [
        Trial(
            name=name,
            trigger=trigger,
            shape=thing.shape,
            scenes=scenes(8, seed, thing),
            steps=steps,
            batch=batch,
        )
        for seed, (name, trigger, thing) in enumerate(taught, start=1)
    ]


def drawn(scene: Scene, number: int) -> bytes:
    """A drawing of the scene, as a PNG."""
    file, layout = io.BytesIO(), sample_layout(np.random.default_rng(number), scene, SIDE, SIDE)
    Image.fromarray(draw(scene, layout)).save(file, "PNG")
    return file.getvalue()


class Person:
    """Somebody with the page open, without a browser."""

    def __init__(self, address: str, session: ClientSession, page: ClientWebSocketResponse) -> None:
        self._address, self._session, self._page = address, session, page
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        """All the time: who does not read is hung up on."""
        async for message in self._page:
            for told in json.loads(message.data):
                if told.get("n") in self._answers and not told.get("later"):
                    self._answers.pop(told["n"]).set_result(told)

    async def ask(self, **asked: object) -> dict[str, Any]:
        """The answer, however late it comes."""
        number = next(NUMBERS)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        await self._page.send_json({"n": number, **asked})
        return await answer

    async def does(self, **asked: object) -> dict[str, Any]:
        """The reply to a command, a form or a button, which must be a yes."""
        reply: dict[str, Any] = (await self.ask(**asked))["reply"]
        if not reply["ok"]:
            raise RuntimeError(reply["text"])
        return reply

    async def ends(self, job: str, wanted: Sequence[str] = ("succeeded", "failed")) -> None:
        """Wait until the job is so."""
        while True:
            (card,) = (await self.ask(card=job))["cards"]
            if card["state"] in wanted and (card["state"] != "draft" or card["sheet"]):
                return
            await asyncio.sleep(0.5)

    async def paints(self, text: str) -> str:
        """Say it, and wait for the pictures; the job."""
        job: str = (await self.does(say=text))["job"]
        await self.ends(job)
        return job

    async def sends(self, name: str, content: bytes) -> dict[str, str]:
        """A picture to learn from, as the form of /train names it."""
        to, origin = f"{self._address}/uploads?name={name}", {"Origin": self._address}
        async with self._session.post(to, data=content, headers=origin) as answer:
            (kept,) = (await answer.json())["pictures"]
        return {"sha256": kept["sha256"], "name": kept["name"], "caption": ""}

    async def teaches(self, lesson: Trial) -> None:
        """Pictures are sent, the form is filled in, the training is started and ends."""
        sent = [await self.sends(f"{nth}.png", drawn(one, nth)) for nth, one in enumerate(lesson.scenes)]
        told = [one | {"caption": caption} for one, caption in zip(sent, lesson.captions, strict=True)]
        values = {
            "name": lesson.name,
            "trigger": lesson.trigger,
            "subject": lesson.subject,
            "preset": "subject",
            "samples": SAMPLES,
            "steps": str(lesson.steps),
            "every": str(max(1, lesson.steps // 4)),
            "batch": str(lesson.batch),
            "pictures": json.dumps(told),
            "consent": "true",
        }
        job = (await self.does(fill={"command": "train", "values": values}))["job"]
        await self.ends(job, ["draft"])
        await self.does(press=f"start:{job}")
        await self.ends(job)
        await self.does(say=f"/lora {lesson.name} --share space")


@asynccontextmanager
async def a_person(address: str, name: str) -> AsyncIterator[Person]:
    """Somebody of this name, in the first channel."""
    async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as session:
        await session.get(f"{address}/commands.json")
        async with session.ws_connect(f"{address}/live", origin=address, max_msg_size=0) as page:
            person = Person(address, session, page)
            await person.ask(open="general")
            await person.ask(name=name)
            yield person
            person.reading.cancel()


async def use(people: Sequence[Person]) -> None:
    """Some paint with what was learned, and some like it; in the end one compares."""
    ana, ben, cleo = people
    for word, lora, times in (("ohwx", "arrow", 3), ("vmrt circle", "hatched", 2), ("zrkn", "gear", 1)):
        for nth in range(times):
            job = await people[nth].paints(
                f"/imagine a big red {word} on a white background --lora {lora} --steps 12"
            )
            for fan in people[: times - nth]:
                await fan.does(press=f"keep:{job}:1")
    sheet = await ben.paints(
        "/compare a big red ohwx on a white background --lora arrow --steps 20 --seed 5 --weights 0.5,1,1.3"
    )
    for fan in (ana, cleo):
        await fan.does(press=f"keep:{sheet}:1")


async def see_it_paint(person: Person, page: Page) -> None:
    """The channel with a finished picture and one that is half done."""
    await person.paints("/imagine a purple triangle above a yellow moon on a green background --seed 4")
    reply = await person.does(say="/imagine a big red heart on a white background --steps 100 --count 2")
    painting = page.locator(f'.card[data-job="{reply["job"]}"]')
    await expect(painting).to_contain_text(re.compile("Step 1[2-9][0-9] of 200"), timeout=60_000)
    await page.screenshot(path=DOCS / "chat.png")


async def press_and_wait(page: Page, press: Callable[[], Awaitable[object]]) -> Locator:
    """The card of what a press paints, once it is painted."""
    cards = page.locator(".card")
    before = await cards.count()
    await press()
    await expect(cards).to_have_count(before + 1)
    await expect(cards.last).to_have_attribute("data-state", "succeeded", timeout=120_000)
    await page.wait_for_timeout(1000)
    return cards.last


async def see_it_edit(address: str) -> None:
    """The brush over a picture, and the card of a picture that began with two others."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page(viewport={"width": 1280, "height": 860})
        await page.goto(address)
        await expect(page.locator("#state")).to_have_text("Connected", timeout=30_000)
        await page.get_by_role("combobox", name="Message").fill(TO_EDIT)
        first = await press_and_wait(page, lambda: page.get_by_role("button", name="Send").click())
        await first.get_by_role("button", name="Change a part").click()
        brush = page.get_by_role("dialog", name="Draw over what should change")
        await brush.get_by_label("Brush size").fill("30")
        await brush.get_by_label("What should be there").fill("a blue heart on a white background")
        box = await brush.get_by_role("application").bounding_box()
        if box is None:
            raise RuntimeError("the brush is not open")
        for nth, (x, y) in enumerate(OVER_THE_CIRCLE):
            await page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=8)
            if nth == 0:
                await page.mouse.down()
        await page.mouse.up()
        await page.screenshot(path=DOCS / "brush.png")
        send = brush.get_by_role("button", name="Change it")
        changed = await press_and_wait(page, lambda: send.click())
        more = changed.get_by_label("More")
        extended = await press_and_wait(page, lambda: more.select_option(label=TO_THE_LEFT))
        await expect(extended.get_by_role("button", name="extended to the left")).to_be_visible()
        await page.locator(".recipe").evaluate_all("all => all.forEach((one) => (one.open = false))")
        await page.set_viewport_size({"width": 1280, "height": 1720})
        await page.wait_for_timeout(1000)
        await page.locator("#feed").screenshot(path=DOCS / "chain.png")
        await browser.close()


async def look(address: str, person: Person) -> None:
    """The pictures of the page: a comparison, a finished training, the gallery of LoRAs, the channel."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page(viewport={"width": 1280, "height": 980})
        await page.goto(address)
        sheet = page.locator(".card .shot img").last
        await expect(sheet).to_be_visible(timeout=30_000)
        await page.wait_for_timeout(1000)
        await page.locator(".card .shot button.open").last.click()
        await page.wait_for_timeout(1500)
        await page.screenshot(path=DOCS / "compare.png")
        await page.keyboard.press("Escape")
        trained = page.locator(".card").filter(has=page.locator(".training")).filter(has_text="arrow").first
        await page.set_viewport_size({"width": 1280, "height": 1400})  # all of the card beside the composer
        await trained.scroll_into_view_if_needed()
        await page.wait_for_timeout(1000)
        await trained.screenshot(path=DOCS / "training-card.png")
        await page.get_by_role("button", name="LoRAs").first.click()
        await page.get_by_label("Search LoRAs").fill("a red hatched circle on a white background")
        await page.get_by_role("button", name="Search by look").click()
        await expect(page.locator(".likeness").first).to_be_visible(timeout=60_000)
        await page.wait_for_timeout(1500)
        await page.screenshot(path=DOCS / "loras.png")
        await page.get_by_role("button", name="general").first.click()
        await see_it_paint(person, page)
        await browser.close()


async def main(folder: Path, steps: int, batch: int, *, editing: bool) -> None:
    """Teach and use what is not there yet, then look."""
    async with AsyncExitStack() as stack:
        _, address = await stack.enter_async_context(a_bot(folder))
        if editing:
            await see_it_edit(address)
            return
        people = [await stack.enter_async_context(a_person(address, name)) for name in ("Ana", "Ben", "Cleo")]
        names = {one["name"] for one in (await people[1].does(say="/loras"))["loras"]}
        missing = [one for one in lessons(steps, batch) if one.name not in names]
        for nth, lesson in enumerate(missing):
            print(f"teaching {lesson.name}", flush=True)
            await people[nth % 2].teaches(lesson)
        if missing:
            await people[0].does(say="/lora merge both arrow:0.7 hatched:0.5")
            await people[0].does(say="/lora both --share space")
            await use(people)
        await look(address, people[0])
        await see_it_edit(address)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.screenshots")
    parser.add_argument(
        "--folder", type=Path, help="where the bot keeps what it learns; one for once if left out"
    )
    parser.add_argument("--steps", type=int, default=500, help="of each training")
    parser.add_argument(
        "--batch", type=int, default=4, help="pictures of a step: fewer are faster and teach less"
    )
    parser.add_argument("--editing", action="store_true", help="only the brush and a chain")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (told.folder or Path(temporary)).absolute()
        asyncio.run(main(folder, told.steps, told.batch, editing=told.editing))
