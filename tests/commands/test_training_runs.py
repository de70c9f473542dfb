"""Trainings from draft to end: what can be pressed, and what /training tells and does."""

import pytest

from commands.actions import available_actions, button_id
from commands.answers import CancelJob, FinishTraining, ShowCard, StartDraft, Text, UpdateCards
from engine.messages import InvalidRequest, JobId
from tests.commands.chat import Chat


async def buttons(chat: Chat, job: JobId) -> list[str]:
    """The ids of the buttons under a training's card, without the job."""
    shown = available_actions(await chat.sees(job))
    return [button_id(action.name, job, place).replace(f":{job}", "") for action, place in shown]


async def refusal_of(chat: Chat, name: str, line: str) -> str:
    with pytest.raises(InvalidRequest) as refusal:
        await (chat.says(name, line) if line.startswith("/") else chat.presses(name, line))
    return str(refusal.value)


async def answer_lines(chat: Chat, line: str = "/training", name: str = "ana") -> list[str]:
    answer = await chat.says(name, line)
    assert isinstance(answer, Text)
    return answer.text.splitlines()


async def test_the_buttons_are_those_that_can_do_something_now(chat: Chat) -> None:
    job = await chat.drafts("ana", "zoe")
    assert await buttons(chat, job) == ["start", "captions", "edit", "delete"]

    await chat.presses("ana", f"start:{job}")
    assert await buttons(chat, job) == ["stop", "delete"]

    await chat.starts(job)
    assert await buttons(chat, job) == ["finish", "stop", "delete"]

    other = await chat.drafts("ana", "mia")
    await chat.trains(other, (100, 200, 300))
    assert await buttons(chat, other) == ["choose:2", "choose:3", "edit", "delete"]
    await chat.presses("ana", f"choose:{other}:3")
    assert await buttons(chat, other) == ["choose:1", "choose:2", "edit", "delete"]
    await chat.says("ana", "/lora mia --delete")
    assert await buttons(chat, other) == ["edit", "delete"]
    await chat.presses("ana", f"delete:{other}")
    assert await buttons(chat, other) == []


async def test_only_owners_and_admins_press_them(chat: Chat) -> None:
    job = await chat.drafts("ana", "zoe")

    assert all(action.owners for action, _ in available_actions(await chat.sees(job)))
    for button, verb in (("start", "start"), ("delete", "delete"), ("stop", "cancel")):
        assert (
            await refusal_of(chat, "bob", f"{button}:{job}") == f"Only ana or an admin can {verb} job {job}."
        )
    assert await chat.presses("root", f"start:{job}") == StartDraft(job=job)


async def test_a_training_has_no_buttons_of_pictures_and_pictures_none_of_a_training(chat: Chat) -> None:
    training, picture = await chat.drafts("ana", "zoe"), await chat.files("ana", "/imagine a fox")

    assert await refusal_of(chat, "ana", f"again:{training}") == "There is no button 'again' here."
    assert await refusal_of(chat, "ana", f"start:{picture}") == "There is no button 'start' here."


async def test_a_draft_is_started_once_and_only_when_something_can_be_learned(chat: Chat) -> None:
    job = await chat.drafts("ana", "zoe")
    await chat.reports(job, used=False)
    assert await buttons(chat, job) == ["captions", "edit", "delete"]
    assert await refusal_of(chat, "ana", f"start:{job}") == (
        "None of the pictures can be used. Change them first."
    )
    await chat.reports(job)

    assert await chat.presses("ana", f"start:{job}") == StartDraft(job=job)

    assert (await chat.sees(job)).state == "queued"
    assert await refusal_of(chat, "ana", f"start:{job}") == f"Job {job} has already started."


async def test_a_training_is_ended_early_while_it_runs(chat: Chat) -> None:
    job = await chat.drafts("ana", "zoe")
    nothing = f"Job {job} is not running, so there is nothing to keep."
    assert await refusal_of(chat, "ana", f"finish:{job}") == nothing
    await chat.presses("ana", f"start:{job}")
    await chat.starts(job)
    text = f"Job {job} ends now and keeps what it has learned."

    assert await chat.presses("ana", f"finish:{job}") == FinishTraining(job=job, text=text)
    assert await chat.says("ana", "/training --finish") == FinishTraining(job=job, text=text)
    assert await chat.says("ana", f"/training {job} --cancel") == CancelJob(
        job=job, text=f"Job {job} is being stopped."
    )
    assert await refusal_of(chat, "bob", f"/training {job} --finish") == (
        f"Only ana or an admin can finish job {job}."
    )


async def test_a_deletion_while_it_runs_takes_all_at_once(chat: Chat) -> None:
    job = await chat.drafts("ana", "zoe")
    await chat.presses("ana", f"start:{job}")
    await chat.starts(job)

    answer = await chat.presses("ana", f"delete:{job}")

    assert isinstance(answer, UpdateCards)
    assert (answer.stopped, answer.text) == ((job,), f"Job {job} is deleted.")
    view = await chat.sees(job)
    assert (view.deleted, view.state, view.training, view.request) == (True, "cancelled", None, None)


async def test_training_tells_mine_and_how_far_each_is(chat: Chat) -> None:
    assert await answer_lines(chat) == ["You have no trainings here. Start one with /train NAME."]
    done = await chat.drafts("ana", "done")
    await chat.trains(done)
    runs, waits = await chat.drafts("ana", "runs"), await chat.drafts("ana", "waits")
    for job in (runs, waits):
        await chat.presses("ana", f"start:{job}")
    await chat.starts(runs)
    draft = await chat.drafts("ana", "draft")
    await chat.drafts("bob", "bobs", pictures=await chat.sends("bob", "b" * 64))

    assert await answer_lines(chat) == [
        "Your trainings here, newest first:",
        f"  {draft}  draft: a draft, waiting for you to start it",
        f"  {waits}  waits: 1st in line to train",
        f"  {runs}  runs: starting",
        f"  {done}  done: done, --lora done",
    ]


async def test_training_brings_a_card_back(chat: Chat) -> None:
    job, picture = await chat.drafts("ana", "zoe"), await chat.files("ana", "/imagine a fox")

    assert await chat.says("bob", f"/training {job}") == ShowCard(job=job)
    assert await refusal_of(chat, "ana", f"/training {picture}") == f"Job {picture} is not a training."
    assert (
        await refusal_of(chat, "ana", "/training --finish --cancel") == "Use --finish or --cancel, not both."
    )
    assert await refusal_of(chat, "bob", "/training --cancel") == (
        "You have no training here that waits or runs."
    )


async def test_a_draft_is_cancelled_like_any_job(chat: Chat) -> None:
    job = await chat.drafts("ana", "zoe")

    assert await chat.says("ana", f"/cancel {job}") == UpdateCards(
        jobs=(job,), text=f"Job {job} is cancelled."
    )
    assert (await chat.sees(job)).state == "cancelled"


async def test_the_queue_tells_trainings_beside_pictures(chat: Chat) -> None:
    training = await chat.drafts("ana", "zoe")
    await chat.presses("ana", f"start:{training}")
    picture = await chat.files("ana", "/imagine a fox")

    assert await answer_lines(chat, "/queue") == [
        "You have 2 jobs here:",
        f"  {training}  1st in line to train: the LoRA zoe",
        f"  {picture}  1st in line, about 10 s: a fox",
        "2 jobs are waiting in all spaces together.",
    ]
