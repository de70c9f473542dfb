"""LoRAs in a workspace: brought by a modal, merged and compared by command."""

from tests.bot.quick_lora import a_file
from tests.bot.slack.harness import Atelier
from tests.fakes.slack import Heard


async def brings(atelier: Atelier, name: str, content: bytes) -> Heard:
    """Open the modal of /lora import, and send it with this file."""
    heard = await atelier.says(atelier.ana, "/lora", f"import {name}")
    assert heard.view is not None, heard.words
    file = atelier.slack.upload(atelier.ana, f"{name}.safetensors", content)
    return await atelier.slack.submit(atelier.ana, heard.view, {"name": name, "file": [file]})


async def test_a_lora_comes_by_the_modal_and_paints(atelier: Atelier) -> None:
    sent = await brings(atelier, "fox", a_file())

    assert not sent.errors, sent.errors
    await atelier.says(atelier.ana, "/imagine", "a tree --lora fox --steps 2")
    await atelier.shows(lambda message: "Painted in" in message.words)


async def test_a_pickle_is_refused_in_the_modal(atelier: Atelier) -> None:
    sent = await brings(atelier, "fox", b"\x80\x02}q\x00." * 9)

    assert "which can run code" in " ".join(sent.errors.values())


async def test_a_modal_without_a_file_asks_for_one(atelier: Atelier) -> None:
    heard = await atelier.says(atelier.ana, "/lora", "import fox")
    assert heard.view is not None

    sent = await atelier.slack.submit(atelier.ana, heard.view, {"name": "fox", "file": []})

    assert sent.errors == {"file": "Add the LoRA's .safetensors file."}


async def test_a_merge_answers_with_its_sheet_for_who_asked(atelier: Atelier) -> None:
    for name in ("fox", "owl"):
        assert not (await brings(atelier, name, a_file(name))).errors

    await atelier.says(atelier.ana, "/lora", "merge both fox:0.7 owl:0.5")

    direct = atelier.slack.direct(atelier.ana)
    await atelier.slack.until(
        lambda: any("both merges fox:0.7" in message.words for message in direct.messages)
    )


async def test_a_comparison_is_a_card(atelier: Atelier) -> None:
    assert not (await brings(atelier, "fox", a_file())).errors

    await atelier.says(atelier.ana, "/compare", "a tree --lora fox --steps 2")

    await atelier.shows(lambda message: "Painted in" in message.words)


async def test_loras_are_shown_as_cards_with_what_they_paint(atelier: Atelier) -> None:
    assert not (await brings(atelier, "fox", a_file())).errors

    heard = await atelier.says(atelier.ana, "/loras", "--like wood")

    await atelier.wait_for_file(atelier.ana, "gallery.png")
    words, cards = heard.ephemerals
    assert "1 LoRA nearest to “wood”" in words.words
    assert "likes 0 · for its owner only · by " in cards.words
    assert cards.pictures == []
