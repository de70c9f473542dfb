"""Emoji under a card, long after it was posted: who may, what happens, and what is only an emoji."""

from dataclasses import replace

import pytest

from bot.chats.interface import Caller
from engine.messages import JobId, Paint
from storage.views import JobView, views
from tests.bot.fake_chat import Chat, OpenChat, Seen, caller
from tests.bot.quick_lora import a_file
from tests.bot.running_bot import rows


@pytest.fixture
async def chat(open_chat: OpenChat) -> Chat:
    return await open_chat()


def message_of(chat: Chat, job: JobId | None) -> str:
    """The key of the message that shows the job."""
    return next(key for key, card in chat.fake.cards.items() if card.job == job)


async def reacts(chat: Chat, who: str, job: JobId | None, emoji: str, added: bool = True) -> Seen | None:
    reply = await chat.bot.dispatch.react(caller(who), message_of(chat, job), emoji, added)
    return None if reply is None else await Seen.of_reply(reply)


async def paint(chat: Chat, words: str = "a fox --steps 3 --seed 7", who: str = "ana") -> JobId:
    reply = await chat.says(who, f"/imagine {words}")
    assert reply.job is not None
    await chat.ends(reply.job)
    await chat.bot.delivery.wait_until_shown()
    return reply.job


async def view_of(chat: Chat, job: JobId | None) -> JobView:
    assert job is not None
    async with chat.bot.database.reading() as session:
        (view,) = await views(session, [job])
    return view


async def stars(chat: Chat, job: JobId) -> list[int]:
    return [picture.stars for picture in (await view_of(chat, job)).pictures]


async def test_reacting_with_the_reroll_emoji_paints_it_again_with_a_new_seed(chat: Chat) -> None:
    first = await paint(chat)

    reply = await reacts(chat, "bo", first, "🔁")

    assert reply is not None
    again = await view_of(chat, reply.job)
    assert isinstance(again.request, Paint)
    assert (again.request.prompt, again.person, again.parent) == ("a fox", "bo", first)
    assert again.request.seed != 7


async def test_the_dice_vary_the_first_of_several_pictures(chat: Chat) -> None:
    first = await paint(chat, "a fox --steps 3 --seed 7 --count 3")

    reply = await reacts(chat, "ana", first, "🎲")

    assert reply is not None
    varied = (await view_of(chat, reply.job)).request
    assert isinstance(varied, Paint)
    assert (varied.seed, varied.count, varied.variation) == (7, 4, 0.15)


async def test_a_star_keeps_all_pictures_and_goes_with_the_reaction_however_often_it_is_told(
    chat: Chat,
) -> None:
    job = await paint(chat, "a fox --steps 3 --count 2")

    for _ in range(2):  # chats deliver twice
        reply = await reacts(chat, "bo", job, "⭐\ufe0f")
        assert reply is not None and reply.ok and not reply.text
    assert await stars(chat, job) == [1, 1]
    await chat.shows(job, lambda card: [one.stars for one in card.pictures] == [1, 1])

    for _ in range(2):
        await reacts(chat, "bo", job, "⭐", added=False)
    assert await stars(chat, job) == [0, 0]


async def test_the_envelope_sends_all_files_with_their_recipes(chat: Chat) -> None:
    job = await paint(chat, "a fox --steps 3 --count 2 --seed 7")

    for emoji in ("✉", "✉️"):
        reply = await reacts(chat, "bo", job, emoji)
        assert reply is not None
        assert [name for name, _ in reply.files] == [f"atelier-{job}-1.png", f"atelier-{job}-2.png"]
        assert "--seed 7" in reply.text and "--seed 8" in reply.text


async def test_the_cross_cancels_what_runs_and_deletes_what_has_ended(open_chat: OpenChat) -> None:
    chat = await open_chat(seconds=0.1)
    running = (await chat.says("ana", "/imagine a fox --steps 100")).job
    await chat.runs(running)
    await chat.bot.delivery.wait_until_shown()

    assert await reacts(chat, "bo", running, "❌") is None  # an opinion
    await reacts(chat, "ana", running, "❌")
    await chat.shows(running, lambda card: card.state == "cancelled")
    await chat.bot.delivery.wait_until_shown()
    await reacts(chat, "ana", running, "❌")

    assert (await view_of(chat, running)).deleted
    await chat.sees(lambda: chat.card(running) is None)


async def test_other_emoji_other_messages_and_other_spaces_mean_nothing(chat: Chat) -> None:
    job = await paint(chat)
    key = message_of(chat, job)
    react = chat.bot.dispatch.react

    assert await react(caller("ana"), key, "👍") is None
    assert await react(caller("ana"), "home/999", "🔁") is None
    assert await react(caller("eve", "elsewhere"), key, "🔁") is None
    assert await react(caller("ana"), key, "🔁", added=False) is None
    assert len(rows(chat.folder, "SELECT id FROM jobs")) == 1


async def test_reactions_work_after_a_restart(open_chat: OpenChat) -> None:
    before = await open_chat()
    job = await paint(before)
    await before.close()

    after = await open_chat(fake=before.fake)
    reply = await reacts(after, "ana", job, "🔁")

    assert reply is not None and reply.job is not None
    await after.ends(reply.job)


async def test_a_message_tells_whose_card_it_is(chat: Chat) -> None:
    job = await paint(chat)
    key = message_of(chat, job)

    card = await chat.bot.dispatch.card_of_message(caller("bo"), key)

    assert card is not None
    assert (card.job, card.title) == (job, "a fox")
    assert await chat.bot.dispatch.card_of_message(caller("eve", "elsewhere"), key) is None
    await chat.presses("ana", "delete", job)
    assert await chat.bot.dispatch.card_of_message(caller("ana"), key) is None


def direct(who: str, space: str = "") -> Caller:
    """Somebody alone with the bot."""
    return replace(caller(who, space or f"user-{who}"), channel=f"dm-{who}", direct=True)


async def test_alone_with_the_bot_somebody_is_at_home_with_all_their_jobs(chat: Chat) -> None:
    job = await paint(chat)
    press = chat.bot.dispatch.press

    again = await Seen.of(press(direct("ana"), f"again:{job}"))
    filed = await view_of(chat, again.job)

    assert (filed.space, filed.channel, filed.private) == ("home", "dm-ana", True)
    stranger = await Seen.of(press(direct("bo"), f"again:{job}"))
    assert (stranger.ok, stranger.text) == (False, f"There is no job {job} here.")
    form = await Seen.of(press(direct("ana"), f"edit:{job}"))
    assert form.form is not None
    edited = await Seen.of(chat.bot.dispatch.fill(direct("ana"), "imagine", form.form.values, origin=job))
    assert (await view_of(chat, edited.job)).space == "home"


async def test_what_was_asked_for_in_private_stays_unknown_to_the_others(chat: Chat) -> None:
    reply = await Seen.of(chat.bot.dispatch.say(direct("ana", "home"), "/imagine a secret fox --steps 3"))
    await chat.ends(reply.job)
    await chat.bot.delivery.wait_until_shown()
    nothing = f"There is no job {reply.job} here."

    for words in (f"/show {reply.job}", f"/cancel {reply.job}"):
        assert (await chat.says("bo", words)).text == nothing
    assert (await chat.presses("bo", "again", reply.job)).text == nothing
    assert await reacts(chat, "bo", reply.job, "🔁") is None
    assert reply.job is not None
    assert await chat.bot.dispatch.find_card(caller("bo"), reply.job) is None

    assert (await chat.says("ana", f"/show {reply.job}")).ok  # now everybody sees it
    assert (await chat.presses("bo", "again", reply.job)).ok


async def test_the_same_delivered_twice_is_filed_once(chat: Chat) -> None:
    say = chat.bot.dispatch.say
    job = JobId("aaaaa1")

    replies = [await Seen.of(say(caller("ana"), "/imagine a fox", job)) for _ in range(2)]
    others = await Seen.of(say(caller("bo"), "/imagine a bear", job))

    assert [reply.job for reply in replies] == [job, job]
    assert others.ok and others.job != job
    assert len(rows(chat.folder, "SELECT id FROM jobs")) == 2


async def test_a_channel_for_adults_is_written_on_the_job(chat: Chat) -> None:
    adult = await Seen.of(chat.bot.dispatch.say(replace(caller("ana"), adult=True), "/imagine a fox"))
    usual = await chat.says("ana", "/imagine a fox")

    assert (await view_of(chat, adult.job)).adult
    assert not (await view_of(chat, usual.job)).adult


async def test_loras_are_suggested_to_who_may_use_them(chat: Chat) -> None:
    folder = chat.bot.config.adapters
    folder.mkdir()
    for name in ("ink", "inkwell", "maria"):
        (folder / f"{name}.safetensors").write_bytes(a_file())

    suggested = await chat.bot.dispatch.complete_loras(caller("nobody yet"), "maria:0.5, in")

    assert [suggestion.value for suggestion in suggested] == ["maria:0.5, ink:1", "maria:0.5, inkwell:1"]
