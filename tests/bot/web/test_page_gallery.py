"""The gallery of LoRAs and what the safety check covers, in a real browser."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from bot.config import AdminSettings
from tests.bot.quick_lora import a_file
from tests.bot.web.browser import Comes
from tests.bot.web.page_client import Place, a_place
from tests.bot.web.test_page_lora_import import brings


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with a_place(tmp_path, admins=AdminSettings(local=("Root",))) as place:
        yield place


AT_THE_END = """() => {
  const one = document.getElementById("scroll"), left = one.scrollHeight - one.scrollTop - one.clientHeight;
  return document.querySelector("img.lora-sheet").complete && left < 2;
}"""


async def test_cards_tell_votes_and_the_nearest_have_a_bar(place: Place, comes: Comes) -> None:
    visit = await comes()
    await brings(visit, "fox", a_file("fox"))
    await expect(visit.notices.last).to_contain_text("The LoRA fox is ready")
    await visit.page.get_by_role("button", name="LoRAs").first.click()
    card = visit.page.get_by_role("region", name="LoRAs").get_by_role("article", name="fox")
    for fact in ("weight 1", "likes 0", "for its owner only"):
        await expect(card).to_contain_text(fact.replace(" ", "", 1))

    await visit.page.get_by_label("Search LoRAs").fill("wood")
    await visit.page.get_by_role("button", name="Search by look").click()

    await expect(card.get_by_role("img", name="likeness 30.0")).to_be_visible()
    assert visit.complaints == []


async def test_what_the_safety_check_flags_is_covered_until_it_is_opened(place: Place, comes: Comes) -> None:
    root = await place.comes()
    await root.ask(name="Root")
    assert (await root.says("/admin rules --filtered spoiler"))["ok"]
    visit = await comes()

    card = await visit.paints("/imagine a flag --steps 2")
    cover = card.get_by_role("button", name="Show the filtered picture")
    await expect(cover).to_be_visible()
    assert "blur" in await card.locator(".shot img").evaluate("one => getComputedStyle(one).filter")
    await cover.click()

    await expect(cover).to_be_hidden()
    assert await card.locator(".shot img").evaluate("one => getComputedStyle(one).filter") == "none"
    assert "Safety check: hidden until you open it" in (await card.text_content() or "")
    assert visit.complaints == []


async def test_an_admin_gets_the_statistics_drawn(place: Place) -> None:
    root = await place.comes()
    await root.ask(name="Root")

    reply = await root.says("/admin stats")

    assert "By person:" in reply["text"]
    assert [image["name"] for image in reply["drawn"]] == ["stats.png"]
    assert reply["drawn"][0]["url"].startswith("data:image/png;base64,iVBOR")


async def test_my_pictures_come_on_a_sheet_that_stays_in_sight(comes: Comes) -> None:
    ana = await comes()
    for words in ("a fox", "an owl"):
        await ana.paints(f"/imagine {words} --steps 1")

    await ana.says("/gallery")

    await expect(ana.notices.last).to_contain_text("Your pictures here, newest first")
    await expect(ana.page.locator("img.lora-sheet")).to_be_visible()
    await ana.page.wait_for_function(AT_THE_END)
    await expect(ana.page.get_by_role("button", name="Newest")).to_be_hidden()
