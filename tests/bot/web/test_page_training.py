"""Teaching on the page, in a real browser: the form, the report, the finished card, the LoRAs."""

import io
import re
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import FilePayload, Locator, expect

from tests.bot.quick_lora import a_file
from tests.bot.training_cases import a_picture
from tests.bot.web.browser import Comes, Visit
from tests.bot.web.page_client import Place, a_place


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    (tmp_path / "adapters").mkdir()
    (tmp_path / "adapters" / "ink.safetensors").write_bytes(a_file())
    async with a_place(tmp_path) as place:
        yield place


def files(*numbers: int) -> list[FilePayload]:
    return [
        {"name": f"{number}.png", "mimeType": "image/png", "buffer": a_picture(number)} for number in numbers
    ]


def form_of(visit: Visit) -> Locator:
    return visit.page.get_by_role("dialog", name="/train")


async def hands(visit: Visit, kind: str, number: int) -> None:
    """Drop or paste a picture on the page."""
    await visit.page.evaluate(
        """([kind, name, bytes]) => {
          const carried = new DataTransfer();
          carried.items.add(new File([new Uint8Array(bytes)], name, {type: "image/png"}));
          const how = {cancelable: true, dataTransfer: carried, clipboardData: carried};
          window.dispatchEvent(new (kind === "drop" ? DragEvent : ClipboardEvent)(kind, how));
        }""",
        [kind, f"{kind}.png", list(a_picture(number))],
    )


async def fills(visit: Visit, name: str) -> None:
    """Say /train, give it three pictures, and send the form."""
    await visit.says(f"/train {name}")
    form = form_of(visit)
    await form.locator("input[type=file]").first.set_input_files(files(1, 2, 3))
    await expect(form.get_by_text("3 pictures", exact=True)).to_be_visible()
    await form.get_by_label("preset").select_option("object")
    await form.get_by_label("trigger").fill("ohwx")
    await form.get_by_label("subject").fill("gear")
    await form.get_by_label("steps").first.fill("10")
    await form.get_by_label("You may use these pictures").check()
    await form.get_by_role("button", name="Check the pictures").click()
    await expect(form).to_be_hidden()


async def test_pictures_come_into_the_form_by_every_way(comes: Comes, tmp_path: Path) -> None:
    ana = await comes()
    await ana.says("/train maria")
    form = form_of(ana)
    tiles = form.get_by_role("list", name="Pictures to learn from").locator(".chip")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("zipped.png", a_picture(5))
        archive.writestr("zipped.txt", "a red gear")
        archive.writestr("notes.pdf", b"%PDF")
    bad: FilePayload = {"name": "bad.png", "mimeType": "image/png", "buffer": b"no picture"}
    many: FilePayload = {"name": "many.zip", "mimeType": "application/zip", "buffer": packed.getvalue()}
    words: FilePayload = {"name": "1.txt", "mimeType": "text/plain", "buffer": b"a blue gear"}
    more: FilePayload = {
        "name": "Drop.PNG.txt",
        "mimeType": "text/plain",
        "buffer": "a gear in Zürich".encode("cp1252"),
    }

    await form.locator("input[type=file]").first.set_input_files([*files(1), bad, many, words, more])
    await hands(ana, "drop", 2)
    await hands(ana, "paste", 3)

    await expect(form.get_by_text("4 pictures", exact=True)).to_be_visible()
    await expect(tiles).to_have_count(6)
    await expect(form.get_by_label("Caption of 1.png")).to_have_value("a blue gear")
    await expect(form.get_by_label("Caption of drop.png")).to_have_value("a gear in Zürich")
    await expect(form.get_by_label("Caption of zipped.png")).to_have_value("a red gear")
    await expect(tiles.filter(has_text="bad.png")).to_contain_text("Send a PNG, JPEG or WebP")
    await expect(tiles.filter(has_text="many.zip")).to_contain_text("1 other file was skipped.")
    await expect(tiles.filter(has_text="drop.png")).to_contain_text("128 \u00d7 128")
    seen = tiles.filter(has_text="zipped.png").locator("img")
    await expect(seen).to_have_js_property("naturalWidth", 128)
    await form.get_by_role("button", name="Remove paste.png").click()
    await expect(form.get_by_text("3 pictures", exact=True)).to_be_visible()
    await expect(ana.page.get_by_label("Pictures to send")).to_be_hidden()

    for name, content in {
        "a/1.png": a_picture(7),
        "a/1.txt": b"the seventh",
        "b/8.png": a_picture(8),
    }.items():
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(content)
    (tmp_path / "set" / "cache.npz").write_bytes(b"no picture")
    await form.locator("input[webkitdirectory]").set_input_files(tmp_path / "set")

    await expect(form.get_by_text("5 pictures", exact=True)).to_be_visible()
    await expect(tiles).to_have_count(7)
    await expect(form.get_by_label("Caption of 1.png").last).to_have_value("the seventh")
    await expect(form.get_by_label("Caption of 8.png")).to_have_value("")


async def test_the_form_tells_what_a_preset_is_for_and_what_was_forgotten(comes: Comes) -> None:
    ana = await comes()
    await ana.says("/train maria")
    form = form_of(ana)

    await expect(form.get_by_label("name", exact=True)).to_have_value("maria")
    await expect(form.get_by_label("learning rate")).to_be_hidden()
    before = await form.locator("#field-preset-help").text_content()
    await form.get_by_label("preset").select_option("style")
    await expect(form.locator("#field-preset-help")).not_to_have_text(before or "")
    await form.locator("input[type=file]").first.set_input_files(files(1))
    await expect(form.get_by_text("1 picture", exact=True)).to_be_visible()
    await form.get_by_role("button", name="Check the pictures").click()

    await expect(form.get_by_role("alert")).to_contain_text("you may use these pictures")
    await form.get_by_text("More", exact=True).click()
    await expect(form.get_by_label("text-lr")).to_be_visible()


async def test_a_lora_is_taught_chosen_copied_and_found_again(comes: Comes) -> None:
    ana = await comes(permissions=["clipboard-read", "clipboard-write"])
    await fills(ana, "gear")
    card = ana.page.locator(".card")

    await expect(card.get_by_role("button", name="Open the contact sheet")).to_be_visible()
    await expect(card.locator(".status")).to_contain_text("3 pictures, 10 steps")
    await expect(card.get_by_text("All pictures are fine.")).to_be_visible()
    await card.get_by_role("button", name="Change").click()
    await expect(form_of(ana).get_by_text("3 pictures", exact=True)).to_be_visible()
    await expect(form_of(ana).get_by_label("steps").first).to_have_value("10")
    (before,) = await ana.jobs()
    await form_of(ana).get_by_role("button", name="Check the pictures").click()
    await expect(ana.card(before)).to_have_count(0)
    await card.get_by_role("button", name="Start").click()

    await expect(card).to_have_attribute("data-state", "succeeded", timeout=60_000)
    await expect(card.get_by_role("img", name=re.compile("best checkpoint at step 10"))).to_be_visible()
    await expect(card.get_by_role("group", name="Step 10")).to_contain_text("In use")
    await expect(card.get_by_role("group", name="Untrained")).to_be_visible()
    await card.get_by_role("group", name="Step 5").get_by_role("button", name="Use this one").click()
    await expect(card.get_by_role("group", name="Step 5")).to_contain_text("In use")
    await card.get_by_role("button", name="Copy the command").click()
    line = "/imagine a photo of ohwx gear --lora gear"
    assert await ana.page.evaluate("navigator.clipboard.readText()") == line
    await ana.page.get_by_role("button", name="LoRAs").click()
    found = ana.page.get_by_role("article", name="gear")
    await found.get_by_role("button", name="Use").click()

    await expect(ana.words).to_have_value(line)
    await expect(card).to_be_visible()


async def test_a_lora_is_looked_at_renamed_shared_and_deleted(place: Place, comes: Comes) -> None:
    ana = await comes()
    ben = await comes(viewport={"width": 360, "height": 720})
    await fills(ana, "gear")
    await ana.page.locator(".card").get_by_role("button", name="Start").click()
    await expect(ana.page.locator(".card")).to_have_attribute("data-state", "succeeded", timeout=60_000)
    assert await ben.wider_than_the_window() == []
    loras = ana.page.get_by_role("region", name="LoRAs").get_by_role("article")
    await ana.page.get_by_role("button", name="LoRAs").click()
    await expect(loras).to_have_count(2)
    await ana.page.get_by_label("Search LoRAs").fill("ohwx")
    await expect(loras).to_have_count(1)

    await ana.page.get_by_role("button", name="Details of gear").click()
    about = ana.page.get_by_role("dialog", name="gear")
    await expect(about.get_by_role("img", name=re.compile("Loss curve"))).to_be_visible()
    await about.get_by_role("button", name="Everybody").click()
    await expect(about.get_by_role("button", name="Everybody")).to_have_attribute("aria-pressed", "true")
    await about.get_by_role("button", name="Rename").first.click()
    await about.get_by_label("New name").fill("ink")
    await about.get_by_role("button", name="Rename").last.click()
    await expect(about.get_by_role("alert")).to_contain_text("There is already a LoRA ink here")
    await about.get_by_label("New name").fill("cog")
    await about.get_by_role("button", name="Rename").last.click()
    about = ana.page.get_by_role("dialog", name="cog")
    async with ana.page.expect_download() as download:
        await about.get_by_role("button", name="Download").click()
    assert (await download.value).suggested_filename == "cog.safetensors"
    await ben.says("/loras")
    await expect(ben.notices).to_contain_text("cog")
    await about.get_by_role("button", name="Delete").click()
    await about.get_by_role("button", name="Press again to delete").click()

    await expect(about).to_be_hidden()
    await expect(loras).to_have_count(0)


async def test_pictures_beside_the_message_can_be_taught(comes: Comes) -> None:
    ana = await comes()
    await ana.page.locator("#files").set_input_files(files(1, 2))

    await ana.page.get_by_role("button", name="Train a LoRA with these").click()

    await expect(form_of(ana).get_by_text("2 pictures", exact=True)).to_be_visible()
    await expect(form_of(ana).get_by_text("2.png")).to_be_visible()


async def test_captions_are_described_read_and_changed_in_a_grid_before_the_start(comes: Comes) -> None:
    ana = await comes()
    await ana.says("/train maria")
    form = form_of(ana)
    table: FilePayload = {
        "name": "captions.csv",
        "mimeType": "text/csv",
        "buffer": b"file_name;text\n1.png;a fox\nz.png;x\n",
    }
    await form.locator("input[type=file]").first.set_input_files([*files(1, 2), table])
    await expect(form.get_by_label("Caption of 1.png")).to_have_value("a fox")
    await expect(form.get_by_role("listitem").filter(has_text="z.png")).to_contain_text("no such picture")
    await expect(form.get_by_text("2 pictures", exact=True)).to_be_visible()
    await form.get_by_label("use these pictures").check()
    await form.get_by_role("button", name="Check the pictures").click()

    await ana.page.get_by_role("button", name="Caption for me").click()
    await expect(ana.page.get_by_role("button", name="Caption for me")).to_be_hidden()
    await ana.page.get_by_role("button", name="Captions", exact=True).click()

    grid = ana.page.get_by_role("dialog", name="Captions")
    await expect(grid).to_be_visible()
    draft = await ana.page.get_by_role("button", name="Captions", exact=True).get_attribute("data-press")
    await expect(grid.get_by_label("preset")).to_be_hidden()
    await expect(grid.get_by_label("Caption of 1.png")).to_have_value("a fox")
    await expect(grid.get_by_label("Caption of 2.png")).to_have_value("the captioner's 2.png")
    await grid.get_by_label("Caption of 2.png").fill("a hen\nin the rain")
    await grid.get_by_role("button", name="Check the pictures").click()
    await expect(grid).to_be_hidden()
    await expect(ana.page.locator(f"[data-press='{draft}']")).to_have_count(0)  # another draft took its place

    await ana.page.get_by_role("button", name="Captions", exact=True).click()
    await expect(grid.get_by_label("Caption of 2.png")).to_have_value("a hen\nin the rain")
