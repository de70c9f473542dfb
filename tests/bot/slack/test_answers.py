"""Answers for one person: seen wherever they ask, with pictures that they may see, cut where long."""

import re
import sqlite3

import pytest

from bot.chats.slack.slash_names import SLASH
from commands.registry import COMMANDS, posting_names
from tests.bot.quick_lora import a_file
from tests.bot.slack.harness import Atelier
from tests.bot.slack.test_arrivals import brings
from tests.fakes.slack import Channel, Heard

SAID = {  # what follows those commands that need something
    "compare": "a fox --lora fox",
    "lora": "fox",
    "lora merge": "both fox:0.5 fox:0.4",
    "show": "k3f9qa",
    "imagine": "a fox",
    "admin people": "ana",
}
SLASHES = {word: slash for slash, word in SLASH.items()}


def elsewhere(atelier: Atelier) -> Channel:
    """A channel into which nobody has invited the bot."""
    return atelier.team.channel("elsewhere", member=False)


async def says(atelier: Atelier, name: str, channel: Channel) -> Heard:
    first, _, second = name.partition(" ")
    return await atelier.says(atelier.cem, SLASHES[first], f"{second} {SAID.get(name, '')}".strip(), channel)


@pytest.mark.parametrize("name", COMMANDS)
async def test_every_command_is_answered_where_the_bot_is_no_member(atelier: Atelier, name: str) -> None:
    channel = elsewhere(atelier)

    heard = await says(atelier, name, channel)

    await atelier.slack.until(lambda: heard.words or heard.view)
    assert not channel.messages
    if name in posting_names():
        assert "/invite @atelier" in heard.words


async def test_all_of_loras_is_seen_where_the_bot_is_no_member(atelier: Atelier) -> None:
    assert not (await brings(atelier, "fox", a_file())).errors

    heard = await atelier.says(atelier.ana, "/loras", "", elsewhere(atelier))

    await atelier.wait_for_file(atelier.ana, "gallery.png")
    words, cards = heard.ephemerals
    assert "1 LoRA you may use" in words.words
    assert "/imagine" in cards.words and "--lora fox" in cards.words
    assert not atelier.slack.calls("chat.postEphemeral")


@pytest.mark.parametrize("member", [True, False])
async def test_an_answer_whose_address_is_used_up_comes_by_another_way(
    atelier: Atelier, member: bool
) -> None:
    channel = atelier.channel if member else elsewhere(atelier)
    heard = await atelier.says(atelier.ana, "/lora", "import fox", channel)
    atelier.slack.expire(heard)
    file = atelier.slack.upload(atelier.ana, "fox.safetensors", a_file())

    sent = await atelier.slack.submit(atelier.ana, heard.view, {"name": "fox", "file": [file]})

    direct = atelier.slack.direct(atelier.ana)
    where = heard if member else direct
    await atelier.slack.until(
        lambda: "fox" in "".join([heard.words, *(message.words for message in direct.messages)])
    )
    assert not sent.errors
    assert bool(heard.words) is member and bool(direct.messages) is not member, where


async def test_what_a_form_answers_is_seen_where_the_bot_is_no_member(atelier: Atelier) -> None:
    heard = await atelier.says(atelier.ana, "/lora", "import fox", elsewhere(atelier))
    file = atelier.slack.upload(atelier.ana, "fox.safetensors", a_file())

    sent = await atelier.slack.submit(atelier.ana, heard.view, {"name": "fox", "file": [file]})

    assert not sent.errors
    await atelier.slack.until(lambda: "fox" in heard.words)
    assert not atelier.slack.direct(atelier.ana).messages


async def test_a_picture_that_cannot_be_sent_is_told(atelier: Atelier) -> None:
    atelier.cem.closed = True

    heard = await atelier.says(atelier.cem, "/admin", "stats")

    await atelier.slack.until(lambda: "It could not be sent to you" in heard.words)
    assert "By person:" in heard.words


async def test_two_hundred_and_fifty_loras_come_in_pages(atelier: Atelier) -> None:
    assert not (await brings(atelier, "fox", a_file())).errors
    with sqlite3.connect(atelier.folder / "atelier.db") as connection:
        rows = connection.execute("SELECT * FROM adapters")
        same = ", ".join(
            column[0] for column in rows.description if column[0] not in ("id", "name", "phrase")
        )
        copied = f"INSERT INTO adapters ({same}, name, phrase) SELECT {same}, ?, ? FROM adapters LIMIT 1"
        for number in range(249):
            connection.execute(copied, (f"a-lora-with-a-name-{number}", "ohwx woman in the snow" * 2))

    heard = await atelier.says(atelier.ana, "/loras", "", elsewhere(atelier))

    await atelier.wait_for_file(atelier.ana, "gallery.png")
    *pages, cards = heard.ephemerals
    assert len(pages) > 1
    assert "250 LoRAs you may use:" in pages[0].words
    listed = [
        line
        for page in pages
        for line in re.findall(r"^\s*(a-lora-with-a-name-\d+)", page.words, re.MULTILINE)
    ]
    assert len(set(listed)) == len(listed) == 249
    assert cards.words.count("--lora ") == 12


async def test_help_fits(atelier: Atelier) -> None:
    heard = await atelier.says(atelier.cem, "/help")

    await atelier.slack.until(lambda: "/help imagine lists its options" in heard.words)
