"""What Discord refuses for good: it ends, it is said to whom it concerns, and nothing waits for ever."""

import asyncio

import pytest

from tests.bot.discord.harness import OpenStudio, Studio, painted, shown
from tests.bot.discord.test_buttons import a_picture, button, card_of, waits_for
from tests.bot.discord.test_delivery import EDITS, POSTS, calm, job
from tests.bot.discord.test_train import opens, pictures
from tests.bot.running_bot import rows
from tests.fakes.discord import Fault, Heard

PICTURES = (".png", ".jpg", ".jpeg", ".webp")


def calls(studio: Studio) -> int:
    """How often the bot has written or edited a message."""
    return sum(call.method in ("POST", "PATCH") and "messages" in call.path for call in studio.discord.record)


def is_for_one(heard: Heard) -> bool:
    """Whether nobody else sees what there is of the answer: a public word that it takes a while is gone."""
    shown = [one for one in (heard.message, *heard.followups) if one is not None and not one.deleted]
    return bool(shown) and all(one.ephemeral for one in shown)


async def ended(studio: Studio) -> None:
    """Wait until the only job has ended, and Discord has been told all."""
    done = [("succeeded", 1)]
    await studio.discord.until(
        lambda: rows(studio.folder, "SELECT state, shown = revision FROM jobs") == done, 30
    )
    await calm(studio)


async def test_a_picture_that_is_held_for_explicit_leaves_a_card_that_says_so(studio: Studio) -> None:
    studio.discord.filters.explicit = PICTURES

    heard = await studio.discord.command(studio.ana, studio.channel, "imagine", prompt="a fox", steps=2)
    card = await painted(studio, heard)
    await ended(studio)

    assert card.files == {}
    assert "considers it explicit content" in shown(card)
    assert "✉️ sends it" in shown(card)
    assert studio.channel.messages == [card]
    before = calls(studio)
    await asyncio.sleep(0.5)
    assert calls(studio) == before


async def test_what_was_refused_is_tried_once_more_when_it_is_asked_for(studio: Studio) -> None:
    studio.discord.filters.explicit = PICTURES
    heard = await studio.discord.command(studio.ana, studio.channel, "imagine", prompt="a fox", steps=2)
    await painted(studio, heard)
    await ended(studio)

    studio.discord.filters.explicit = ()
    again = await studio.discord.command(studio.ana, studio.channel, "show", job=job(studio))

    assert len((await painted(studio, again)).files) == 1


@pytest.mark.parametrize(
    ("prompt", "why"),
    [("a b.a.d fox", "AutoMod"), ("a fox of http://bad.example", "a link in it harmful")],
)
async def test_words_that_may_not_be_seen_end_the_card_and_its_person_is_told(
    studio: Studio, prompt: str, why: str
) -> None:
    studio.discord.filters.words.add("b.a.d")
    studio.discord.filters.links.add("http://bad.example")

    heard = await studio.discord.command(studio.ana, studio.channel, "imagine", prompt=prompt, steps=2)
    await studio.discord.until(lambda: why in heard.text)
    await ended(studio)

    assert is_for_one(heard)
    assert f"/show {job(studio)}" in heard.text
    assert heard.text.count(why) == 1
    assert studio.channel.messages == []
    before = calls(studio)
    await asyncio.sleep(0.5)
    assert calls(studio) == before


async def test_what_automod_stops_is_shown_in_direct_messages(studio: Studio) -> None:
    studio.discord.filters.words.add("b.a.d")
    await studio.discord.command(studio.ana, studio.channel, "imagine", prompt="a b.a.d fox", steps=2)
    await ended(studio)

    direct = studio.discord.direct(studio.ana)
    heard = await studio.discord.command(studio.ana, direct, "show", job=job(studio))

    assert len((await painted(studio, heard)).files) == 1


async def test_a_thread_whose_words_are_refused_leaves_no_training_without_an_answer(studio: Studio) -> None:
    studio.discord.filters.words.add("gear")
    form = await opens(studio)
    said = "--trigger ohwx --subject gear --steps 5"

    heard = await studio.discord.submit(
        studio.ana, form, {"pictures": pictures(2), "rest": said, "consent": ["yes"]}
    )

    await studio.discord.until(lambda: "AutoMod" in heard.text)
    assert is_for_one(heard)


async def test_a_form_that_discord_refuses_leaves_an_answer(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = await a_picture(studio)
    monkeypatch.setattr("bot.chats.discord.modals.PROMPT_CHARACTERS", 4001)  # which Discord does not take

    heard = await studio.discord.click(studio.ana, card, button(card, "edit"))

    await studio.discord.until(lambda: "This cannot be shown" in heard.text)
    assert heard.ephemeral
    studio.discord.record.clear()  # which has what the bot never asks


async def test_send_that_is_refused_directly_comes_where_nobody_else_sees_it(studio: Studio) -> None:
    card = await a_picture(studio)
    studio.discord.faults.add("POST", POSTS, Fault.REFUSED)

    heard = await studio.discord.click(studio.bo, card, button(card, "send"))

    await studio.discord.until(lambda: bool(heard.message and heard.message.files))
    assert heard.ephemeral
    assert "/imagine" in heard.text


async def test_send_that_is_refused_everywhere_says_why(studio: Studio) -> None:
    card = await a_picture(studio)
    studio.discord.filters.explicit = PICTURES

    heard = await studio.discord.click(studio.bo, card, button(card, "send"))

    await studio.discord.until(lambda: "explicit content" in heard.text)
    assert heard.ephemeral
    assert heard.message is not None and not heard.message.loading


async def test_send_that_fails_for_now_says_so(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    card = await a_picture(studio)
    studio.discord.faults.add("POST", POSTS, Fault.CUT_BEFORE)

    heard = await studio.discord.click(studio.bo, card, button(card, "send"))

    await studio.discord.until(lambda: "Try again" in heard.text)


async def test_a_letter_that_is_refused_is_told_directly(studio: Studio) -> None:
    card = await a_picture(studio)
    studio.discord.filters.explicit = PICTURES

    await studio.discord.react(studio.bo, card, "✉️")

    direct = studio.discord.direct(studio.bo)
    await studio.discord.until(lambda: any("explicit content" in shown(one) for one in direct.messages))


async def test_a_private_picture_that_cannot_come_is_told_with_its_job(studio: Studio) -> None:
    studio.discord.close_direct(studio.ana)

    heard = await studio.discord.command(
        studio.ana, studio.channel, "imagine", prompt="a fox", steps=2, private=True
    )

    await studio.discord.until(lambda: "You accept no direct messages from the bot" in heard.text, 20)
    assert f"/show {job(studio)}" in heard.text
    assert all(one.ephemeral for one in heard.followups)
    assert studio.channel.messages == []


async def test_a_long_answer_where_the_bot_is_no_member_is_a_file(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.chats.discord.ephemeral.LONGEST", 150)  # as if there were far more to tell
    elsewhere = studio.discord.guild("elsewhere", bot=False)
    elsewhere.join(studio.ana)
    lobby = elsewhere.channel("lobby")

    heard: Heard = await studio.discord.command(studio.ana, lobby, "help", command="train")

    await studio.discord.until(lambda: heard.message is not None and bool(heard.message.files))
    assert heard.message is not None and heard.followups == []
    assert heard.ephemeral
    assert b"--trigger" in heard.message.files["answer.txt"]


async def test_the_end_of_an_old_card_that_changes_no_more_is_a_new_message(open_studio: OpenStudio) -> None:
    studio = await open_studio(seconds=0.2)
    heard = await waits_for(studio, studio.channel, 30)
    old = card_of(heard)
    old.grow_old(3700)

    def done() -> bool:
        return any("Painted in" in shown(one) for one in studio.channel.messages)

    await studio.discord.until(done, 30)
    await calm(studio)

    (card,) = studio.channel.messages
    assert old.deleted and card is not old
    assert len(card.files) == 1


async def test_a_proxy_that_bans_in_html_delays_the_card_and_no_more(studio: Studio) -> None:
    card = await a_picture(studio)
    await studio.restart()
    studio.discord.faults.add("PATCH", EDITS, Fault.BANNED, times=2)

    await studio.discord.click(studio.ana, card, button(card, "keep"))

    await studio.discord.until(lambda: "⭐ 1" in shown(card), 30)
    assert studio.channel.messages == [card]
