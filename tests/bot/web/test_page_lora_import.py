"""LoRAs brought and merged on the page, in a real browser."""

import asyncio
import json
from pathlib import Path

import pytest
from playwright.async_api import FilePayload, expect

from bot.chats.web import websocket
from tests.bot.quick_lora import a_file
from tests.bot.web.browser import Comes, Visit
from tests.bot.web.page_client import Place, a_place


def payload(name: str, content: bytes) -> FilePayload:
    return {"name": name, "mimeType": "application/octet-stream", "buffer": content}


async def brings(visit: Visit, name: str, content: bytes) -> None:
    """Fill in the form of /lora import, and send it."""
    await visit.says(f"/lora import {name}")
    form = visit.page.get_by_role("dialog", name="/lora import")
    await form.locator("input[type=file]").set_input_files([payload(f"{name}.safetensors", content)])
    await expect(form.get_by_text("Sent", exact=True)).to_be_visible()
    await form.get_by_role("button", name="Import").click()


async def test_a_lora_is_brought_by_its_form_and_two_are_merged(place: Place, comes: Comes) -> None:
    visit = await comes()
    for name in ("fox", "owl"):
        await brings(visit, name, a_file(name))
        await expect(visit.notices.last).to_contain_text(f"The LoRA {name} is ready, for you only")

    await visit.says("/lora merge both fox:0.7 owl:0.5")

    await expect(visit.notices.last).to_contain_text(
        "both merges fox:0.7 and owl:0.5 into one LoRA of rank 16"
    )
    await expect(visit.notices.last.get_by_role("img", name="both-beside-its-mix.png")).to_be_visible()
    await visit.page.get_by_role("button", name="LoRAs").first.click()
    await visit.page.get_by_role("button", name="Details of both").click()
    await expect(visit.page.get_by_role("img", name="Beside the mix that it replaces")).to_be_visible()
    assert visit.complaints == []


async def test_a_file_that_is_no_lora_is_refused_in_its_field(place: Place, comes: Comes) -> None:
    visit = await comes()
    await visit.page.get_by_role("button", name="LoRAs").first.click()
    await visit.page.get_by_role("button", name="Import a LoRA").click()
    form = visit.page.get_by_role("dialog", name="/lora import")

    pickle = payload("bad.safetensors", b"\x80\x02}q\x00." * 9)
    await form.locator("input[type=file]").set_input_files([pickle])

    await expect(form.get_by_text("which can run code")).to_be_visible()


async def test_what_the_engine_refuses_stands_in_the_form(place: Place, comes: Comes) -> None:
    visit = await comes()

    await brings(visit, "fox", a_file("refuse"))

    form = visit.page.get_by_role("dialog", name="/lora import")
    await expect(form.get_by_text("the LoRA is none.")).to_be_visible()


async def test_an_answer_that_takes_long_comes_later_and_others_do_not_wait_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "SOON", 0.05)
    async with a_place(tmp_path, seconds=0.6) as place:
        client = await place.comes()
        for name in ("fox", "owl"):
            _, sent = await client.post("/lora-files", a_file(name))
            values = {"name": name, "file": json.loads(sent)["sha256"]}
            await client.ask(fill={"command": "lora import", "values": values})

        merging = asyncio.create_task(client.says("/lora merge both fox owl"))
        await asyncio.sleep(0.2)
        meanwhile = await client.says("/help")

        assert meanwhile["ok"] and not merging.done()
        assert "into one LoRA" in (await merging)["text"]
