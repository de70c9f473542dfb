"""What people call themselves on the page, and what is written with half a character in it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.chats.interface import Caller
from bot.config import AdminSettings
from tests.bot.fake_chat import Seen
from tests.bot.web.page_client import PageClient, Place, a_place

UNSEEN = "A name must have 1 to 32 visible characters."
AN_ADMINS = "This name looks like an admin's. Choose another one."


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with a_place(tmp_path, admins=AdminSettings(local=("Maria Root",))) as place:
        yield place


@pytest.mark.parametrize(
    "name",
    ["\u3164", "\u2800\u2800", "\uffa0", "\u115f\u1160", "Ana\u3164", "\u0301\u0302", "\ufe0f", "\u200b"],
)
async def test_a_name_that_nobody_sees_is_refused(place: Place, name: str) -> None:
    ana = await place.comes()

    assert (await ana.ask(name=name))["error"] == UNSEEN


@pytest.mark.parametrize("name", ["Ana", "Łukasz", "Søren", "李小龍", "محمد", "Дмитрий", "J0", "🦊", "❤️"])
async def test_names_of_all_scripts_are_names(place: Place, name: str) -> None:
    ana = await place.comes()

    assert (await ana.ask(name=name))["name"] == name


@pytest.mark.parametrize(
    "name",
    [
        "maria root",
        "Maria R00t",
        "\u041c\u0430ria Root",  # Cyrillic
        "Mari\u03b1 R\u03bf\u03bft",  # Greek
        "\uff2d\uff41\uff52\uff49\uff41 \uff32\uff4f\uff4f\uff54",  # full width
        "Mar1a Root",
        "MarlaRoot",
        "Máriá Root",
        "rnaria root",
    ],
)
async def test_a_name_that_looks_like_an_admins_is_refused(place: Place, name: str) -> None:
    eve = await place.comes()

    assert (await eve.ask(name=name))["error"] == AN_ADMINS
    assert (await eve.ask(name="Maria Rot"))["name"] == "Maria Rot"


async def test_an_admin_who_is_named_by_a_key_keeps_the_name(tmp_path: Path) -> None:
    async with a_place(tmp_path) as place:
        ana = await place.comes()
        key = ana.hello["key"]
        cookies = ana.session
        await ana.ask(name="Ana")
        await ana.paints()
        await ana.leave(session=False)
        place.clients.clear()

    async with a_place(tmp_path, admins=AdminSettings(local=(key,))) as place:
        ana, eve = await place.comes(session=cookies), await place.comes()

        assert (await eve.ask(name="Ana"))["error"] == AN_ADMINS
        assert (await eve.ask(name="ANA"))["error"] == AN_ADMINS
        assert (await ana.ask(name="ana"))["name"] == "ana"


@pytest.mark.parametrize(
    "words",
    [
        "/admin people \ud800",
        "/admin people \udfff --block",
        "/admin limits \ud800 --jobs 3",
        "/admin rules --refuse \ud83d",
        "/train \ud800",
        "/lora \ud800",
        "/settings --no \ud800",
        "/help \ud800",
        "\ud800",
    ],
)
async def test_half_a_character_is_told_in_one_sentence(place: Place, words: str) -> None:
    root = await place.comes()
    await root.ask(name="Maria Root")

    reply = await root.says(words)

    assert (reply["ok"], reply["text"]) == (
        False,
        "There is a broken character in this. Write it again without it.",
    )


async def test_half_a_character_in_forms_and_buttons_is_told_too(place: Place) -> None:
    root = await place.comes()
    await root.ask(name="Maria Root")

    filled = (await fills(root, "admin people", {"who": "\ud800"}), await fills(root, "\ud800", {}))
    pressed = await root.presses("again:\ud800")

    for reply in (*filled, pressed):
        assert not reply["ok"]
        assert reply["text"] == "There is a broken character in this. Write it again without it."


async def test_half_a_character_in_a_chats_own_names_stops_nobody(place: Place) -> None:
    caller = Caller(
        chat="fake",
        space="home",
        space_name="home \ud83d",
        channel="home",
        person="ana",
        person_name="Ana \ud83d",
    )

    assert (await Seen.of(place.bot.dispatch.say(caller, "/imagine a fox --steps 1"))).ok


async def test_an_export_that_cannot_be_written_is_told_in_one_sentence(place: Place) -> None:
    ana = await place.comes()
    await ana.paints()
    store = place.bot.files.folder
    store.rename(store.with_name("elsewhere"))
    store.write_bytes(b"no folder")

    reply = await ana.says("/privacy export")

    assert (reply["ok"], reply["text"]) == (
        False,
        "The export could not be written. The bot's disk may be full. Try again later.",
    )
    store.unlink()
    store.with_name("elsewhere").rename(store)
    assert (await ana.says("/privacy export"))["files"]


async def fills(client: PageClient, command: str, values: dict[str, str]) -> dict[str, Any]:
    reply: dict[str, Any] = (await client.ask(fill={"command": command, "values": values}))["reply"]
    return reply
