"""A command with a picture, which the page was never told of: its form, its upload, and whose file it is."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import FilePayload, expect

from tests.bot.training_cases import a_picture
from tests.bot.web.browser import Comes
from tests.bot.web.page_client import Place, a_place

pytestmark = pytest.mark.usefixtures("mirror")


@pytest.fixture
async def place(tmp_path: Path, mirror: None) -> AsyncIterator[Place]:
    async with a_place(tmp_path) as place:
        yield place


def payload(content: bytes) -> FilePayload:
    return {"name": "fox.png", "mimeType": "image/png", "buffer": content}


async def test_a_picture_is_chosen_in_its_form_and_comes_back(place: Place, comes: Comes) -> None:
    visit = await comes()
    await visit.says("/mirror a fox --side left hand")
    form = visit.page.get_by_role("dialog", name="/mirror")
    await expect(form.locator("[name=words]")).to_have_value("a fox")

    await form.locator("input[type=file]").set_input_files([payload(a_picture(1))])
    await expect(form.get_by_text("Sent", exact=True)).to_be_visible()
    await form.get_by_label("side").select_option("left hand")
    await form.get_by_role("button", name="Turn it").click()

    await expect(visit.notices.last).to_contain_text("a fox, left hand up")
    await expect(visit.notices.last.get_by_role("link", name="mirrored.png")).to_be_visible()


async def test_what_is_no_picture_is_refused_in_its_field(place: Place, comes: Comes) -> None:
    visit = await comes()
    await visit.says("/mirror a fox")
    form = visit.page.get_by_role("dialog", name="/mirror")

    await form.locator("input[type=file]").set_input_files([payload(b"these are no pixels")])

    await expect(form.get_by_role("status")).to_contain_text("not a picture that can be read")
    visit.complaints.clear()  # the browser's about the answer


async def test_a_picture_beside_the_message_is_in_the_form_already(place: Place, comes: Comes) -> None:
    visit = await comes()
    await visit.page.locator("#files").set_input_files([payload(a_picture(1))])
    await expect(visit.page.locator("#chips [data-is=sent]")).to_be_visible()

    await visit.says("/mirror a fox")
    form = visit.page.get_by_role("dialog", name="/mirror")
    await expect(form.get_by_text("Sent", exact=True)).to_be_visible()
    await form.get_by_role("button", name="Turn it").click()

    await expect(visit.notices.last).to_contain_text("a fox, top up")


async def test_a_picture_is_its_persons_alone_whoever_knows_its_hash(place: Place) -> None:
    ana, bo = await place.comes(), await place.comes()
    _, sent = await ana.post("/uploads?name=fox.png", a_picture(1))
    sha256 = json.loads(sent)["pictures"][0]["sha256"]
    fill = {"command": "mirror", "values": {"words": "a fox", "picture": sha256}}

    hers, his = [(await client.ask(fill=fill))["reply"] for client in (ana, bo)]
    typed = await bo.says(f"/mirror a fox --picture {sha256}")

    assert hers["files"][0]["name"] == "mirrored.png"
    assert not typed["ok"] and typed["text"] == "The picture is no longer here. Send it again."
    assert his["text"] == typed["text"]


async def test_a_word_that_is_no_file_is_refused(place: Place) -> None:
    client = await place.comes()

    reply = await client.says("/mirror a fox --picture fox.png")

    assert reply["text"] == "The file cannot be read. Send it with the form."
