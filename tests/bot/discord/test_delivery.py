"""Whatever happens between the bot and Discord: exactly one card for each job, with its right final state."""

import sqlite3
from itertools import pairwise

import pytest

from bot.chats.discord.chat import DiscordChat
from tests.bot.discord.harness import DiscordBot, OpenDiscordBot, finish, text_of
from tests.bot.discord.test_buttons import a_picture, button, card_of, waits_for
from tests.bot.discord.test_train import card as train_card
from tests.bot.discord.test_train import opens, pictures
from tests.bot.running_bot import rows
from tests.fakes.discord import Fault, Message

CALLBACK = r"/interactions/\d+/[^/]+/callback"
ORIGINAL = r"/messages/@original"
POSTS = r"/channels/\d+/messages"
EDITS = r"/channels/\d+/messages/\d+"
LOSSES = (Fault.ERROR_BEFORE, Fault.ERROR_AFTER, Fault.CUT_BEFORE, Fault.CUT_AFTER, Fault.LIMITED)


async def calm(harness: DiscordBot) -> None:
    """Wait until Discord has been told all."""
    assert harness.bot is not None
    await harness.bot.delivery.wait_until_shown()


def job(harness: DiscordBot) -> str:
    """The only job."""
    ((number,),) = rows(harness.folder, "SELECT id FROM jobs")
    return str(number)


def forget(harness: DiscordBot) -> None:
    """As if the program had been killed before it wrote down which message it had posted."""
    with sqlite3.connect(harness.folder / "atelier.db") as database:
        database.execute("UPDATE jobs SET message = NULL, shown = 0")
    database.close()


async def trains(harness: DiscordBot) -> None:
    """Ana sends the form of /train, with two pictures."""
    options = "--trigger ohwx --subject gear --steps 5"
    form = await opens(harness)
    await harness.discord.submit(
        harness.ana, form, {"pictures": pictures(2), "rest": options, "consent": ["yes"]}
    )


async def the_card(harness: DiscordBot, nth: int = 0, seconds: float = 30.0) -> Message:
    """The one message with this picture, once it is painted and its row knows it."""

    def cards() -> list[Message]:
        return [message for message in harness.channel.messages if "Painted in" in text_of(message)]

    await harness.discord.until(lambda: len(cards()) > nth, seconds)
    await calm(harness)
    messages = cards()
    assert len(messages) == nth + 1
    assert len(harness.channel.messages) == nth + 1, harness.channel.messages
    return messages[nth]


@pytest.mark.parametrize("fault", LOSSES)
async def test_a_first_answer_that_is_lost_or_unheard_leaves_one_card(
    harness: DiscordBot, fault: Fault
) -> None:
    harness.discord.faults.add("POST", CALLBACK, fault)

    await harness.discord.command(harness.ana, harness.channel, "imagine", prompt="a fox", steps=1)

    done = await the_card(harness)
    assert len(done.files) == 1


@pytest.mark.parametrize("fault", LOSSES)
async def test_an_edit_that_is_lost_or_unheard_is_made_again(harness: DiscordBot, fault: Fault) -> None:
    harness.discord.faults.add("PATCH", ORIGINAL, fault)

    await harness.discord.command(harness.ana, harness.channel, "imagine", prompt="a fox", steps=1)

    assert len((await the_card(harness)).files) == 1


@pytest.mark.parametrize("fault", LOSSES)
async def test_a_post_with_the_bots_token_that_is_lost_or_unheard_leaves_one_card(
    harness: DiscordBot, fault: Fault
) -> None:
    await a_picture(harness)
    harness.discord.faults.add("POST", POSTS, fault)

    await harness.discord.react(harness.bo, harness.channel.messages[0], "🔁")

    assert len((await the_card(harness, 1)).files) == 1


async def test_a_post_that_is_unheard_until_its_nonce_is_forgotten_leaves_one_card(
    harness: DiscordBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.fakes.discord.rest.NONCE_SECONDS", 0.0)
    await a_picture(harness)
    harness.discord.faults.add("POST", POSTS, Fault.CUT_AFTER)

    await harness.discord.react(harness.bo, harness.channel.messages[0], "🔁")

    assert len((await the_card(harness, 1)).files) == 1


async def test_progress_of_an_old_card_is_shown_seldom_and_its_end_at_once(
    open_discord_bot: OpenDiscordBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.chats.discord.messages.OLD_AFTER", 0.0)
    harness = await open_discord_bot(seconds=0.1)

    heard = await waits_for(harness, harness.channel, 30)

    assert (await finish(harness, heard, 30)).edits <= 4  # of thirty steps: queued, running, done


@pytest.mark.parametrize("fault", LOSSES)
async def test_an_edit_with_the_bots_token_that_is_lost_or_unheard_is_made_again(
    harness: DiscordBot, fault: Fault
) -> None:
    card = await a_picture(harness)
    await harness.restart()
    harness.discord.faults.add("PATCH", EDITS, fault)

    await harness.discord.click(harness.ana, card, button(card, "keep"))

    await harness.discord.until(lambda: "⭐ 1" in text_of(card), 30)
    assert len(card.files) == 1
    assert harness.channel.messages == [card]


async def test_when_the_interactions_token_is_dead_the_bots_token_edits(
    open_discord_bot: OpenDiscordBot,
) -> None:
    harness = await open_discord_bot(seconds=0.05)
    heard = await waits_for(harness, harness.channel, 12)
    harness.discord.expire(heard)

    done = await the_card(harness)

    assert done is heard.message
    assert harness.discord.calls("PATCH", rf".*/channels/{harness.channel.id}/messages/{done.id}")


async def test_an_interaction_that_died_before_its_answer_leaves_a_card_all_the_same(
    harness: DiscordBot,
) -> None:
    harness.discord.faults.add("POST", CALLBACK, Fault.MISSING)

    await harness.discord.command(harness.ana, harness.channel, "imagine", prompt="a fox", steps=1)

    await the_card(harness)


async def test_when_the_channel_is_closed_to_the_bot_the_picture_comes_by_direct_message(
    open_discord_bot: OpenDiscordBot,
) -> None:
    harness = await open_discord_bot(seconds=0.1)
    heard = await waits_for(harness, harness.channel, 12)
    harness.channel.close_to_bot()
    harness.discord.expire(heard)

    direct = harness.discord.direct(harness.ana)
    await harness.discord.until(
        lambda: any("Painted in" in text_of(message) for message in direct.messages), 30
    )

    (card,) = direct.messages
    assert len(card.files) == 1
    assert card.components


async def test_when_the_channel_is_gone_the_picture_comes_by_direct_message(
    open_discord_bot: OpenDiscordBot,
) -> None:
    harness = await open_discord_bot(seconds=0.1)
    heard = await waits_for(harness, harness.channel, 12)
    harness.channel.delete()
    harness.discord.expire(heard)

    direct = harness.discord.direct(harness.ana)
    await harness.discord.until(
        lambda: any("Painted in" in text_of(message) for message in direct.messages), 30
    )


async def test_a_card_that_nobody_takes_waits_until_it_is_asked_for(open_discord_bot: OpenDiscordBot) -> None:
    harness = await open_discord_bot(seconds=0.1)
    heard = await waits_for(harness, harness.channel, 10)
    harness.channel.close_to_bot()
    harness.discord.close_direct(harness.ana)
    harness.discord.expire(heard)
    await harness.discord.until(
        lambda: rows(harness.folder, "SELECT state, shown = revision FROM jobs") == [("succeeded", 1)], 30
    )

    harness.channel.open_to_bot()
    again = await harness.discord.command(harness.ana, harness.channel, "show", job=job(harness))

    assert len((await finish(harness, again)).files) == 1


async def test_what_was_deleted_before_it_was_painted_comes_by_direct_message(
    open_discord_bot: OpenDiscordBot,
) -> None:
    harness = await open_discord_bot(seconds=0.1)
    heard = await waits_for(harness, harness.channel, 12)
    await harness.discord.delete(card_of(heard))

    direct = harness.discord.direct(harness.ana)
    await harness.discord.until(
        lambda: any("Painted in" in text_of(message) for message in direct.messages), 30
    )

    assert len(direct.messages) == 1
    assert harness.channel.messages == []


async def test_a_card_that_was_posted_just_before_the_program_died_is_found_again(
    harness: DiscordBot,
) -> None:
    card = await a_picture(harness)
    await harness.stop()
    forget(harness)

    await harness.start()
    await harness.discord.until(lambda: rows(harness.folder, "SELECT message FROM jobs") != [(None,)])

    assert harness.channel.messages == [card]
    assert rows(harness.folder, "SELECT message FROM jobs") == [(f"{harness.channel.id}-{card.id}",)]


async def test_a_training_whose_program_died_goes_on_in_the_same_thread(harness: DiscordBot) -> None:
    await trains(harness)
    report = await train_card(harness, "2 pictures", 30)
    await harness.stop()
    forget(harness)

    await harness.start()
    await harness.discord.until(lambda: rows(harness.folder, "SELECT message FROM jobs") != [(None,)])

    assert len(harness.channel.messages) == len(harness.channel.threads) == 1
    assert harness.channel.threads[0].messages == [report]


async def test_where_the_bot_is_no_member_a_late_picture_comes_by_direct_message(
    open_discord_bot: OpenDiscordBot,
) -> None:
    harness = await open_discord_bot(seconds=0.1)
    elsewhere = harness.discord.guild("elsewhere", bot=False)
    elsewhere.join(harness.ana)
    lobby = elsewhere.channel("lobby")
    heard = await waits_for(harness, lobby, 12)
    harness.discord.expire(heard)

    direct = harness.discord.direct(harness.ana)
    await harness.discord.until(
        lambda: any("Painted in" in text_of(message) for message in direct.messages), 30
    )

    assert len(direct.messages) == 1


async def test_progress_is_edited_at_most_once_in_two_seconds(open_discord_bot: OpenDiscordBot) -> None:
    harness = await open_discord_bot(seconds=0.05, starts=False)
    harness.every = DiscordChat.every
    await harness.start()
    harness.discord.limits.add("PATCH", ORIGINAL, 2, 1.9)

    heard = await harness.discord.command(harness.ana, harness.channel, "imagine", prompt="a fox", steps=60)
    await finish(harness, heard, 30)

    edits = [call.at for call in harness.discord.record if call.path.endswith("@original")]
    assert all(later - earlier > 1.9 for earlier, later in pairwise(edits))
    assert not harness.discord.limits.exceeded


async def test_where_threads_are_not_allowed_a_training_is_in_the_channel(harness: DiscordBot) -> None:
    harness.channel.forbid("create_public_threads")
    await trains(harness)

    await harness.discord.until(
        lambda: any("2 pictures" in text_of(message) for message in harness.channel.messages), 20
    )
    (card,) = harness.channel.messages
    assert card.components


@pytest.mark.parametrize("fault", [Fault.CUT_AFTER, Fault.ERROR_AFTER, Fault.CUT_BEFORE])
async def test_a_training_has_one_thread_and_one_card_whatever_gets_lost(
    harness: DiscordBot, fault: Fault
) -> None:
    harness.discord.faults.add("POST", r"/messages/\d+/threads", fault)
    harness.discord.faults.add("POST", POSTS, fault)

    await trains(harness)
    report = await train_card(harness, "2 pictures", 30)
    await calm(harness)

    assert len(harness.channel.threads) == 1
    assert harness.channel.threads[0].messages == [report]
    assert len(harness.channel.messages) == 1


async def test_deleting_a_training_takes_its_card_and_what_stands_above_its_thread(
    harness: DiscordBot,
) -> None:
    await trains(harness)
    report = await train_card(harness, "2 pictures", 30)

    await harness.discord.click(harness.ana, report, button(report, "delete"))

    await harness.discord.until(lambda: report.deleted and not harness.channel.messages)
    await harness.discord.until(lambda: report.channel.gone)


@pytest.mark.parametrize("hidden", [False, True])
async def test_the_thread_of_a_deleted_training_stays_where_something_is_said_in_it(
    harness: DiscordBot, hidden: bool
) -> None:
    await trains(harness)
    report = await train_card(harness, "2 pictures", 30)
    if hidden:
        harness.channel.forbid("read_message_history")  # the bot cannot know that nothing is said
    else:
        report.channel.says(harness.bo, "how nice")

    await harness.discord.click(harness.ana, report, button(report, "delete"))

    await harness.discord.until(lambda: report.deleted and not harness.channel.messages)
    await calm(harness)
    assert not report.channel.gone and not report.channel.archived


async def test_an_empty_thread_that_cannot_be_deleted_goes_into_the_archive(harness: DiscordBot) -> None:
    harness.channel.forbid("manage_threads")
    await trains(harness)
    report = await train_card(harness, "2 pictures", 30)

    await harness.discord.click(harness.ana, report, button(report, "delete"))

    await harness.discord.until(lambda: report.deleted and report.channel.archived)
    assert not report.channel.gone


async def test_the_card_of_a_thread_that_was_archived_is_edited_all_the_same(harness: DiscordBot) -> None:
    await trains(harness)
    report = await train_card(harness, "2 pictures", 30)
    report.channel.archived = True

    await harness.discord.click(harness.ana, report, button(report, "start"))

    await train_card(harness, "--lora maria", 60)
    assert not report.channel.archived


async def test_a_picture_comes_into_a_thread_that_was_archived_meanwhile(
    open_discord_bot: OpenDiscordBot,
) -> None:
    harness = await open_discord_bot(seconds=0.1)
    await trains(harness)
    thread = (await train_card(harness, "2 pictures", 30)).channel
    heard = await harness.discord.command(harness.ana, thread, "imagine", prompt="a fox", steps=10)
    thread.archived = True

    done = await finish(harness, heard)

    assert done.channel is thread
    assert not thread.archived


async def test_a_card_in_an_archived_thread_is_deleted_all_the_same(harness: DiscordBot) -> None:
    await trains(harness)
    report = await train_card(harness, "2 pictures", 30)
    await calm(harness)
    report.channel.archived = True

    await harness.discord.click(harness.ana, report, button(report, "delete"))

    await harness.discord.until(lambda: report.deleted and not harness.channel.messages)
