"""A chat that fails, refuses or is slow has each card in the end, in exactly one message."""

import asyncio
from pathlib import Path

import pytest

from bot.cards.card import Card
from bot.chats import delivery
from bot.chats.interface import CardRefused, NotYet
from tests.bot.fake_chat import FakeChat, OpenChat


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(delivery, "LONGEST_PAUSE", 0.2)


async def test_a_chat_that_fails_gets_its_card_in_the_end(open_chat: OpenChat) -> None:
    fake = FakeChat(trouble=ConnectionError("the chat is away"))
    chat = await open_chat(fake=fake)
    job = (await chat.says("ana", "/imagine a fox --steps 3")).job
    await chat.sees(lambda: len(chat.notes_of("painted")) == 1)
    await asyncio.sleep(0.3)
    assert chat.card(job) is None

    fake.trouble = None

    assert (await chat.ends(job)).state == "succeeded"
    assert len(fake.posts) == 1


async def test_a_chat_that_shows_a_card_and_then_fails_to_say_so_shows_it_again_in_the_same_message(
    open_chat: OpenChat,
) -> None:
    class Forgetful(FakeChat):
        async def show(self, channel: str, message: str | None, card: Card) -> str:
            shown = await super().show(channel, message, card)
            if message is not None and len(self.shows) % 2:
                raise ConnectionError("cut after it was shown")
            return shown

    chat = await open_chat(fake=Forgetful())
    job = (await chat.says("ana", "/imagine a fox --steps 10")).job

    assert (await chat.ends(job)).state == "succeeded"
    await chat.bot.delivery.wait_until_shown()
    assert len(chat.fake.posts) == 1


async def test_a_slow_chat_sees_few_states_and_the_last_one(open_chat: OpenChat) -> None:
    chat = await open_chat(fake=FakeChat(slow=0.3))
    job = (await chat.says("ana", "/imagine a fox --steps 50")).job

    assert (await chat.ends(job)).state == "succeeded"
    assert len(chat.fake.shows) < 8
    assert len(chat.fake.posts) == 1


async def test_a_message_is_not_edited_more_often_than_its_chat_allows(open_chat: OpenChat) -> None:
    chat = await open_chat(fake=FakeChat(every=0.5))
    job = (await chat.says("ana", "/imagine a fox --steps 100")).job

    await chat.ends(job)

    assert len(chat.fake.shows) <= 6  # of a hundred steps in a second


async def test_one_slow_card_does_not_hold_up_the_others(open_chat: OpenChat) -> None:
    class Stuck(FakeChat):
        async def show(self, channel: str, message: str | None, card: Card) -> str:
            if card.title == "stuck":
                await asyncio.sleep(60)
            return await super().show(channel, message, card)

    chat = await open_chat(fake=Stuck())
    await chat.says("ana", "/imagine stuck --steps 2")

    job = (await chat.says("bo", "/imagine a fox --steps 2")).job

    assert (await chat.ends(job)).state == "succeeded"


async def test_a_chat_that_never_answers_is_asked_again(
    open_chat: OpenChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "PATIENCE", 0.2)
    fake = FakeChat(slow=60)
    chat = await open_chat(fake=fake)
    job = (await chat.says("ana", "/imagine a fox --steps 2")).job
    await asyncio.sleep(0.1)

    fake.slow = 0

    assert (await chat.ends(job)).state == "succeeded"
    assert len(fake.posts) == 1


async def test_a_refused_card_is_left_alone_until_it_changes(open_chat: OpenChat) -> None:
    fake = FakeChat(trouble=CardRefused("the channel is closed"))
    chat = await open_chat(fake=fake)
    job = (await chat.says("ana", "/imagine a fox --steps 2")).job
    await chat.sees(lambda: len(chat.notes_of("painted")) == 1)
    await chat.close(grace=2)

    fake.trouble = None
    chat = await open_chat(fake=fake)
    await asyncio.sleep(0.3)
    assert chat.card(job) is None
    await chat.says("ana", f"/show {job}")

    assert (await chat.ends(job)).state == "succeeded"


async def test_what_was_not_shown_before_the_end_is_shown_after_the_next_start(open_chat: OpenChat) -> None:
    fake = FakeChat()
    chat = await open_chat(fake=fake, seconds=0.05)
    job = (await chat.says("ana", "/imagine a fox --steps 5")).job
    await chat.runs(job)
    fake.trouble = ConnectionError("the chat is away")
    await chat.sees(lambda: len(chat.notes_of("painted")) == 1)
    await chat.close(grace=2)
    card = chat.card(job)
    assert card is not None
    assert card.state == "running"

    fake.trouble = None
    chat = await open_chat(fake=fake)

    assert (await chat.ends(job)).state == "succeeded"
    assert len(fake.posts) == 1
    assert chat.notes_of("painted") == [job]


async def test_a_deleted_card_goes_although_the_chat_failed_at_first(
    open_chat: OpenChat, tmp_path: Path
) -> None:
    class Sticky(FakeChat):
        async def remove(self, channel: str, message: str) -> None:
            if self.trouble is not None:
                raise self.trouble
            await super().remove(channel, message)

    fake = Sticky()
    chat = await open_chat(fake=fake)
    job = (await chat.says("ana", "/imagine a fox --steps 2")).job
    await chat.ends(job)
    fake.trouble = ConnectionError("the chat is away")
    await chat.presses("ana", "delete", job)
    await asyncio.sleep(0.2)
    assert chat.card(job) is not None

    fake.trouble = None

    await chat.sees(lambda: chat.card(job) is None)


async def test_many_undelivered_cards_are_all_found_after_a_restart(
    open_chat: OpenChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "SWEEP", 5)
    fake = FakeChat(trouble=ConnectionError("the chat is away"))
    chat = await open_chat(fake=fake)
    replies = [await chat.says(f"person {n}", f"/imagine fox {n} --steps 1") for n in range(17)]
    await chat.sees(lambda: len(chat.notes_of("painted")) == 17)
    await chat.close(grace=2)

    fake.trouble = None
    chat = await open_chat(fake=fake)

    assert {(await chat.ends(reply.job)).state for reply in replies} == {"succeeded"}
    assert len(fake.posts) == 17


class Refusing(FakeChat):
    """Takes no card with pictures, or none at all."""

    def __init__(self, *, bare: bool, anew: bool = False) -> None:
        super().__init__()
        self.bare, self.anew, self.relents = bare, anew, False
        self.asked: list[Card] = []

    async def show(self, channel: str, message: str | None, card: Card) -> str:
        self.asked.append(card)
        if not self.relents and card.pictures and not (card.bare and self.bare):
            old = self.anew and message is not None
            if old or not self.anew:
                raise CardRefused("It is held for explicit.", bare=not self.anew, anew=self.anew)
        return await super().show(channel, message, card)


async def test_a_card_whose_picture_is_refused_is_shown_in_words_and_says_why(open_chat: OpenChat) -> None:
    fake = Refusing(bare=True)
    chat = await open_chat(fake=fake)

    job = (await chat.says("ana", "/imagine a fox --steps 2")).job

    card = await chat.ends(job)
    assert (card.state, card.bare) == ("succeeded", "It is held for explicit.")
    assert fake.told == []
    asked = len(fake.asked)
    await chat.presses("bo", "keep", job)
    await chat.shows(job, lambda card: card.pictures[0].stars == 1)
    assert [bool(shown.bare) for shown in fake.asked[asked:]] == [True]


async def test_a_card_that_is_refused_in_words_too_ends_and_its_owner_is_told_once(
    open_chat: OpenChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "SWEEP_SECONDS", 0.05)
    fake = Refusing(bare=False)
    chat = await open_chat(fake=fake)
    job = (await chat.says("ana", "/imagine a fox --steps 2")).job
    await chat.sees(lambda: bool(fake.told))
    assert job is not None
    asked = len(fake.asked)

    for _ in range(5):
        chat.bot.delivery.touch([job])
        await asyncio.sleep(0.1)

    reason = f"The card of job {job} cannot be shown. It is held for explicit. /show {job} tries it again."
    assert fake.told == [("ana", reason)]
    assert len(fake.asked) == asked


async def test_what_was_refused_for_good_is_tried_again_when_somebody_asks_for_it(
    open_chat: OpenChat,
) -> None:
    fake = Refusing(bare=False)
    chat = await open_chat(fake=fake)
    job = (await chat.says("ana", "/imagine a fox --steps 2")).job
    await chat.sees(lambda: bool(fake.told))

    await chat.says("ana", f"/show {job}")
    await chat.sees(lambda: len(fake.told) == 2)
    fake.relents = True
    await chat.says("ana", f"/show {job}")

    assert (await chat.ends(job)).bare == ""


async def test_a_message_that_changes_no_more_is_followed_by_one_with_the_end(open_chat: OpenChat) -> None:
    fake = Refusing(bare=False, anew=True)
    chat = await open_chat(fake=fake)

    job = (await chat.says("ana", "/imagine a fox --steps 2")).job

    assert (await chat.ends(job)).state == "succeeded"
    assert len(fake.posts) == 2
    assert fake.told == []


async def test_a_chat_that_takes_no_more_for_a_moment_gets_the_card_of_then(
    open_chat: OpenChat,
) -> None:
    class Hasty(FakeChat):
        waits = 0

        async def show(self, channel: str, message: str | None, card: Card) -> str:
            if message is not None and self.waits < 5:
                self.waits += 1
                raise NotYet(0.1)
            return await super().show(channel, message, card)

    fake = Hasty()
    chat = await open_chat(fake=fake)

    job = (await chat.says("ana", "/imagine a fox --steps 2")).job

    assert (await chat.ends(job)).state == "succeeded"
    assert (fake.waits, len(fake.posts)) == (5, 1)
    assert b'atelier_cards_total{result="failed"}' not in chat.bot.metrics.text()


async def test_cards_wait_for_those_whose_commands_are_being_stored(
    open_chat: OpenChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "REPLIES_FIRST", 60.0)
    chat = await open_chat()
    job = (await chat.says("ana", "/imagine a fox --steps 3")).job
    assert job is not None
    await chat.ends(job)
    await chat.bot.delivery.wait_until_shown()
    stored, before = asyncio.Event(), len(chat.fake.shows)
    storing = asyncio.create_task(chat.bot.database.write(lambda _: stored.wait()))
    await asyncio.sleep(0)

    chat.bot.delivery.touch([job])
    await asyncio.sleep(0.2)
    meanwhile = len(chat.fake.shows)
    stored.set()

    assert meanwhile == before
    await chat.sees(lambda: len(chat.fake.shows) > before)
    await storing
