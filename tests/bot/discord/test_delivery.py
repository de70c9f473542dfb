"""Whatever happens between the bot and Discord: exactly one card for each job, with its right final state."""

import sqlite3
from itertools import pairwise

import pytest

from bot.chats.discord.chat import DiscordChat
from tests.bot.discord.harness import OpenStudio, Studio, painted, shown
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


async def calm(studio: Studio) -> None:
    """Wait until Discord has been told all."""
    assert studio.bot is not None
    await studio.bot.delivery.wait_until_shown()


def job(studio: Studio) -> str:
    """The only job."""
    ((found,),) = rows(studio.folder, "SELECT id FROM jobs")
    return str(found)


def forget(studio: Studio) -> None:
    """As if the program had been killed before it wrote down which message it had posted."""
    with sqlite3.connect(studio.folder / "atelier.db") as database:
        database.execute("UPDATE jobs SET message = NULL, shown = 0")
    database.close()


async def trains(studio: Studio) -> None:
    """Ana sends the form of /train, with two pictures."""
    said = "--trigger ohwx --subject gear --steps 5"
    form = await opens(studio)
    await studio.discord.submit(studio.ana, form, {"pictures": pictures(2), "rest": said, "consent": ["yes"]})


async def the_card(studio: Studio, nth: int = 0, seconds: float = 30.0) -> Message:
    """The one message with this picture, once it is painted and its row knows it."""

    def cards() -> list[Message]:
        return [one for one in studio.channel.messages if "Painted in" in shown(one)]

    await studio.discord.until(lambda: len(cards()) > nth, seconds)
    await calm(studio)
    found = cards()
    assert len(found) == nth + 1
    assert len(studio.channel.messages) == nth + 1, studio.channel.messages
    return found[nth]


@pytest.mark.parametrize("fault", LOSSES)
async def test_a_first_answer_that_is_lost_or_unheard_leaves_one_card(studio: Studio, fault: Fault) -> None:
    studio.discord.faults.add("POST", CALLBACK, fault)

    await studio.discord.command(studio.ana, studio.channel, "imagine", prompt="a fox", steps=1)

    done = await the_card(studio)
    assert len(done.files) == 1


@pytest.mark.parametrize("fault", LOSSES)
async def test_an_edit_that_is_lost_or_unheard_is_made_again(studio: Studio, fault: Fault) -> None:
    studio.discord.faults.add("PATCH", ORIGINAL, fault)

    await studio.discord.command(studio.ana, studio.channel, "imagine", prompt="a fox", steps=1)

    assert len((await the_card(studio)).files) == 1


@pytest.mark.parametrize("fault", LOSSES)
async def test_a_post_with_the_bots_token_that_is_lost_or_unheard_leaves_one_card(
    studio: Studio, fault: Fault
) -> None:
    await a_picture(studio)
    studio.discord.faults.add("POST", POSTS, fault)

    await studio.discord.react(studio.bo, studio.channel.messages[0], "🔁")

    assert len((await the_card(studio, 1)).files) == 1


async def test_a_post_that_is_unheard_until_its_nonce_is_forgotten_leaves_one_card(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.fakes.discord.rest.NONCE_SECONDS", 0.0)
    await a_picture(studio)
    studio.discord.faults.add("POST", POSTS, Fault.CUT_AFTER)

    await studio.discord.react(studio.bo, studio.channel.messages[0], "🔁")

    assert len((await the_card(studio, 1)).files) == 1


async def test_progress_of_an_old_card_is_shown_seldom_and_its_end_at_once(
    open_studio: OpenStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.chats.discord.messages.OLD_AFTER", 0.0)
    studio = await open_studio(seconds=0.1)

    heard = await waits_for(studio, studio.channel, 30)

    assert (await painted(studio, heard, 30)).edits <= 4  # of thirty steps: queued, running, done


@pytest.mark.parametrize("fault", LOSSES)
async def test_an_edit_with_the_bots_token_that_is_lost_or_unheard_is_made_again(
    studio: Studio, fault: Fault
) -> None:
    card = await a_picture(studio)
    await studio.restart()
    studio.discord.faults.add("PATCH", EDITS, fault)

    await studio.discord.click(studio.ana, card, button(card, "keep"))

    await studio.discord.until(lambda: "⭐ 1" in shown(card), 30)
    assert len(card.files) == 1
    assert studio.channel.messages == [card]


async def test_when_the_interactions_token_is_dead_the_bots_token_edits(open_studio: OpenStudio) -> None:
    studio = await open_studio(seconds=0.05)
    heard = await waits_for(studio, studio.channel, 12)
    studio.discord.expire(heard)

    done = await the_card(studio)

    assert done is heard.message
    assert studio.discord.calls("PATCH", rf".*/channels/{studio.channel.id}/messages/{done.id}")


async def test_an_interaction_that_died_before_its_answer_leaves_a_card_all_the_same(studio: Studio) -> None:
    studio.discord.faults.add("POST", CALLBACK, Fault.MISSING)

    await studio.discord.command(studio.ana, studio.channel, "imagine", prompt="a fox", steps=1)

    await the_card(studio)


async def test_when_the_channel_is_closed_to_the_bot_the_picture_comes_by_direct_message(
    open_studio: OpenStudio,
) -> None:
    studio = await open_studio(seconds=0.1)
    heard = await waits_for(studio, studio.channel, 12)
    studio.channel.close_to_bot()
    studio.discord.expire(heard)

    direct = studio.discord.direct(studio.ana)
    await studio.discord.until(lambda: any("Painted in" in shown(one) for one in direct.messages), 30)

    (card,) = direct.messages
    assert len(card.files) == 1
    assert card.components


async def test_when_the_channel_is_gone_the_picture_comes_by_direct_message(open_studio: OpenStudio) -> None:
    studio = await open_studio(seconds=0.1)
    heard = await waits_for(studio, studio.channel, 12)
    studio.channel.delete()
    studio.discord.expire(heard)

    direct = studio.discord.direct(studio.ana)
    await studio.discord.until(lambda: any("Painted in" in shown(one) for one in direct.messages), 30)


async def test_a_card_that_nobody_takes_waits_until_it_is_asked_for(open_studio: OpenStudio) -> None:
    studio = await open_studio(seconds=0.1)
    heard = await waits_for(studio, studio.channel, 10)
    studio.channel.close_to_bot()
    studio.discord.close_direct(studio.ana)
    studio.discord.expire(heard)
    await studio.discord.until(
        lambda: rows(studio.folder, "SELECT state, shown = revision FROM jobs") == [("succeeded", 1)], 30
    )

    studio.channel.open_to_bot()
    again = await studio.discord.command(studio.ana, studio.channel, "show", job=job(studio))

    assert len((await painted(studio, again)).files) == 1


async def test_what_was_deleted_before_it_was_painted_comes_by_direct_message(
    open_studio: OpenStudio,
) -> None:
    studio = await open_studio(seconds=0.1)
    heard = await waits_for(studio, studio.channel, 12)
    await studio.discord.delete(card_of(heard))

    direct = studio.discord.direct(studio.ana)
    await studio.discord.until(lambda: any("Painted in" in shown(one) for one in direct.messages), 30)

    assert len(direct.messages) == 1
    assert studio.channel.messages == []


async def test_a_card_that_was_posted_just_before_the_program_died_is_found_again(studio: Studio) -> None:
    card = await a_picture(studio)
    await studio.stop()
    forget(studio)

    await studio.start()
    await studio.discord.until(lambda: rows(studio.folder, "SELECT message FROM jobs") != [(None,)])

    assert studio.channel.messages == [card]
    assert rows(studio.folder, "SELECT message FROM jobs") == [(f"{studio.channel.id}-{card.id}",)]


async def test_a_training_whose_program_died_goes_on_in_the_same_thread(studio: Studio) -> None:
    await trains(studio)
    report = await train_card(studio, "2 pictures", 30)
    await studio.stop()
    forget(studio)

    await studio.start()
    await studio.discord.until(lambda: rows(studio.folder, "SELECT message FROM jobs") != [(None,)])

    assert len(studio.channel.messages) == len(studio.channel.threads) == 1
    assert studio.channel.threads[0].messages == [report]


async def test_where_the_bot_is_no_member_a_late_picture_comes_by_direct_message(
    open_studio: OpenStudio,
) -> None:
    studio = await open_studio(seconds=0.1)
    elsewhere = studio.discord.guild("elsewhere", bot=False)
    elsewhere.join(studio.ana)
    lobby = elsewhere.channel("lobby")
    heard = await waits_for(studio, lobby, 12)
    studio.discord.expire(heard)

    direct = studio.discord.direct(studio.ana)
    await studio.discord.until(lambda: any("Painted in" in shown(one) for one in direct.messages), 30)

    assert len(direct.messages) == 1


async def test_progress_is_edited_at_most_once_in_two_seconds(open_studio: OpenStudio) -> None:
    studio = await open_studio(seconds=0.05, starts=False)
    studio.every = DiscordChat.every
    await studio.start()
    studio.discord.limits.add("PATCH", ORIGINAL, 2, 1.9)

    heard = await studio.discord.command(studio.ana, studio.channel, "imagine", prompt="a fox", steps=60)
    await painted(studio, heard, 30)

    edits = [call.at for call in studio.discord.record if call.path.endswith("@original")]
    assert all(later - earlier > 1.9 for earlier, later in pairwise(edits))
    assert not studio.discord.limits.exceeded


async def test_where_threads_are_not_allowed_a_training_is_in_the_channel(studio: Studio) -> None:
    studio.channel.forbid("create_public_threads")
    await trains(studio)

    await studio.discord.until(lambda: any("2 pictures" in shown(one) for one in studio.channel.messages), 20)
    (card,) = studio.channel.messages
    assert card.components


@pytest.mark.parametrize("fault", [Fault.CUT_AFTER, Fault.ERROR_AFTER, Fault.CUT_BEFORE])
async def test_a_training_has_one_thread_and_one_card_whatever_gets_lost(
    studio: Studio, fault: Fault
) -> None:
    studio.discord.faults.add("POST", r"/messages/\d+/threads", fault)
    studio.discord.faults.add("POST", POSTS, fault)

    await trains(studio)
    report = await train_card(studio, "2 pictures", 30)
    await calm(studio)

    assert len(studio.channel.threads) == 1
    assert studio.channel.threads[0].messages == [report]
    assert len(studio.channel.messages) == 1


async def test_deleting_a_training_takes_its_card_and_what_stands_above_its_thread(studio: Studio) -> None:
    await trains(studio)
    report = await train_card(studio, "2 pictures", 30)

    await studio.discord.click(studio.ana, report, button(report, "delete"))

    await studio.discord.until(lambda: report.deleted and not studio.channel.messages)
    await studio.discord.until(lambda: report.channel.gone)


@pytest.mark.parametrize("hidden", [False, True])
async def test_the_thread_of_a_deleted_training_stays_where_something_is_said_in_it(
    studio: Studio, hidden: bool
) -> None:
    await trains(studio)
    report = await train_card(studio, "2 pictures", 30)
    if hidden:
        studio.channel.forbid("read_message_history")  # the bot cannot know that nothing is said
    else:
        report.channel.says(studio.bo, "how nice")

    await studio.discord.click(studio.ana, report, button(report, "delete"))

    await studio.discord.until(lambda: report.deleted and not studio.channel.messages)
    await calm(studio)
    assert not report.channel.gone and not report.channel.archived


async def test_an_empty_thread_that_cannot_be_deleted_goes_into_the_archive(studio: Studio) -> None:
    studio.channel.forbid("manage_threads")
    await trains(studio)
    report = await train_card(studio, "2 pictures", 30)

    await studio.discord.click(studio.ana, report, button(report, "delete"))

    await studio.discord.until(lambda: report.deleted and report.channel.archived)
    assert not report.channel.gone


async def test_the_card_of_a_thread_that_was_archived_is_edited_all_the_same(studio: Studio) -> None:
    await trains(studio)
    report = await train_card(studio, "2 pictures", 30)
    report.channel.archived = True

    await studio.discord.click(studio.ana, report, button(report, "start"))

    await train_card(studio, "--lora maria", 60)
    assert not report.channel.archived


async def test_a_picture_comes_into_a_thread_that_was_archived_meanwhile(open_studio: OpenStudio) -> None:
    studio = await open_studio(seconds=0.1)
    await trains(studio)
    thread = (await train_card(studio, "2 pictures", 30)).channel
    heard = await studio.discord.command(studio.ana, thread, "imagine", prompt="a fox", steps=10)
    thread.archived = True

    done = await painted(studio, heard)

    assert done.channel is thread
    assert not thread.archived


async def test_a_card_in_an_archived_thread_is_deleted_all_the_same(studio: Studio) -> None:
    await trains(studio)
    report = await train_card(studio, "2 pictures", 30)
    await calm(studio)
    report.channel.archived = True

    await studio.discord.click(studio.ana, report, button(report, "delete"))

    await studio.discord.until(lambda: report.deleted and not studio.channel.messages)
