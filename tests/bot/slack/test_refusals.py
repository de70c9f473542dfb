"""What Slack refuses for good: the card does without, or ends, and its person is told."""

import asyncio

import pytest

from tests.bot.slack.harness import Atelier, OpenAtelier, button, job_of
from tests.fakes.slack import Fault

UPLOADS = "files.getUploadURLExternal"


async def calm(atelier: Atelier) -> int:
    """How many calls there were, once there are no more of them."""
    before = -1
    while before != len(atelier.slack.record):
        before = len(atelier.slack.record)
        await asyncio.sleep(1.0)
    return before


async def test_a_picture_that_cannot_be_uploaded_is_left_out_and_not_tried_on(atelier: Atelier) -> None:
    atelier.slack.refuse(UPLOADS, "file_uploads_disabled")

    await atelier.says(atelier.ana, "/imagine", "a red fox --steps 2")

    card = await atelier.shows(
        lambda message: "Painted in" in message.words and "Without its picture" in message.words
    )
    assert "File uploads are switched off in this workspace. ✉️ sends it." in card.words
    await calm(atelier)
    assert len(atelier.slack.calls(UPLOADS)) == 1
    atelier.slack.refuse(UPLOADS, "")
    await atelier.says(atelier.ana, "/show", job_of(card))
    await atelier.shows(lambda message: bool(message.pictures))
    await atelier.slack.until(lambda: len(atelier.cards()) == 1)


async def test_a_picture_that_slack_shows_nowhere_is_uploaded_three_times(atelier: Atelier) -> None:
    atelier.slack.never_share(99)

    await atelier.says(atelier.ana, "/imagine", "a red fox --steps 2")

    await atelier.shows(lambda message: "Slack took the picture but shows it nowhere" in message.words)
    await calm(atelier)
    assert len(atelier.slack.calls(UPLOADS)) == 3
    assert all(file.deleted for file in atelier.slack.world.files.values())


@pytest.mark.parametrize("fault", [Fault.CUT_AFTER, Fault.ERROR_AFTER, Fault.CUT_BEFORE, Fault.ERROR_BEFORE])
async def test_a_picture_is_there_once_when_nobody_knows_whether_it_was_shared(
    atelier: Atelier, fault: Fault
) -> None:
    atelier.slack.faults.add("POST", r"/api/files\.completeUploadExternal", fault)

    card = await atelier.paints(atelier.ana, "a red fox --steps 2")

    (reply,) = card.thread
    assert [file.id for file in reply.files] == card.pictures


@pytest.mark.parametrize("error", ["edit_window_closed", "cant_update_message"])
async def test_a_card_that_changes_no_more_is_posted_anew(open_atelier: OpenAtelier, error: str) -> None:
    atelier = await open_atelier(seconds=0.1)
    await atelier.says(atelier.ana, "/imagine", "a red fox --steps 10")
    old = await atelier.shows(lambda message: "▓" in message.words)

    atelier.slack.refuse("chat.update", error)

    card = await atelier.shows(lambda message: "Painted in" in message.words, seconds=20)
    await calm(atelier)
    assert old.deleted
    assert [card.ts for card in atelier.cards()] == [card.ts]
    assert [file.name for reply in card.thread for file in reply.files]
    assert button(card, "send")


async def test_a_card_that_cannot_be_shown_at_all_is_told(open_atelier: OpenAtelier) -> None:
    atelier = await open_atelier(seconds=0.1)
    await atelier.says(atelier.ana, "/imagine", "a red fox --steps 10")
    card = await atelier.shows(lambda message: "▓" in message.words)

    atelier.slack.refuse("chat.update", "msg_blocks_too_long")

    direct = atelier.slack.direct(atelier.ana)
    notice = await atelier.shows(lambda message: f"/show {job_of(card)}" in message.words, direct)
    assert "It is longer than what Slack accepts" in notice.words
    await calm(atelier)
    assert [message.ts for message in direct.messages] == [notice.ts]
    atelier.slack.refuse("chat.update", "")
    await atelier.says(atelier.ana, "/show", job_of(card))
    await atelier.shows(lambda message: "Painted in" in message.words and bool(message.pictures))


async def test_long_words_are_cut_until_slack_takes_all_of_them(atelier: Atelier) -> None:
    quotes = "'" + '"' * 1900 + "'"

    await atelier.says(atelier.ana, "/imagine", f"{quotes} --no {quotes} --count 4 --steps 2")

    card = await atelier.shows(lambda message: "Painted in" in message.words and bool(message.pictures))
    assert len(card.buttons) > 12
    assert not atelier.slack.direct(atelier.ana).messages


async def test_the_edits_of_a_workspace_keep_room_for_what_has_ended(open_atelier: OpenAtelier) -> None:
    atelier = await open_atelier(seconds=0.05, starts=False)
    atelier.every = 0.01
    await atelier.start()
    for number in range(6):
        await atelier.says(atelier.ana, "/imagine", f"fox {number} --steps 20")

    await atelier.slack.until(
        lambda: sum("Painted in" in card.words and bool(card.pictures) for card in atelier.cards()) == 6, 30
    )

    edits = atelier.slack.calls("chat.update")
    assert 6 < len(edits) <= 50
    assert all(call.status == 200 for call in edits)
