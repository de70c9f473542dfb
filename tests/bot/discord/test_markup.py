"""What people write is shown as they wrote it, within what Discord's fields hold."""

import random
import re
import string

import pytest

from bot.cards.card import Card, CardNote
from bot.chats.discord import lora_embeds
from bot.chats.discord.cards import EmbedImages, embeds, starter_embed
from bot.chats.discord.ephemeral import pieces
from bot.chats.discord.markup import escape
from commands.lora_cards import LoraCard
from engine.messages import JobId
from tests.bot.discord.harness import DiscordBot, finish
from tests.fakes.discord.rules import check_message

NASTY = (
    "\\" * 2000,
    "*" * 2000,
    "_~|`" * 500,
    "[a](" * 500,
    "[" * 2000,
    "@everyone " * 200,
    "<@12345678901234567> " * 90,
    "> -# # - \n" * 200,
    "```" * 600,
    "\n" * 2000 + "x",
    "😀" * 2000,
    "a" * 1299 + "\\" * 700,
)
MARKUP = re.compile(r"[\\_*~|`<]")


def read(text: str) -> str:
    """What Discord shows of a text in which every mark is escaped."""
    assert not MARKUP.search(re.sub(r"\\[^0-9A-Za-z\s]", "", text)), text[-50:]
    assert "](" not in re.sub(r"\\[^0-9A-Za-z\s]", "x", text)
    return re.sub(r"\\([^0-9A-Za-z\s])", r"\1", text).replace("@\u200b", "@")


@pytest.mark.parametrize("text", ["a \\ b", "\\*", "a_b *c* [d](e) `f` ||g|| ~~h~~", "# i\n- j\n> k", "<#1>"])
def test_a_mark_is_escaped_once_and_read_as_it_was_written(text: str) -> None:
    assert read(escape(text, 500)) == text


@pytest.mark.parametrize("text", NASTY)
def test_what_is_cut_is_within_its_limit_and_without_half_an_escape(text: str) -> None:
    for limit in (1, 2, 3, 100, 101, 1300):
        cut = escape(text, limit)
        assert len(cut) <= limit
        assert text.startswith(read(cut.removesuffix("…")))


def test_whatever_is_written_reads_as_it_was_written() -> None:
    chance = random.Random(7)
    letters = "\\*_~|`[]()<>@#:- \n" + string.ascii_letters[:6] + "é😀"
    for _ in range(500):
        text = "".join(chance.choices(letters, k=chance.randrange(1, 80))).strip()
        limit = chance.randrange(1, 120)
        cut = escape(text, limit)
        assert len(cut) <= limit
        assert text.startswith(read(cut.removesuffix("…")))


@pytest.mark.parametrize("text", NASTY)
def test_a_card_of_nasty_words_is_within_discords_limits(text: str) -> None:
    card = Card(
        job=JobId("k3f9qa"),
        kind="train",
        number=1,
        person=text,
        person_key="1",
        state="draft",
        title=text,
        line=text,
        done=0.5,
        preview=None,
        pictures=(),
        recipe=(("no", text), ("steps", "20")),
        command="",
        buttons=(),
        at=0.0,
        notes=tuple(CardNote(name=text, text=text, used=False) for _ in range(30)),
        problems=(text,),
        line_to_copy=text,
        bare=text,
    )
    images = {"curve": "a.png", "samples": "b.png", "report": "c.png"}
    card_images = EmbedImages(
        images=images, titles=dict.fromkeys(images, "What it paints"), notes=(text, text)
    )

    check_message({"embeds": [embed.to_dict() for embed in embeds(card, card_images)]})
    check_message({"embeds": [starter_embed(card).to_dict()]})


@pytest.mark.parametrize("text", NASTY)
def test_an_answer_of_nasty_words_is_in_pieces_that_discord_takes(text: str) -> None:
    assert all(len(piece) <= 2000 for piece in pieces(text))
    assert all(len(piece) <= 2000 for piece in pieces(text[:1900]))


@pytest.mark.parametrize("prompt", ["\\" * 2000, "*" * 2000])
async def test_a_prompt_of_nothing_but_marks_is_painted_and_shown(harness: DiscordBot, prompt: str) -> None:
    heard = await harness.discord.command(harness.ana, harness.channel, "imagine", prompt=prompt, steps=1)

    card = await finish(harness, heard)

    assert read(card.embeds[0]["description"].split("\n")[0][2:-2].removesuffix("…")) in prompt
    assert len(card.files) == 1


@pytest.mark.parametrize("text", NASTY)
def test_a_gallery_of_nasty_words_is_shown_as_far_as_it_fits(text: str) -> None:
    facts = tuple((name, text) for name in ("weight", "used", "likes", "for", "by"))
    card = LoraCard(name=text, phrase=text, facts=facts, line=text, thumbnail=None)

    made = lora_embeds.embeds([card] * 10, ())

    assert made
    check_message({"embeds": [embed.to_dict() for embed in made]})
