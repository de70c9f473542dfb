"""Every chat must do this, each in its own way; a new one is done when all of it passes."""

import asyncio
import re

import pytest

from bot.chats.discord import interactions
from bot.chats.slack import listeners
from bot.chats.web import websocket
from tests.bot.fake_chat import SLEEPER
from tests.bot.quick_lora import a_file
from tests.bot.training_cases import a_picture
from tests.chats.harness import (
    Harness,
    OpenChat,
    SeenCard,
    WithMenus,
    WithReactions,
    WithRedelivery,
    is_done,
    is_waiting,
    paint,
    until,
    wait_for_card,
)
from tests.chats.on_discord import DiscordHarness

PICTURE = a_picture(1)  # square
LINK = re.compile(r"<[^|>\s]+\|([^>]*)>|\[([^\]]*)\]\([^)]*\)")  # as Slack and Discord write it
IN_TIME = 3.0  # seconds that every service waits for an answer


def plain(card: SeenCard) -> str:
    """The words of a card without the marks of links and of code."""
    return LINK.sub(lambda link: link[1] or link[2], card.text.replace("`", ""))


def seed_of(card: SeenCard) -> str:
    """The seed that a card tells."""
    words = card.text.replace("`", "").split()
    return words[words.index("seed") + 1]


async def restart(chat: Harness) -> None:
    await chat.stop()
    await chat.start()


async def test_a_job_in_line_is_shown_at_once(open_chat: OpenChat) -> None:
    chat = await open_chat(program=SLEEPER)

    seen = await chat.say("ana", "imagine", "a red fox", steps=2)

    card = await wait_for_card(chat, lambda card: "a red fox" in card.text)
    assert seen.seconds is not None and seen.seconds < IN_TIME
    assert is_waiting(card)
    assert chat.others() == []


async def test_the_message_of_a_job_becomes_its_picture(open_chat: OpenChat) -> None:
    chat = await open_chat(seconds=0.1)
    await chat.say("ana", "imagine", "a red fox", steps=10)
    running = await wait_for_card(chat, lambda card: "▓" in card.text or "of 10" in card.text)

    done = await wait_for_card(chat, is_done)

    assert done.key == running.key
    assert len(chat.cards()) == 1
    assert {"again", "vary", "edit", "send", "delete"} <= done.buttons.keys()


async def test_words_are_for_who_asked_alone(chat: Harness) -> None:
    seen = await chat.say("ana", "help")

    await until(lambda: "/imagine" in seen.text)
    assert seen.seconds is not None and seen.seconds < IN_TIME
    assert chat.cards() == [] and chat.others() == []


async def test_a_refusal_is_for_who_asked_alone(chat: Harness) -> None:
    seen = await chat.say("ana", "show", "zzzzzz")

    await until(lambda: "zzzzzz" in seen.text)
    assert chat.cards() == [] and chat.others() == []


async def test_a_form_opens_with_the_recipe_and_paints_what_is_changed(chat: Harness) -> None:
    card = await paint(chat, no="blurry")

    seen = await chat.press("bo", card, "edit")

    await until(lambda: seen.form is not None)
    assert seen.form is not None and (seen.form["prompt"], seen.form["no"]) == ("a red fox", "blurry")
    await chat.fill("bo", seen, prompt="a blue fox")
    changed = await wait_for_card(chat, lambda card: is_done(card) and "a blue fox" in card.text)
    assert seed_of(changed) == seed_of(card)


async def test_a_picture_is_started_from_by_its_button(chat: Harness) -> None:
    card = await paint(chat)
    job = card.buttons["image"].split(":")[1]

    seen = await chat.press("bo", card, "image")

    await until(lambda: seen.form is not None)
    assert seen.form is not None and f"{job}:1" in str(seen.form)
    await chat.fill("bo", seen, prompt="a blue fox")
    await wait_for_card(
        chat,
        lambda card: is_done(card) and "a blue fox" in card.text and f"From {job}, picture 1" in plain(card),
    )


async def test_a_picture_is_enlarged_by_its_button(chat: Harness) -> None:
    card = await paint(chat)
    job = card.buttons["upscale"].split(":")[1]

    await chat.press("bo", card, "upscale")

    await wait_for_card(
        chat, lambda card: is_done(card) and f"From {job}, picture 1, enlarged 2 times" in plain(card)
    )


async def test_a_sent_picture_is_started_from(chat: Harness) -> None:
    sent = await chat.send_picture("ana", PICTURE, "a blue fox")

    card = await wait_for_card(chat, is_done)
    assert "From a picture that was sent" in plain(card)
    assert "size 1:1" in plain(card)
    assert not sent.text


@pytest.mark.parametrize("chat_name", ["discord", "slack"])
async def test_the_menu_of_a_message_paints_from_whatever_picture_it_shows(chat: WithMenus) -> None:
    card = await paint(chat)
    job = card.buttons["image"].split(":")[1]

    for message, origin in [
        (chat.post_picture("bo", PICTURE), "From a picture that was sent"),
        (card.key, f"From {job}, picture 1"),
    ]:
        seen = await chat.paint_from("ana", message)
        await until(lambda seen=seen: seen.form is not None)  # type: ignore[misc]
        await chat.fill("ana", seen, prompt="a blue fox")
        await wait_for_card(chat, lambda card, origin=origin: is_done(card) and origin in plain(card))  # type: ignore[misc]


@pytest.mark.parametrize("chat_name", ["discord", "slack"])
async def test_the_link_of_a_card_stands_for_its_picture(chat: WithMenus) -> None:
    card = await paint(chat)
    job = card.buttons["image"].split(":")[1]
    option = "image-of" if isinstance(chat, DiscordHarness) else "image"

    await chat.say("bo", "imagine", "a blue fox", steps=2, **{option: chat.link(card.key)})

    from_it = await wait_for_card(chat, lambda card: is_done(card) and "a blue fox" in card.text)
    assert f"From {job}, picture 1" in plain(from_it)
    seen = await chat.say("ana", "show", from_it.buttons["again"].partition(":")[2])
    await until(lambda: f"is from {job}, picture 1: a red fox" in seen.text)


async def test_the_full_file_comes_to_who_asked_alone(chat: Harness) -> None:
    card = await paint(chat)

    seen = await chat.press("bo", card, "send")

    await until(lambda: any(name.endswith(".png") for name in seen.files))
    assert len(chat.cards()) == 1 and chat.others() == []


async def test_who_asks_where_a_picture_is_from_is_told_alone(chat: Harness) -> None:
    seen = await chat.verify_picture("ana", PICTURE)

    await until(lambda: "It is not from here" in seen.text)
    assert chat.cards() == [] and chat.others() == []


async def test_a_sheet_of_my_pictures_is_for_me_alone(chat: Harness) -> None:
    await paint(chat)

    seen = await chat.say("ana", "gallery")

    await until(lambda: list(seen.files) == ["gallery.png"])
    await until(lambda: "a red fox" in seen.text)
    assert len(chat.cards()) == 1 and chat.others() == []


async def test_a_lora_is_brought_and_shown_with_what_it_paints(chat: Harness) -> None:
    sent = await chat.send_lora("ana", "fox", a_file())
    await until(lambda: "fox" in sent.text)

    seen = await chat.say("ana", "loras")

    await until(lambda: "fox" in seen.text and len(seen.files) == 1)
    assert chat.cards() == [] and chat.others() == []


async def test_what_takes_long_is_answered_later(
    open_chat: OpenChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = await open_chat(seconds=0.7)
    for name in ("fox", "owl"):
        sent = await chat.send_lora("ana", name, a_file(name))
        await until(lambda sent=sent: "rank 8" in sent.text)  # type: ignore[misc]
    monkeypatch.setattr(interactions, "PATIENCE", 0.1)
    monkeypatch.setattr(listeners, "PATIENCE", 0.1)
    monkeypatch.setattr(websocket, "SOON", 0.1)

    seen = await chat.say("ana", "lora merge", "both", lora="fox:0.7, owl:0.5")

    assert seen.seconds is not None
    assert "fox:0.7" not in seen.text
    await until(lambda: "fox:0.7" in seen.text and "both-beside-its-mix.png" in seen.files)


async def test_a_button_paints_again_with_a_new_seed(chat: Harness) -> None:
    card = await paint(chat, seed="7")

    await chat.press("bo", card, "again")

    again = await wait_for_card(chat, lambda other: is_done(other) and other.key != card.key)
    assert "a red fox" in again.text
    assert seed_of(again) != seed_of(card) == "7"


@pytest.mark.parametrize("chat_name", ["discord", "slack"])
async def test_a_reaction_paints_again_with_a_new_seed(chat: WithReactions) -> None:
    card = await paint(chat, seed="7")

    await chat.react("bo", card, "🔁")

    again = await wait_for_card(chat, lambda other: is_done(other) and other.key != card.key)
    assert seed_of(again) != seed_of(card)


async def test_a_button_works_after_a_restart(chat: Harness) -> None:
    card = await paint(chat)
    await restart(chat)

    await chat.press("ana", card, "again")

    await wait_for_card(chat, lambda other: is_done(other) and other.key != card.key)
    assert len(chat.cards()) == 2


@pytest.mark.parametrize("chat_name", ["discord", "slack"])
async def test_a_reaction_works_after_a_restart(chat: WithReactions) -> None:
    card = await paint(chat)
    await restart(chat)

    await chat.react("ana", card, "🔁")

    await wait_for_card(chat, lambda other: is_done(other) and other.key != card.key)
    assert len(chat.cards()) == 2


@pytest.mark.parametrize("chat_name", ["discord", "slack"])
async def test_what_is_delivered_twice_is_done_once(chat: WithRedelivery) -> None:
    seen = await chat.say("ana", "imagine", "a red fox", steps=2)

    await chat.redeliver(seen)

    await wait_for_card(chat, is_done)
    await paint(chat, "bo", "a hen")  # what was heard before is over by then
    assert len(chat.cards()) == 2


async def test_a_job_goes_on_in_its_message_after_a_restart(open_chat: OpenChat) -> None:
    chat = await open_chat(seconds=0.1)
    await chat.say("ana", "imagine", "a red fox", steps=10)
    running = await wait_for_card(chat, lambda card: "▓" in card.text or "of 10" in card.text)

    await restart(chat)

    done = await wait_for_card(chat, is_done)
    assert done.key == running.key
    assert len(chat.cards()) == 1


async def test_only_its_person_cancels_a_job(open_chat: OpenChat) -> None:
    chat = await open_chat(program=SLEEPER)
    await chat.say("ana", "imagine", "a red fox", steps=2)
    card = await wait_for_card(chat, lambda card: "stop" in card.buttons)

    refused = await chat.press("bo", card, "stop")
    await until(lambda: "ana" in refused.text.lower())
    assert is_waiting(chat.cards()[0])
    await chat.press("ana", card, "stop")

    await wait_for_card(chat, lambda card: "cancelled" in card.text.lower())
    assert chat.others() == []


async def test_a_deleted_job_takes_its_card_along(chat: Harness) -> None:
    card = await paint(chat)

    refused = await chat.press("bo", card, "delete")
    await until(lambda: "ana" in refused.text.lower())
    assert len(chat.cards()) == 1
    await chat.press("ana", card, "delete")

    await until(lambda: chat.cards() == [])


async def test_a_card_that_is_asked_for_is_there_once(chat: Harness) -> None:
    card = await paint(chat)
    job = card.buttons["again"].partition(":")[2]

    await chat.say("bo", "show", job)
    await asyncio.sleep(0.2)

    await wait_for_card(chat, is_done)
    await until(lambda: len(chat.cards()) == 1)


async def test_many_at_once_are_all_answered_in_time(chat: Harness) -> None:
    seen = await asyncio.gather(*(chat.say("ana", "imagine", f"fox {n}", steps=1) for n in range(8)))

    await until(lambda: sum(is_done(card) for card in chat.cards()) == 8)
    assert all(answer.seconds is not None and answer.seconds < IN_TIME for answer in seen)
