"""What Discord refuses for good: it ends, it is said to whom it concerns, and nothing waits for ever."""

import asyncio

import pytest

from tests.bot.discord.harness import DiscordBot, OpenDiscordBot, finish, text_of
from tests.bot.discord.test_buttons import a_picture, button, card_of, waits_for
from tests.bot.discord.test_delivery import EDITS, POSTS, calm, job
from tests.bot.discord.test_train import opens, pictures
from tests.bot.running_bot import rows
from tests.fakes.discord import Fault, Heard

PICTURES = (".png", ".jpg", ".jpeg", ".webp")


def calls(harness: DiscordBot) -> int:
    """How often the bot has written or edited a message."""
    return sum(
        call.method in ("POST", "PATCH") and "messages" in call.path for call in harness.discord.record
    )


def is_for_one(heard: Heard) -> bool:
    """Whether nobody else sees what there is of the answer: a public word that it takes a while is gone."""
    visible = [
        message
        for message in (heard.message, *heard.followups)
        if message is not None and not message.deleted
    ]
    return bool(visible) and all(message.ephemeral for message in visible)


async def wait_until_ended(harness: DiscordBot) -> None:
    """Wait until the only job has ended, and Discord has been told all."""
    done = [("succeeded", 1)]
    await harness.discord.until(
        lambda: rows(harness.folder, "SELECT state, shown = revision FROM jobs") == done, 30
    )
    await calm(harness)


async def test_a_picture_that_is_held_for_explicit_leaves_a_card_that_says_so(
    harness: DiscordBot,
) -> None:
    harness.discord.filters.explicit = PICTURES

    heard = await harness.discord.command(harness.ana, harness.channel, "imagine", prompt="a fox", steps=2)
    card = await finish(harness, heard)
    await wait_until_ended(harness)

    assert card.files == {}
    assert "considers it explicit content" in text_of(card)
    assert "✉️ sends it" in text_of(card)
    assert harness.channel.messages == [card]
    before = calls(harness)
    await asyncio.sleep(0.5)
    assert calls(harness) == before


async def test_what_was_refused_is_tried_once_more_when_it_is_asked_for(harness: DiscordBot) -> None:
    harness.discord.filters.explicit = PICTURES
    heard = await harness.discord.command(harness.ana, harness.channel, "imagine", prompt="a fox", steps=2)
    await finish(harness, heard)
    await wait_until_ended(harness)

    harness.discord.filters.explicit = ()
    again = await harness.discord.command(harness.ana, harness.channel, "show", job=job(harness))

    assert len((await finish(harness, again)).files) == 1


@pytest.mark.parametrize(
    ("prompt", "why"),
    [("a b.a.d fox", "AutoMod"), ("a fox of http://bad.example", "a link in it harmful")],
)
async def test_words_that_may_not_be_seen_end_the_card_and_its_person_is_told(
    harness: DiscordBot, prompt: str, why: str
) -> None:
    harness.discord.filters.words.add("b.a.d")
    harness.discord.filters.links.add("http://bad.example")

    heard = await harness.discord.command(harness.ana, harness.channel, "imagine", prompt=prompt, steps=2)
    await harness.discord.until(lambda: why in heard.text)
    await wait_until_ended(harness)

    assert is_for_one(heard)
    assert f"/show {job(harness)}" in heard.text
    assert heard.text.count(why) == 1
    assert harness.channel.messages == []
    before = calls(harness)
    await asyncio.sleep(0.5)
    assert calls(harness) == before


async def test_what_automod_stops_is_shown_in_direct_messages(harness: DiscordBot) -> None:
    harness.discord.filters.words.add("b.a.d")
    await harness.discord.command(harness.ana, harness.channel, "imagine", prompt="a b.a.d fox", steps=2)
    await wait_until_ended(harness)

    direct = harness.discord.direct(harness.ana)
    heard = await harness.discord.command(harness.ana, direct, "show", job=job(harness))

    assert len((await finish(harness, heard)).files) == 1


async def test_a_thread_whose_words_are_refused_leaves_no_training_without_an_answer(
    harness: DiscordBot,
) -> None:
    harness.discord.filters.words.add("gear")
    form = await opens(harness)
    options = "--trigger ohwx --subject gear --steps 5"

    heard = await harness.discord.submit(
        harness.ana, form, {"pictures": pictures(2), "rest": options, "consent": ["yes"]}
    )

    await harness.discord.until(lambda: "AutoMod" in heard.text)
    assert is_for_one(heard)


async def test_a_form_that_discord_refuses_leaves_an_answer(
    harness: DiscordBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = await a_picture(harness)
    monkeypatch.setattr("bot.chats.discord.modals.PROMPT_CHARACTERS", 4001)  # which Discord does not take

    heard = await harness.discord.click(harness.ana, card, button(card, "edit"))

    await harness.discord.until(lambda: "This cannot be shown" in heard.text)
    assert heard.ephemeral
    harness.discord.record.clear()  # which has what the bot never asks


async def test_send_that_is_refused_directly_comes_where_nobody_else_sees_it(harness: DiscordBot) -> None:
    card = await a_picture(harness)
    harness.discord.faults.add("POST", POSTS, Fault.REFUSED)

    heard = await harness.discord.click(harness.bo, card, button(card, "send"))

    await harness.discord.until(lambda: bool(heard.message and heard.message.files))
    assert heard.ephemeral
    assert "/imagine" in heard.text


async def test_send_that_is_refused_everywhere_says_why(harness: DiscordBot) -> None:
    card = await a_picture(harness)
    harness.discord.filters.explicit = PICTURES

    heard = await harness.discord.click(harness.bo, card, button(card, "send"))

    await harness.discord.until(lambda: "explicit content" in heard.text)
    assert heard.ephemeral
    assert heard.message is not None and not heard.message.loading


async def test_send_that_fails_for_now_says_so(harness: DiscordBot, monkeypatch: pytest.MonkeyPatch) -> None:
    card = await a_picture(harness)
    harness.discord.faults.add("POST", POSTS, Fault.CUT_BEFORE)

    heard = await harness.discord.click(harness.bo, card, button(card, "send"))

    await harness.discord.until(lambda: "Try again" in heard.text)


async def test_a_letter_that_is_refused_is_told_directly(harness: DiscordBot) -> None:
    card = await a_picture(harness)
    harness.discord.filters.explicit = PICTURES

    await harness.discord.react(harness.bo, card, "✉️")

    direct = harness.discord.direct(harness.bo)
    await harness.discord.until(
        lambda: any("explicit content" in text_of(message) for message in direct.messages)
    )


async def test_a_private_picture_that_cannot_come_is_told_with_its_job(harness: DiscordBot) -> None:
    harness.discord.close_direct(harness.ana)

    heard = await harness.discord.command(
        harness.ana, harness.channel, "imagine", prompt="a fox", steps=2, private=True
    )

    await harness.discord.until(lambda: "You accept no direct messages from the bot" in heard.text, 20)
    assert f"/show {job(harness)}" in heard.text
    assert all(followup.ephemeral for followup in heard.followups)
    assert harness.channel.messages == []


async def test_a_long_answer_where_the_bot_is_no_member_is_a_file(
    harness: DiscordBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.chats.discord.ephemeral.LONGEST", 150)  # as if there were far more to tell
    elsewhere = harness.discord.guild("elsewhere", bot=False)
    elsewhere.join(harness.ana)
    lobby = elsewhere.channel("lobby")

    heard: Heard = await harness.discord.command(harness.ana, lobby, "help", command="train")

    await harness.discord.until(lambda: heard.message is not None and bool(heard.message.files))
    assert heard.message is not None and heard.followups == []
    assert heard.ephemeral
    assert b"--trigger" in heard.message.files["answer.txt"]


async def test_the_end_of_an_old_card_that_changes_no_more_is_a_new_message(
    open_discord_bot: OpenDiscordBot,
) -> None:
    harness = await open_discord_bot(seconds=0.2)
    heard = await waits_for(harness, harness.channel, 30)
    old = card_of(heard)
    old.grow_old(3700)

    def is_painted() -> bool:
        return any("Painted in" in text_of(message) for message in harness.channel.messages)

    await harness.discord.until(is_painted, 30)
    await calm(harness)

    (card,) = harness.channel.messages
    assert old.deleted and card is not old
    assert len(card.files) == 1


async def test_a_proxy_that_bans_in_html_delays_the_card_and_no_more(harness: DiscordBot) -> None:
    card = await a_picture(harness)
    await harness.restart()
    harness.discord.faults.add("PATCH", EDITS, Fault.BANNED, times=2)

    await harness.discord.click(harness.ana, card, button(card, "keep"))

    await harness.discord.until(lambda: "⭐ 1" in text_of(card), 30)
    assert harness.channel.messages == [card]
