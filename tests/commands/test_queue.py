"""/queue, /cancel and /show: jobs on their way."""

import pytest
from sqlalchemy import select

from commands.answers import CancelJob, ShowCard, Text, UpdateCards
from engine.messages import InvalidRequest
from storage.tables import Audit
from tests.commands.chat import Chat


async def answer_lines(chat: Chat, name: str = "ana") -> list[str]:
    answer = await chat.says(name, "/queue")
    assert isinstance(answer, Text)
    return answer.text.splitlines()


async def refusal_of(chat: Chat, name: str, line: str, space: str = "general") -> str:
    with pytest.raises(InvalidRequest) as refusal:
        await chat.says(name, line, space)
    return str(refusal.value)


async def test_a_queue_with_nothing_of_mine_says_so(chat: Chat) -> None:
    assert await answer_lines(chat) == ["You have no job here that waits or runs.", "No jobs are waiting."]


async def test_the_queue_tells_my_places_and_how_long_they_take(chat: Chat) -> None:
    first = await chat.files("ana", "/imagine a red fox")
    await chat.files("bob", "/imagine a blue fox")
    second = await chat.files("ana", "/imagine a\ngreen fox")
    await chat.starts(first)

    lines = await answer_lines(chat)

    assert lines == [
        "You have 2 jobs here:",
        f"  {first}  being painted: a red fox",
        f"  {second}  2nd in line, about 30 s: a green fox",
        "2 jobs are waiting in all spaces together.",
    ]


async def test_my_jobs_of_another_space_are_not_told_here(chat: Chat) -> None:
    await chat.files("ana", "/imagine a fox", "private")

    assert await answer_lines(chat) == [
        "You have no job here that waits or runs.",
        "1 job is waiting in all spaces together.",
    ]


async def test_more_jobs_than_one_person_may_have_are_refused(chat: Chat) -> None:
    for _ in range(chat.per_person):
        await chat.files("ana", "/imagine a fox")

    assert await refusal_of(chat, "ana", "/imagine a fox") == (
        "You have 3 jobs in line. At most 3 may wait. Try again when one is done, or /cancel one."
    )
    assert await chat.files("bob", "/imagine a fox")
    await chat.says("ana", "/cancel")
    assert await chat.files("ana", "/imagine a fox")


async def test_a_waiting_job_is_cancelled_at_once(chat: Chat) -> None:
    job = await chat.files("ana", "/imagine a fox")

    answer = await chat.says("ana", f"/cancel {job.upper()}")

    assert answer == UpdateCards(jobs=(job,), text=f"Job {job} is cancelled.")
    assert (await chat.sees(job)).state == "cancelled"


async def test_a_running_job_is_for_the_engine_to_stop(chat: Chat) -> None:
    job = await chat.files("ana", "/imagine a fox")
    await chat.starts(job)

    assert await chat.says("ana", "/cancel") == CancelJob(job=job, text=f"Job {job} is being stopped.")


async def test_without_a_name_my_newest_is_cancelled(chat: Chat) -> None:
    first = await chat.files("ana", "/imagine a fox")
    second = await chat.files("ana", "/imagine a fox")
    await chat.files("bob", "/imagine a fox")

    await chat.says("ana", "/cancel")

    assert (await chat.sees(first)).state == "queued"
    assert (await chat.sees(second)).state == "cancelled"


async def test_what_cannot_be_cancelled_is_told_in_a_sentence(chat: Chat) -> None:
    assert await refusal_of(chat, "ana", "/cancel") == "You have no job here that waits or runs."
    assert await refusal_of(chat, "ana", "/cancel k3f9qa") == "There is no job k3f9qa here."
    job = await chat.files("ana", "/imagine a fox")
    assert await refusal_of(chat, "bob", f"/cancel {job}") == f"Only ana or an admin can cancel job {job}."
    assert await refusal_of(chat, "ana", f"/cancel {job}", "private") == f"There is no job {job} here."
    await chat.paints(job)
    assert await refusal_of(chat, "ana", f"/cancel {job}") == f"Job {job} has already ended."


async def test_an_admin_may_cancel_and_it_is_written_down(chat: Chat) -> None:
    job = await chat.files("ana", "/imagine a fox")

    await chat.says("root", f"/cancel {job}")

    assert (await chat.sees(job)).state == "cancelled"
    async with chat.database.reading() as session:
        (row,) = await session.scalars(select(Audit))
    assert (row.action, row.subject) == ("cancel", f"job {job}")
    assert (row.before, row.after) == ({"state": "queued"}, {"state": "cancelled"})


async def test_show_brings_any_job_of_the_space_back(chat: Chat) -> None:
    job = await chat.files("ana", "/imagine a fox")

    assert await chat.says("bob", f"/show {job}") == ShowCard(job=job)
    assert await refusal_of(chat, "bob", f"/show {job}", "private") == f"There is no job {job} here."
