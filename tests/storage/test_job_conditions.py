"""What is asked often looks at the rows that are meant, and never at all the jobs there ever were."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import event, select
from sqlalchemy.ext.asyncio import AsyncSession

from engine.messages import AdapterUse, JobId, Sha256
from storage import (
    adapters,
    comparisons,
    jobs,
    limits,
    member_stats,
    pictures,
    queue_overrides,
    space_settings,
    statistics,
    trainings,
    uploads,
    views,
    votes,
)
from storage.tables import Job
from tests.storage.harness import NOON, StorageHarness

Ask = Callable[[AsyncSession, int, int], Awaitable[object]]

# By a session, a space and a person: what is asked with every job, every few seconds or with every card.
OFTEN: dict[str, Ask] = {
    "what runs": lambda session, space, person: jobs.list_running(session),
    "leases that ran out": lambda session, space, person: jobs.list_expired(session, NOON),
    "the next job": lambda session, space, person: jobs.next_queued(session),
    "the next training": lambda session, space, person: jobs.next_training(session),
    "how many wait": lambda session, space, person: jobs.count_queued(session),
    "the places in line": lambda session, space, person: jobs.positions(session),
    "the places of trainings": lambda session, space, person: jobs.training_positions(session),
    "what waits in a space": lambda session, space, person: jobs.list_queued(session, space, 20),
    "what a paused space holds": lambda session, space, person: queue_overrides.list_held(session, 20),
    "cards to be shown": lambda session, space, person: jobs.list_unshown(session, 20),
    "somebody's open jobs": lambda session, space, person: jobs.list_of_person(
        session, space, person, ("queued", "running")
    ),
    "a channel's newest": lambda session, space, person: jobs.recent(session, space, "general", None, 20),
    "what somebody uses": lambda session, space, person: limits.usage(session, space, person, NOON),
    "what somebody keeps": lambda session, space, person: limits.files(session, space, person),
    "how many pictures somebody has": lambda session, space, person: member_stats.count_pictures(
        session, space, person
    ),
    "what everybody did of late": lambda session, space, person: member_stats.member_stats(
        session, space, NOON - 9
    ),
    "what was done on each day": lambda session, space, person: member_stats.day_stats(
        session, space, NOON - 9
    ),
    "why jobs failed": lambda session, space, person: member_stats.failures(session, space, NOON - 9),
    "the statistics": lambda session, space, person: statistics.statistics(session, space, 20_833, 9, 9),
    "drafts to look at": lambda session, space, person: trainings.drafts_without_report(session),
    "somebody's trainings": lambda session, space, person: trainings.list_of_person(
        session, space, person, 10
    ),
    "open trainings": lambda session, space, person: trainings.count_open(session, person),
    "files that nothing needs": lambda session, space, person: pictures.find_unneeded(
        session, [Sha256("0" * 64)]
    ),
    "which LoRAs are in use": lambda session, space, person: pictures.find_in_use(
        session, [Sha256("0" * 64)]
    ),
    "whether a name is taken": lambda session, space, person: adapters.is_name_taken(session, space, "ink"),
    "the triggers that are taken": lambda session, space, person: adapters.triggers(session, space),
    "the LoRAs of somebody": lambda session, space, person: adapters.list_usable(session, space, person),
    "a LoRA by its name": lambda session, space, person: adapters.find_usable(session, space, person, "ink"),
    "completions": lambda session, space, person: adapters.completion_hints(session, space, person),
    "LoRAs that somebody may not use": lambda session, space, person: adapters.forbidden_names(
        session, space, person, [Sha256("0" * 64)]
    ),
    "somebody by their name": lambda session, space, person: member_stats.find_people(
        session, space, "local", "Ana"
    ),
    "what one person did": lambda session, space, person: member_stats.member_stats(
        session, space, 0.0, person
    ),
    "cards": lambda session, space, person: views.views(session, [JobId("aaaaaa")]),
    "the card of a message": lambda session, space, person: views.of_message(session, space, "m1"),
    "what jobs ask for": lambda session, space, person: views.read_requests(session, [JobId("aaaaaa")]),
    "a gallery": lambda session, space, person: pictures.gallery(session, person, None, False, None, 20),
    "a gallery's kept": lambda session, space, person: pictures.gallery(
        session, person, space, True, None, 20
    ),
    "a picture of a job": lambda session, space, person: pictures.of_job(session, space, JobId("aaaaaa"), 1),
    "comparisons of a LoRA": lambda session, space, person: comparisons.of_lora(
        session, space, Sha256("0" * 64)
    ),
    "files that somebody sent": lambda session, space, person: uploads.own(
        session, person, [Sha256("0" * 64)]
    ),
    "how large a sent picture is": lambda session, space, person: uploads.size_of(session, Sha256("0" * 64)),
    "whether it was filed before": lambda session, space, person: jobs.was_created_since(
        session, JobId("aaaaaa"), person, NOON
    ),
    "what admins have set": lambda session, space, person: space_settings.effective_settings(
        session, space, "ana"
    ),
    "whether files are weighed": lambda session, space, person: space_settings.limits_files(session, space),
    "old drafts": lambda session, space, person: jobs.delete_old_drafts(session, NOON, NOON),
}
# An index of a few rows may be read whole, but not one that has all.
FEW = "queued|running|up|unshown|open_trainings"
WHOLE = re.compile(rf"SCAN (jobs|pictures|votes)\b(?! USING INDEX ix_jobs_({FEW})$)")
ALL_OF_A_SPACE = re.compile(r"SEARCH jobs USING (COVERING )?INDEX \w+ \(space_id=\?\)$")


@pytest.mark.parametrize("what", OFTEN)
async def test_what_is_asked_often_has_an_index(harness: StorageHarness, what: str) -> None:
    await harness.file("ana")
    space, person = await harness.space(), await harness.person("ana")
    await harness.write(_pause, space)

    plan = await explain(harness, lambda session: OFTEN[what](session, space, person))

    assert plan
    assert [step for step in plan if WHOLE.match(step) or ALL_OF_A_SPACE.match(step)] == []


async def test_likes_of_loras_have_an_index(harness: StorageHarness) -> None:
    job = await harness.training("ana")
    await harness.save(job, 100)
    await harness.learn(job, 100)
    loras = await harness.loras()

    plan = await explain(harness, lambda session: votes.add_likes(session, loras[0].space_id, loras))

    assert "SEARCH lora_votes USING" in " ".join(plan)
    assert [step for step in plan if WHOLE.match(step)] == []


async def test_pictures_that_jobs_start_from_have_an_index(harness: StorageHarness) -> None:
    await harness.file("ana")
    space, person, hashes = await harness.space(), await harness.person("ana"), [Sha256("0" * 64)]

    for ask in (
        lambda session: pictures.find_unneeded(session, hashes),
        lambda session: uploads.own(session, person, hashes),
        lambda session: limits.files(session, space, person),
    ):
        plan = await explain(harness, ask)
        assert "SEARCH job_sources USING" in " ".join(plan)
        assert [step for step in plan if step.startswith("SCAN job_sources")] == []
    plan = await explain(harness, lambda session: uploads.size_of(session, hashes[0]))
    assert [step for step in plan if step.startswith("SCAN")] == []


async def test_what_becomes_of_a_job_is_written_without_reading_all(harness: StorageHarness) -> None:
    statements: list[tuple[str, Any]] = []
    engine = harness.database._writing.sync_engine

    def record(_: object, __: object, statement: str, parameters: Any, ___: object, many: bool) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE", "INSERT")):
            statements.append((f"EXPLAIN QUERY PLAN {statement}", parameters[0] if many else parameters))

    event.listen(engine, "before_cursor_execute", record)
    try:
        await _write_a_life(harness)
    finally:
        event.remove(engine, "before_cursor_execute", record)
    async with harness.database.reading() as session:
        connection = await session.connection()
        plans = [(await connection.exec_driver_sql(*statement)).mappings() for statement in statements]
    plan = [str(step["detail"]) for steps in plans for step in steps]

    assert len(plan) > 30
    assert [step for step in plan if WHOLE.match(step)] == []


async def _write_a_life(harness: StorageHarness) -> None:
    """A picture with a LoRA is filed, painted, starred and deleted; a training ends, and its LoRA goes."""
    person = await harness.person("ana")
    job = await harness.file("ana", AdapterUse(name="ink", sha256=Sha256("0" * 64)))
    number = harness.filed[job]
    await harness.start(job)
    await harness.write(jobs.heartbeat, {number: (1, 20)}, NOON + 60)
    await harness.write(jobs.requeue, number, NOON)
    await harness.paint(job, "p1")
    await harness.write(jobs.mark_shown, number, 2, "m1")
    picture = (await harness.see(job)).pictures[0].id
    await harness.write(pictures.toggle_star, picture, person, NOON)
    await harness.write(jobs.delete, number, NOON)
    training = await harness.training("ana")
    await harness.save(training, 100)
    await harness.learn(training, 100)
    (lora,) = await harness.loras()
    await harness.write(adapters.delete, lora.id, NOON)


async def test_a_plan_that_reads_all_jobs_is_told(harness: StorageHarness) -> None:
    async def slow(session: AsyncSession) -> None:
        await session.scalars(select(Job).where(Job.lease_until < 1).order_by(Job.number))

    assert any(WHOLE.match(step) for step in await explain(harness, slow))


async def explain(harness: StorageHarness, ask: Callable[[AsyncSession], Awaitable[object]]) -> list[str]:
    """How SQLite goes about each statement of this."""
    statements: list[tuple[str, Any]] = []
    engine = harness.database._reading.sync_engine

    def record(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:
        if statement.startswith("SELECT"):
            statements.append((f"EXPLAIN QUERY PLAN {statement}", parameters))

    async with harness.database.reading() as session:
        event.listen(engine, "before_cursor_execute", record)
        try:
            await ask(session)
        finally:
            event.remove(engine, "before_cursor_execute", record)
        connection = await session.connection()
        plans = [(await connection.exec_driver_sql(*statement)).mappings() for statement in statements]
    return [str(step["detail"]) for plan in plans for step in plan]


async def _pause(session: AsyncSession, space: int) -> None:
    await space_settings.set_queue_state(session, space, "paused")


async def test_what_was_done_of_late_is_found_though_the_clock_went_back(harness: StorageHarness) -> None:
    for day in (0.0, 1.0, 2.0, 8.0, 9.5, 9.1, 9.9, 8.9):
        harness.now = NOON + day * member_stats.DAY
        await harness.file("ana")

    (done,) = await harness.read(
        member_stats.member_stats, await harness.space(), NOON + 9 * member_stats.DAY
    )
    (all_of_it,) = await harness.read(member_stats.member_stats, await harness.space(), 0.0)

    assert done.open == 3
    assert all_of_it.open == 8
