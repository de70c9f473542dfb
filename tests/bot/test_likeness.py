"""/loras as people see it: cards with votes, and those that paint something like some words."""

import pytest

from bot.jobs import interactive_tasks
from commands.lora_cards import lora_cards
from tests.bot.fake_chat import SLEEPER, OpenChat, Seen, caller
from tests.bot.running_bot import rows
from tests.bot.uploads.test_lora_files import imports


async def test_a_card_tells_who_may_use_it_and_how_many_like_what_it_paints(open_chat: OpenChat) -> None:
    chat = await open_chat()
    await imports(chat, "ana", "fox")
    await chat.says("ana", "/lora fox --share space")
    painted = [(await chat.says("ana", "/imagine a tree --lora fox:0.8 --steps 2")).job for _ in range(2)]
    for job in painted:
        await chat.ends(job)
        await chat.presses("bo", "keep", f"{job}:1")  # type: ignore[arg-type]
    await chat.presses("ana", "keep", f"{painted[0]}:1")  # type: ignore[arg-type]

    reply = await chat.says("bo", "/loras")

    (card,) = lora_cards(reply.loras)
    assert (card.name, card.phrase, card.thumbnail is not None) == ("fox", "ohwx woman", True)
    assert dict(card.facts) == {
        "weight": "1",
        "used": "2 times",
        "likes": "2",
        "for": "everybody here",
        "by": "ana",
    }
    assert "2 likes" in reply.text


async def test_loras_like_some_words_come_with_a_bar_and_are_only_ones_own(open_chat: OpenChat) -> None:
    chat = await open_chat()
    for name in ("fox", "owl"):
        await imports(chat, "ana", name, name)
    await imports(chat, "bo", "secret", "secret")
    await imports(chat, "dora", "faraway", "faraway", space="elsewhere")
    await chat.says("dora", "/lora faraway --share space", space="elsewhere")

    reply = await chat.says("ana", "/loras --like wood")
    nobody = await chat.says("cem", "/loras --like wood")

    assert reply.ok, reply.text
    assert sorted(lora.name for lora in reply.loras) == ["fox", "owl"]
    assert [lora.likeness for lora in lora_cards(reply.loras)] == [1.0, 1.0]
    assert "2 LoRAs nearest to “wood”:" in reply.text and "▓▓▓▓▓▓▓▓▓▓ 30.0" in reply.text
    assert "no such LoRA" in nobody.text and not nobody.loras
    models = rows(chat.folder, "SELECT json_extract(info, '$.clip.by') FROM adapters ORDER BY id")
    assert models == [("quick",), ("quick",), (None,), (None,)]


async def test_what_is_liked_in_one_space_says_nothing_in_another(open_chat: OpenChat) -> None:
    chat = await open_chat()
    await imports(chat, "ana", "fox")
    await chat.says("ana", "/lora fox --share everybody")
    job = (await chat.says("dora", "/imagine a tree --lora fox --steps 2", space="elsewhere")).job
    await chat.ends(job)
    await Seen.of(chat.bot.dispatch.press(caller("dora", "elsewhere"), f"keep:{job}:1"))

    (here,) = (await chat.says("bo", "/loras")).loras
    (there,) = (await chat.says("dora", "/loras", space="elsewhere")).loras

    assert (here.likes, there.likes) == (0, 1)


async def test_while_the_engine_is_away_the_words_still_find(
    open_chat: OpenChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interactive_tasks, "SOON", 0.2)
    chat = await open_chat()
    await imports(chat, "ana", "fox")
    await chat.close()
    chat = await open_chat(program=SLEEPER)

    reply = await Seen.of(chat.bot.dispatch.say(caller("ana"), "/loras --like wood"))
    words = await Seen.of(chat.bot.dispatch.say(caller("ana"), "/loras fox"))

    assert not reply.ok and "/loras WORDS searches by words" in reply.text
    assert [lora.name for lora in words.loras] == ["fox"]


async def test_the_engine_that_dies_over_it_says_so(open_chat: OpenChat) -> None:
    chat = await open_chat()
    await imports(chat, "ana", "fox")

    reply = await chat.says("ana", "/loras --like die")

    assert (reply.ok, reply.text) == (False, "The engine died meanwhile. Send the command again.")
