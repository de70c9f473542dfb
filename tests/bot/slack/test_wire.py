"""What goes wrong between Slack and the bot: nothing is lost, and nothing is there twice."""

import asyncio
from functools import partial

import pytest

from tests.bot.slack.harness import Atelier, OpenAtelier, button
from tests.fakes.slack import Fault, Socket


async def test_a_duplicate_envelope_makes_one_job(atelier: Atelier) -> None:
    heard = await atelier.says(atelier.ana, "/imagine", "a red fox")

    await atelier.slack.duplicate(heard)

    await atelier.shows(lambda message: "Painted in" in message.words)
    await atelier.slack.until(lambda: len(heard.envelope.acks) == 2)
    assert len(atelier.cards()) == 1


async def test_a_duplicate_event_makes_one_job(atelier: Atelier) -> None:
    card = await atelier.paints(atelier.ana, "a red fox")
    heard = await atelier.slack.react(atelier.bo, card, "🔁")
    assert heard is not None

    again = await atelier.slack.redeliver(heard)

    assert again.acked is not None
    await atelier.slack.until(lambda: sum("Painted in" in card.words for card in atelier.cards()) == 2)
    assert len(atelier.cards()) == 2


async def test_an_event_redelivered_after_a_restart_makes_one_job(atelier: Atelier) -> None:
    card = await atelier.paints(atelier.ana, "a red fox")
    heard = await atelier.slack.react(atelier.bo, card, "🔁")
    assert heard is not None
    await atelier.restart()

    again = await atelier.slack.redeliver(heard)

    assert again.acked is not None
    await atelier.slack.until(lambda: sum("Painted in" in card.words for card in atelier.cards()) == 2)
    assert len(atelier.cards()) == 2


async def test_a_command_redelivered_after_a_restart_makes_one_job(atelier: Atelier) -> None:
    heard = await atelier.says(atelier.ana, "/imagine", "a red fox")
    await atelier.restart()

    again = await atelier.slack.redeliver(heard)

    assert again.acked is not None and not again.words
    await atelier.shows(lambda message: "Painted in" in message.words and bool(message.pictures))
    assert len(atelier.cards()) == 1


async def test_a_lost_acknowledgement_and_its_redelivery_make_one_job(atelier: Atelier) -> None:
    card = await atelier.paints(atelier.ana, "a red fox")
    atelier.slack.patience(0.3)
    atelier.slack.lose_acks(1)

    heard = await atelier.slack.react(atelier.bo, card, "🔁")

    assert heard is not None
    await atelier.slack.until(lambda: heard.acked is not None)
    await atelier.slack.until(lambda: sum("Painted in" in card.words for card in atelier.cards()) == 2)
    assert len(atelier.cards()) == 2


async def test_there_are_two_sockets_and_both_are_used(atelier: Atelier) -> None:
    assert len(atelier.slack.sockets) == 2

    for number in range(4):
        await atelier.says(atelier.ana, "/imagine", f"fox {number} --steps 1")

    assert all(socket.sent >= 2 for socket in atelier.slack.sockets)
    await atelier.slack.until(lambda: sum("Painted in" in card.words for card in atelier.cards()) == 4)


def is_replaced(atelier: Atelier, socket: Socket) -> bool:
    return socket not in atelier.slack.sockets and len(atelier.slack.sockets) == 2


async def test_no_command_is_lost_while_sockets_are_refreshed(atelier: Atelier) -> None:
    async def talk() -> None:
        for number in range(12):
            heard = await atelier.says(atelier.ana, "/imagine", f"fox {number} --steps 1")
            assert heard.acked is not None, heard.failed
            await asyncio.sleep(0.02)

    talking = asyncio.create_task(talk())
    for socket in atelier.slack.sockets:
        await atelier.slack.refresh(socket)
        await atelier.slack.until(partial(is_replaced, atelier, socket))
    await talking
    await atelier.slack.until(lambda: sum("Painted in" in card.words for card in atelier.cards()) == 12)


async def test_a_reset_socket_leaves_the_other_and_comes_back(atelier: Atelier) -> None:
    first, second = atelier.slack.sockets

    for socket in (first, second):
        await atelier.slack.reset(socket)
        heard = await atelier.says(atelier.ana, "/imagine", f"fox {socket.id} --steps 1")
        assert heard.acked is not None, heard.failed
        await atelier.slack.until(lambda: len(atelier.slack.sockets) == 2, seconds=15)


async def test_sockets_that_are_all_cut_are_told_to_the_operator(atelier: Atelier) -> None:
    assert atelier.bot is not None
    bot = atelier.bot
    atelier.slack.faults.add("POST", r"/api/apps\.connections\.open", Fault.ERROR_BEFORE, times=1000)
    for socket in atelier.slack.sockets:
        await atelier.slack.reset(socket)

    await atelier.slack.until(lambda: "connections are down" in bot.health()[1]["chats"]["slack"], seconds=20)
    atelier.slack.faults.clear()
    await atelier.slack.until(lambda: bot.health()[1]["chats"]["slack"] == "served", seconds=40)


@pytest.mark.parametrize("fault", [Fault.CUT_AFTER, Fault.ERROR_AFTER, Fault.CUT_BEFORE, Fault.ERROR_BEFORE])
async def test_a_post_of_which_nobody_knows_is_there_once(atelier: Atelier, fault: Fault) -> None:
    atelier.slack.faults.add("POST", r"/api/chat\.postMessage", fault, times=1)

    card = await atelier.paints(atelier.ana, "a red fox")

    assert [message.ts for message in atelier.channel.messages] == [card.ts]


async def test_a_post_that_the_bot_did_not_live_to_note_is_found_again(open_atelier: OpenAtelier) -> None:
    atelier = await open_atelier()
    atelier.slack.faults.add("POST", r"/api/chat\.postMessage", Fault.CUT_AFTER, times=1)
    await atelier.says(atelier.ana, "/imagine", "a red fox")
    await atelier.slack.until(lambda: atelier.channel.messages)
    await atelier.restart()

    card = await atelier.shows(lambda message: "Painted in" in message.words and bool(message.pictures))

    assert [message.ts for message in atelier.channel.messages] == [card.ts]


async def test_a_cut_edit_is_made_again(atelier: Atelier) -> None:
    atelier.slack.faults.add("POST", r"/api/chat\.update", Fault.CUT_BEFORE, times=2)

    await atelier.paints(atelier.ana, "a red fox")

    assert len(atelier.cards()) == 1


async def test_it_waits_as_long_as_slack_says(atelier: Atelier) -> None:
    atelier.slack.faults.add("POST", r"/api/chat\.postMessage", Fault.LIMITED, times=1, seconds=1)

    await atelier.paints(atelier.ana, "a red fox")

    first, second = atelier.slack.calls("chat.postMessage")[:2]
    assert second.at - first.at >= 1
    assert len(atelier.cards()) == 1


async def test_an_upload_that_nobody_sees_is_shared_again(atelier: Atelier) -> None:
    atelier.slack.never_share(1)

    card = await atelier.paints(atelier.ana, "a red fox")

    assert len(atelier.slack.calls("files.completeUploadExternal")) == 2
    assert [file.id for reply in card.thread for file in reply.files] == card.pictures


async def test_a_picture_is_shown_when_slack_has_looked_at_it(atelier: Atelier) -> None:
    atelier.slack.processing(1.0)

    card = await atelier.paints(atelier.ana, "a red fox")

    assert len(atelier.slack.calls("files.completeUploadExternal")) == 1
    assert len(card.pictures) == 1


async def test_an_image_block_that_is_refused_is_tried_again(atelier: Atelier) -> None:
    atelier.slack.processing(4.5)

    card = await atelier.paints(atelier.ana, "a red fox")

    assert len(atelier.slack.calls("files.completeUploadExternal")) == 1
    refused = [call for call in atelier.slack.calls("chat.update") if "slack_file" in str(call.json)][:-1]
    assert refused
    assert len(card.pictures) == 1


async def test_a_card_has_its_buttons_while_its_picture_cannot_be_uploaded(atelier: Atelier) -> None:
    atelier.slack.faults.add("POST", r"/upload/v1/.*", Fault.ERROR_BEFORE, times=1)
    await atelier.says(atelier.ana, "/imagine", "a red fox")

    card = await atelier.shows(lambda message: "could not be uploaded to Slack" in message.words)
    assert button(card, "send")
    await atelier.slack.until(lambda: card.pictures)
    assert "could not be put" not in card.words


async def test_a_deleted_card_comes_back_by_direct_message(open_atelier: OpenAtelier) -> None:
    atelier = await open_atelier(seconds=0.1)
    await atelier.says(atelier.ana, "/imagine", "a red fox --steps 10")
    card = await atelier.shows(lambda message: "▓" in message.words)

    card.deleted = True

    direct = atelier.slack.direct(atelier.ana)
    await atelier.shows(lambda message: "Painted in" in message.words and bool(message.pictures), direct)


async def test_an_answer_that_slack_does_not_take_disturbs_nobody(atelier: Atelier) -> None:
    card = await atelier.paints(atelier.ana, "a red fox")
    atelier.slack.faults.add("POST", r"/api/chat\.postEphemeral", Fault.ERROR_BEFORE, times=1)

    heard = await atelier.slack.act(atelier.bo, card, button(card, "keep"))

    assert heard.acked is not None
    await atelier.slack.until(lambda: "⭐ 1" in card.words)
