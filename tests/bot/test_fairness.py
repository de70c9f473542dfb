"""Many people, one engine: whose turn it is, and how much one of them may ask for."""

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path

from bot.config import QueueSettings
from tests.bot.fake_chat import SLEEPER, OpenChat, a_config


async def test_one_job_does_not_wait_for_twenty_of_somebody_else(
    open_chat: OpenChat,
) -> None:
    chat = await open_chat(seconds=0.02)
    many = [(await chat.says("ana", f"/imagine fox {number} --steps 20")).job for number in range(20)]
    await chat.runs(many[0])
    inside = len(chat.notes_of("take"))
    urgent = (await chat.says("bo", "/imagine a red fox --steps 5")).job

    await chat.ends(urgent)
    taken = list(chat.notes_of("take"))
    for job in many:
        await chat.ends(job)

    assert inside <= chat.bot.config.engine.largest_batch
    assert taken.index(str(urgent)) <= inside + 1
    assert chat.notes_of("take").count(str(urgent)) == 1


async def test_a_hundred_people_at_once_get_theirs_and_nobody_twice(open_chat: OpenChat) -> None:
    chat = await open_chat(seconds=0.002)

    replies = await asyncio.gather(
        *(chat.says(f"person {n}", f"/imagine fox {n} --steps 2 --seed {n}") for n in range(100))
    )
    cards = [await chat.ends(reply.job, 60) for reply in replies]

    assert all(reply.ok for reply in replies)
    assert [card.title for card in cards] == [f"fox {n}" for n in range(100)]
    assert [card.pictures[0].seed for card in cards] == list(range(100))
    assert len(chat.fake.posts) == 100
    assert set(Counter(chat.notes_of("painted")).values()) == {1}


async def test_the_engine_is_never_given_more_pictures_than_its_batch(open_chat: OpenChat) -> None:
    chat = await open_chat(seconds=0.01)
    jobs = [
        (await chat.says(f"person {n}", f"/imagine a fox --steps 4 --count {n % 4 + 1}")).job
        for n in range(12)
    ]

    for job in jobs:
        assert (await chat.ends(job)).state == "succeeded"

    assert max(chat.notes_of("inside")) == "4"


async def test_a_job_of_more_pictures_than_the_batch_is_painted_alone(
    open_chat: OpenChat, tmp_path: Path
) -> None:
    config = a_config(tmp_path)
    chat = await open_chat(config=replace(config, engine=replace(config.engine, largest_batch=2)))
    jobs = [(await chat.says("ana", f"/imagine a fox --steps 3 --count {count}")).job for count in (1, 4, 1)]

    cards = [await chat.ends(job) for job in jobs]

    assert [len(card.pictures) for card in cards] == [1, 4, 1]


async def test_of_two_hundred_jobs_of_one_person_twenty_wait_and_the_rest_is_refused(
    open_chat: OpenChat,
    tmp_path: Path,
) -> None:
    chat = await open_chat(config=a_config(tmp_path, queue=QueueSettings(per_person=20)), program=SLEEPER)

    replies = await asyncio.gather(*(chat.says("ana", f"/imagine fox {n}") for n in range(200)))

    accepted = [reply for reply in replies if reply.ok]
    refused = {reply.text for reply in replies if not reply.ok}
    assert len(accepted) == 20
    assert refused == {
        "You have 20 jobs in line. At most 20 may wait. Try again when one is done, or /cancel one."
    }
    assert (await chat.says("bo", "/imagine a red fox")).ok
