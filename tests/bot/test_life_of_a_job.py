"""The life of one job, as its card tells it: filed, queued, painted, pressed, cancelled, deleted."""

from pathlib import Path

import pytest

from engine.messages import stored_path
from tests.bot.fake_chat import Chat, OpenChat, Seen, caller
from tests.bot.running_bot import rows


@pytest.fixture
async def chat(open_chat: OpenChat) -> Chat:
    return await open_chat()


async def test_a_job_is_on_disk_before_its_person_is_answered(chat: Chat) -> None:
    reply = await chat.says("ana", "/imagine a red fox")

    assert reply.ok
    assert (reply.job,) in rows(chat.folder, "SELECT id FROM jobs")


async def test_a_card_goes_from_queued_to_running_to_painted_in_one_message(
    open_chat: OpenChat, tmp_path: Path
) -> None:
    chat = await open_chat(seconds=0.05)
    await chat.rules("/admin queue --pause")  # or a busy machine shows it when it runs already
    reply = await chat.says("ana", "/imagine a red fox --steps 8 --seed 7")
    await chat.shows(reply.job, lambda card: card.state == "queued")
    await chat.rules("/admin queue --resume")

    card = await chat.ends(reply.job)

    states = list(dict.fromkeys(shown.state for shown in chat.fake.shows))
    done = [shown.done for shown in chat.fake.shows if shown.done]
    assert states == ["queued", "running", "succeeded"]
    assert done == sorted(done)
    assert len(done) > 2
    assert len(chat.fake.posts) == 1
    assert (card.title, card.person, card.line) == ("a red fox", "ana", "Painted in 0.4 s")
    assert ("steps", "8") in card.recipe
    assert [picture.seed for picture in card.pictures] == [7]
    assert stored_path(tmp_path / "files", card.pictures[0].sha256).read_bytes().startswith(b"\x89PNG")


async def test_a_running_card_has_a_preview_and_says_how_long_it_takes(open_chat: OpenChat) -> None:
    chat = await open_chat(seconds=0.05)
    reply = await chat.says("ana", "/imagine a red fox --steps 40")

    card = await chat.shows(reply.job, lambda card: "left" in card.line and "Step" in card.line)

    assert card.preview == b"jpeg"
    assert "of 40, about" in card.line


async def test_the_line_tells_places_and_how_long(open_chat: OpenChat) -> None:
    chat = await open_chat(seconds=0.05)
    await chat.ends((await chat.says("ana", "/imagine a fox --steps 4")).job)
    for _ in range(5):
        await chat.says("ana", "/imagine a slow fox --steps 100 --count 4")
    last = await chat.says("ana", "/imagine a red fox --steps 20")

    card = await chat.shows(last.job, lambda card: "5th in line, about" in card.line)

    assert card.state == "queued"
    assert card.done is None


async def test_pressing_again_paints_it_with_a_new_seed(chat: Chat) -> None:
    first = await chat.says("ana", "/imagine a red fox --steps 3 --seed 7")
    await chat.ends(first.job)

    again = await chat.presses("bo", "again", first.job)
    card = await chat.ends(again.job)

    assert again.job != first.job
    assert card.title == "a red fox"
    assert card.person == "bo"
    assert card.pictures[0].seed != 7


async def test_an_edit_gives_a_form_which_filled_in_paints(chat: Chat) -> None:
    first = await chat.says("ana", "/imagine a red fox --steps 3 --seed 7")
    await chat.ends(first.job)

    form = (await chat.presses("ana", "edit", first.job)).form
    assert form is not None
    reply = await Seen.of(
        chat.bot.dispatch.fill(caller("ana"), form.command, dict(form.values) | {"prompt": "a blue fox"})
    )

    card = await chat.ends(reply.job)
    assert card.title == "a blue fox"
    assert card.pictures[0].seed == 7


async def test_keeping_a_picture_shows_on_its_card(chat: Chat) -> None:
    first = await chat.says("ana", "/imagine a red fox --steps 3")
    await chat.ends(first.job)

    await chat.presses("bo", "keep", first.job)

    await chat.shows(first.job, lambda card: card.pictures[0].stars == 1)


async def test_sending_gives_the_file_to_whoever_asked(chat: Chat) -> None:
    first = await chat.says("ana", "/imagine a red fox --steps 3")
    card = await chat.ends(first.job)

    reply = await chat.presses("bo", "send", first.job)

    assert [sha256 for _, sha256 in reply.files] == [card.pictures[0].sha256]


async def test_a_waiting_job_is_cancelled_at_once(open_chat: OpenChat) -> None:
    chat = await open_chat(seconds=0.05)
    await chat.runs((await chat.says("ana", "/imagine a slow fox --steps 100 --count 4")).job)
    waiting = await chat.says("ana", "/imagine a red fox")

    reply = await chat.presses("ana", "stop", waiting.job)

    assert reply.ok
    assert (await chat.ends(waiting.job)).line == "Cancelled"
    await chat.close()
    assert waiting.job not in chat.notes_of("take")


async def test_a_running_job_is_cancelled_on_disk_before_the_reply(
    open_chat: OpenChat, tmp_path: Path
) -> None:
    chat = await open_chat(seconds=0.05)
    job = (await chat.says("ana", "/imagine a slow fox --steps 100")).job
    await chat.runs(job)

    await chat.says("ana", "/cancel")

    assert rows(tmp_path, "SELECT state FROM jobs") == [("cancelled",)]
    assert (await chat.ends(job)).state == "cancelled"
    after = await chat.says("ana", "/imagine a red fox --steps 2")
    assert (await chat.ends(after.job)).state == "succeeded"
    await chat.close()
    assert job not in chat.notes_of("painted")


async def test_a_deleted_job_has_no_card_and_no_file(chat: Chat) -> None:
    first = await chat.says("ana", "/imagine a red fox --steps 3")
    card = await chat.ends(first.job)

    reply = await chat.presses("ana", "delete", first.job)
    await chat.bot.delivery.wait_until_shown()

    assert reply.ok
    assert chat.card(first.job) is None
    assert not stored_path(chat.folder / "files", card.pictures[0].sha256).exists()
    assert not (await chat.presses("ana", "again", first.job)).ok


async def test_a_file_that_another_job_needs_stays(chat: Chat) -> None:
    first = await chat.says("ana", "/imagine a red fox --steps 3 --seed 7")
    card = await chat.ends(first.job)
    await chat.ends((await chat.says("bo", "/imagine a red fox --steps 3 --seed 7")).job)

    await chat.presses("ana", "delete", first.job)
    await chat.bot.delivery.wait_until_shown()

    assert stored_path(chat.folder / "files", card.pictures[0].sha256).exists()


async def test_show_brings_a_card_back_in_the_channel_where_it_was_asked_for(chat: Chat) -> None:
    first = await chat.says("ana", "/imagine a red fox --steps 3")
    await chat.ends(first.job)

    reply = await chat.says("bo", f"/show {first.job}")
    await chat.bot.delivery.wait_until_shown()

    assert reply.job == first.job
    assert len(chat.fake.posts) == 2
    assert chat.card(first.job) is not None


async def test_a_refused_job_tells_its_reason_word_for_word(chat: Chat) -> None:
    job = (await chat.says("ana", "/imagine refuse --steps 4")).job

    card = await chat.ends(job)

    assert (card.state, card.line) == ("failed", "this is a refuse.")


async def test_what_is_wrong_is_told_in_a_sentence_and_nothing_is_filed(chat: Chat) -> None:
    for text in (
        "/imagine",
        "/imagine --steps 20",
        "/imagine a fox --stepz 3",
        "/imagin a fox",
        "a fox",
        "",
        "/",
    ):
        reply = await chat.says("ana", text)

        assert not reply.ok
        assert reply.text.endswith((".", "?")), reply.text
    assert rows(chat.folder, "SELECT count(*) FROM jobs") == [(0,)]


async def test_forged_and_foreign_buttons_are_refused(chat: Chat) -> None:
    first = await chat.says("ana", "/imagine a red fox --steps 3")
    await chat.ends(first.job)

    forged = await Seen.of(chat.bot.dispatch.press(caller("bo"), "again:'; DROP TABLE jobs"))
    elsewhere = await chat.presses("bo", "again", first.job, space="another")
    somebody_elses = await chat.presses("bo", "delete", first.job)

    assert [reply.ok for reply in (forged, elsewhere, somebody_elses)] == [False] * 3
    assert "There is no job" in elsewhere.text
    assert (await chat.ends(first.job)).state == "succeeded"


async def test_the_history_of_a_channel_is_read_newest_first(chat: Chat) -> None:
    jobs = [(await chat.says("ana", f"/imagine a fox --steps 2 --seed {seed}")).job for seed in range(4)]
    await chat.ends(jobs[-1])

    newest = await chat.bot.dispatch.list_cards(caller("bo"), None, 3)
    older = await chat.bot.dispatch.list_cards(caller("bo"), newest[-1].number, 3)
    elsewhere = await chat.bot.dispatch.list_cards(caller("bo", "another"), None, 3)

    assert [card.job for card in newest + older] == jobs[::-1]
    assert elsewhere == []
