"""Trainings between the people and the engine: drafts, a line of their own, ends, restarts, files."""

import asyncio
import os
import time

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from engine.messages import Sha256, stored_path
from storage import uploads
from storage.tables import Job, Upload
from tests.bot.fake_chat import SLEEPER, Chat, FakeChat, OpenChat, Seen, caller
from tests.bot.running_bot import rows
from tests.bot.training_cases import a_picture, drafts, learns, sends, starts, wait_for_report

DAY = 86_400.0
LONG = "2000"  # steps: it runs until something happens to it


def files_in_store(chat: Chat) -> set[str]:
    """The hashes of all files in the store."""
    return {path.name for path in chat.bot.files.folder.glob("??/*")}


async def test_a_draft_is_looked_at_and_waits_for_its_person(open_chat: OpenChat) -> None:
    chat = await open_chat()
    job = (await drafts(chat, "ana", "maria", steps="20")).job

    card = await wait_for_report(chat, job)

    assert card.state == "draft"
    assert card.title == "maria: ohwx gear"
    assert card.line == "3 pictures, 20 steps, about 1 s"
    assert [(note.name, note.used) for note in card.notes] == [(f"{n}.png", True) for n in range(3)]
    assert {"start", "edit"} <= {button.id.partition(":")[0] for button in card.buttons}
    assert chat.notes_of("learn") == []


async def test_a_training_ends_with_a_lora_that_can_be_painted_with(open_chat: OpenChat) -> None:
    chat = await open_chat()
    job = await starts(chat, "ana", "maria", steps="12")

    card = await chat.ends(job)
    again = await chat.says("ana", "/imagine a gear --lora maria --steps 2")

    assert card.state == "succeeded", card.line
    assert card.line_to_copy == "/imagine a photo of ohwx gear --lora maria"
    assert card.curve is not None
    assert [step for step, _ in card.curve.losses] == list(range(1, 13))
    assert card.curve.validation == ((5, 1 / 5), (10, 1 / 10), (12, 1 / 12))
    assert card.curve.best == 12
    assert [(checkpoint.step, checkpoint.place, checkpoint.chosen) for checkpoint in card.checkpoints] == [
        (10, 1, False),
        (12, 2, True),
    ]
    assert card.untrained
    assert again.ok, again.text
    assert (await chat.ends(again.job)).state == "succeeded"


async def test_a_new_lora_is_its_persons_alone(open_chat: OpenChat) -> None:
    chat = await open_chat()
    await chat.ends(await starts(chat, "ana", "maria", steps="5"))

    mine, theirs = await chat.says("ana", "/loras"), await chat.says("bo", "/loras")
    refused = await chat.says("bo", "/imagine a gear --lora maria")

    assert [lora.name for lora in mine.loras] == ["maria"]
    assert theirs.loras == ()
    assert refused.text.startswith("There is no LoRA 'maria'")


async def test_another_checkpoint_is_chosen(open_chat: OpenChat) -> None:
    chat = await open_chat()
    job = await starts(chat, "ana", "maria", steps="12")
    await chat.ends(job)

    reply = await Seen.of(chat.bot.dispatch.press(caller("ana"), f"choose:{job}:1"))

    assert reply.ok, reply.text
    card = await chat.shows(job, lambda card: card.checkpoints[0].chosen)
    assert [checkpoint.chosen for checkpoint in card.checkpoints] == [True, False]


async def test_pictures_are_painted_while_a_training_runs(open_chat: OpenChat) -> None:
    chat = await open_chat()
    job = await starts(chat, "ana", "maria", steps=LONG)
    await learns(chat, job)

    picture = await chat.says("bo", "/imagine a fox --steps 3")

    assert (await chat.ends(picture.job)).state == "succeeded"
    card = chat.card(job)
    assert card is not None
    assert card.state == "running"
    assert card.line.startswith("Learning, step ")


async def test_a_second_training_waits_with_its_place(open_chat: OpenChat) -> None:
    chat = await open_chat()
    first = await starts(chat, "ana", "maria", steps=LONG)
    await learns(chat, first)
    second = await starts(chat, "bo", "tom", trigger="zwx", steps="10")
    third = await starts(chat, "cy", "eve", trigger="qrx", steps="10")

    assert (await chat.shows(second, lambda card: "1st in line" in card.line)).state == "queued"
    assert (await chat.shows(third, lambda card: "2nd in line" in card.line)).state == "queued"
    await chat.presses("ana", "stop", first)

    assert (await chat.ends(second)).state == "succeeded"
    assert (await chat.ends(third)).state == "succeeded"
    assert chat.notes_of("learn") == [first, second, third]


async def test_stop_and_keep_ends_with_what_is_there(open_chat: OpenChat) -> None:
    chat = await open_chat()
    job = await starts(chat, "ana", "maria", steps=LONG)
    await learns(chat, job)

    reply = await chat.presses("ana", "finish", job)

    assert reply.ok, reply.text
    card = await chat.ends(job)
    assert card.state == "succeeded"
    assert card.line.endswith("it was stopped early.")
    assert card.line_to_copy


async def test_stop_and_keep_is_remembered_when_the_engine_dies_before_it_answers(
    open_chat: OpenChat,
) -> None:
    chat = await open_chat()
    job = await starts(chat, "ana", "stubborn", steps=LONG)
    await chat.shows(job, lambda card: len(card.checkpoints) >= 1)

    reply = await chat.presses("ana", "finish", job)

    assert reply.ok, reply.text
    card = await chat.ends(job)
    assert card.state == "succeeded", card.line
    assert card.line.endswith("it was stopped early.")
    assert chat.notes_of("learn") == [job, job]


async def test_a_cancelled_training_leaves_its_pictures_and_no_state(open_chat: OpenChat) -> None:
    chat = await open_chat()
    job = await starts(chat, "ana", "maria", steps=LONG)
    await learns(chat, job)
    files = chat.bot.files

    await chat.presses("ana", "stop", job)

    assert (await chat.ends(job)).state == "cancelled"
    await chat.sees(lambda: not chat.bot.queue.running)
    left = {(await files.get(Sha256(sha256))).split()[0] for sha256 in files_in_store(chat)}
    assert not left & {b"adapter", b"state"}
    assert {(await sends(chat, "ana", a_picture(n))) for n in range(3)} <= files_in_store(chat)


async def test_a_cancelled_training_is_charged_what_it_took(open_chat: OpenChat) -> None:
    chat = await open_chat()
    job = await starts(chat, "ana", "maria", steps=LONG)
    await learns(chat, job)
    [(expected,)] = rows(chat.folder, "SELECT charged FROM jobs")

    await chat.presses("ana", "stop", job)

    [(charged,)] = rows(chat.folder, "SELECT charged FROM jobs")
    assert expected == 20.0
    assert 0.05 <= charged < 10  # five steps and a few more


async def test_a_deletion_while_it_runs_removes_everything(open_chat: OpenChat) -> None:
    chat = await open_chat()
    job = await starts(chat, "ana", "maria", steps=LONG)
    await learns(chat, job)
    await chat.bot.database.write(lambda session: uploads.delete_old(session, time.time()))  # a day later
    assert len(files_in_store(chat)) > 3

    reply = await chat.presses("ana", "delete", job)

    assert reply.ok, reply.text
    await chat.sees(lambda: chat.card(job) is None)
    await chat.sees(lambda: not chat.bot.queue.running)
    assert files_in_store(chat) == set()


@pytest.mark.parametrize("name", ["halfway", "late"])
async def test_what_the_engine_put_for_a_training_that_had_ended_is_removed_at_once(
    open_chat: OpenChat, name: str
) -> None:
    chat = await open_chat()
    job = await starts(chat, "ana", name, steps=LONG)
    await learns(chat, job)
    await chat.bot.database.write(lambda session: uploads.delete_old(session, time.time() + DAY))

    await chat.presses("ana", "delete", job)

    await chat.sees(lambda: not chat.bot.queue.running)
    await chat.sees(lambda: files_in_store(chat) == set())


async def test_a_training_goes_on_from_what_it_saved_when_its_engine_dies(open_chat: OpenChat) -> None:
    chat = await open_chat()
    job = await starts(chat, "ana", "deadly", steps="20")

    card = await chat.ends(job)

    assert card.state == "succeeded", card.line
    assert chat.notes_of("learn") == [job] * 4  # it died at step 7 and went on from 5, and so on
    assert card.curve is not None
    assert [step for step, _ in card.curve.losses] == list(range(1, 21))


async def test_pictures_are_painted_beside_a_training_that_is_tried_again(open_chat: OpenChat) -> None:
    chat = await open_chat()
    job = await starts(chat, "ana", "unlucky", steps=LONG)
    await chat.sees(lambda: len(chat.notes_of("learn")) == 2)
    await learns(chat, job)

    picture = await chat.says("bo", "/imagine a fox --steps 2")

    assert (await chat.ends(picture.job)).state == "succeeded"


async def test_a_training_that_gets_nowhere_and_kills_every_engine_fails(open_chat: OpenChat) -> None:
    chat = await open_chat()
    job = await starts(chat, "ana", "hopeless", steps=LONG)

    card = await chat.ends(job)

    assert card.state == "failed"
    assert chat.notes_of("learn") == [job] * 3
    assert card.line.startswith("The engine died 3 times")


async def test_a_training_goes_on_after_a_restart_of_the_bot(open_chat: OpenChat) -> None:
    chat = await open_chat(seconds=0.03)
    job = await starts(chat, "ana", "maria", steps="25")
    await learns(chat, job)
    began = time.monotonic()
    await chat.close(grace=10)

    assert time.monotonic() - began < 8  # nobody waits for its end
    chat = await open_chat(fake=chat.fake)

    card = await chat.ends(job)
    assert card.state == "succeeded"
    assert chat.notes_of("learn") == [job, job]
    assert card.curve is not None
    assert [step for step, _ in card.curve.losses] == list(range(1, 26))


async def test_a_draft_is_looked_at_after_a_restart(open_chat: OpenChat) -> None:
    chat = await open_chat(program=SLEEPER)
    job = (await drafts(chat, "ana", "maria", steps="10")).job
    assert (await chat.shows(job, lambda card: True)).line == "Checking the pictures"
    await chat.close()

    chat = await open_chat(fake=chat.fake)

    await wait_for_report(chat, job)
    await chat.presses("ana", "start", job)
    assert (await chat.ends(job)).state == "succeeded"


async def test_the_card_says_how_many_pictures_are_checked(open_chat: OpenChat) -> None:
    chat = await open_chat()

    job = (await drafts(chat, "ana", "endless")).job

    checking = await chat.shows(job, lambda card: " of " in card.line)
    assert checking.line == "Checking the pictures: 1 of 3"


async def test_a_draft_without_a_usable_picture_cannot_be_started(open_chat: OpenChat) -> None:
    chat = await open_chat()
    job = (await drafts(chat, "ana", "maria", {"bad.png": a_picture(0)})).job

    card = await wait_for_report(chat, job)

    assert card.line == "None of the pictures can be used"
    assert [(note.text, note.used) for note in card.notes] == [("blurred", False)]
    assert card.problems == ("No picture can be used.",)
    assert "start" not in {button.id.partition(":")[0] for button in card.buttons}
    assert not (await chat.presses("ana", "start", job)).ok


async def test_pictures_of_others_are_not_learned_from(open_chat: OpenChat) -> None:
    chat = await open_chat()
    theirs = await sends(chat, "bo", a_picture(5))
    pictures = f'[{{"sha256": "{theirs}", "name": "a.png", "caption": ""}}]'

    values = {"name": "maria", "trigger": "ohwx", "preset": "object", "consent": "true", "pictures": pictures}
    reply = await Seen.of(chat.bot.dispatch.fill(caller("ana"), "train", values))

    assert not reply.ok
    assert reply.text == "The picture a.png is no longer here. Send it again."


async def test_what_nobody_needs_is_swept_out_after_a_day(open_chat: OpenChat) -> None:
    chat = await open_chat(program=SLEEPER)
    files, now = chat.bot.files, time.time()
    forgotten, young = await files.put(b"left by a killed engine"), await files.put(b"just put")
    used, unused = await sends(chat, "ana", b"kept"), await sends(chat, "ana", b"unused", now - 2 * DAY)
    for sha256 in (forgotten, used, unused):
        os.utime(stored_path(files.folder, sha256), (now - 2 * DAY,) * 2)

    await chat.bot.garbage.sweep()

    assert files_in_store(chat) == {young, used}


async def test_a_sent_picture_stays_while_a_job_waits_for_it_over_restarts(open_chat: OpenChat) -> None:
    fake, then = FakeChat(), time.time() - 2 * DAY
    chat = await open_chat(program=SLEEPER, fake=fake)
    sent = await sends(chat, "ana", a_picture(1))
    job = (await chat.says("ana", f"/imagine a fox --image {sent}")).job
    await chat.bot.database.write(lambda session: session.execute(update(Upload).values(at=then)))
    os.utime(stored_path(chat.bot.files.folder, sent), (then, then))
    await chat.close()

    chat = await open_chat(program=SLEEPER, fake=fake)
    await chat.bot.garbage.sweep()
    assert files_in_store(chat) == {sent}
    await chat.presses("ana", "stop", job)
    await chat.presses("ana", "delete", job)

    assert files_in_store(chat) == set()


async def test_a_draft_that_nobody_starts_is_forgotten_with_its_pictures_after_a_week(
    open_chat: OpenChat,
) -> None:
    chat = await open_chat()
    old = (await drafts(chat, "ana", "maria")).job
    others = {f"{number}.png": a_picture(number) for number in (7, 8)}
    young = (await drafts(chat, "bo", "tom", others, trigger="zwx")).job
    for job in (old, young):
        await wait_for_report(chat, job)
    pictures = files_in_store(chat)
    week = 7 * DAY

    async def file_earlier(session: AsyncSession) -> None:
        for job, age in ((old, week + 60), (young, week - 3600)):
            filed = update(Job).where(Job.id == job).values(created_at=time.time() - age)
            await session.execute(filed)
        await session.execute(update(Upload).values(at=time.time() - week))

    await chat.bot.database.write(file_earlier)
    for sha256 in pictures:
        os.utime(stored_path(chat.bot.files.folder, Sha256(sha256)), (time.time() - 2 * week,) * 2)

    await chat.bot.garbage.sweep()

    card = chat.card(young)
    assert card is not None and card.state == "draft"
    jobs = rows(chat.folder, "SELECT id, state, deleted_at IS NOT NULL FROM jobs ORDER BY number")
    assert jobs == [(old, "cancelled", 1), (young, "draft", 0)]
    assert files_in_store(chat) < pictures
    assert (await Seen.of(chat.bot.dispatch.press(caller("bo"), f"start:{young}"))).ok


async def test_a_file_that_is_put_for_a_new_row_is_not_taken_away(open_chat: OpenChat) -> None:
    chat = await open_chat(program=SLEEPER)
    garbage, files = chat.bot.garbage, chat.bot.files
    sha256 = await files.put(b"deleted, and made anew at that moment")

    async with garbage.pause():
        removing = asyncio.create_task(garbage.remove([sha256]))
        await asyncio.sleep(0.05)
        await sends(chat, "ana", b"deleted, and made anew at that moment")
    await removing

    assert sha256 in files_in_store(chat)
