"""What a card needs to know of a job, in one read, on every database."""

from sqlalchemy import text, update

from engine.messages import JobId
from storage import jobs, pictures
from storage.tables import Job
from storage.views import of_message, view, views
from tests.storage.harness import StorageHarness


async def test_views_come_in_the_order_asked_for_and_unknown_ids_are_left_out(
    harness: StorageHarness,
) -> None:
    first, second = await harness.file("ana"), await harness.file("bo", space="art")

    seen = await harness.read(views, [second, JobId("nobody"), first])

    assert [(job.id, job.person, job.person_key, job.space) for job in seen] == [
        (second, "Bo", "bo", "art"),
        (first, "Ana", "ana", "general"),
    ]
    assert await harness.read(views, []) == []


async def test_a_view_has_its_pictures_in_their_places_with_their_stars(harness: StorageHarness) -> None:
    job = await harness.file()
    await harness.paint(job, "aa", "bb")
    second = (await harness.see(job)).pictures[1]
    for name in ("ana", "bo"):
        await harness.write(pictures.toggle_star, second.id, await harness.person(name), harness.now)

    seen = await harness.see(job)

    assert [(picture.place, picture.sha256, picture.seed, picture.stars) for picture in seen.pictures] == [
        (1, "aa", 7, 0),
        (2, "bb", 8, 2),
    ]


async def test_a_job_of_another_space_is_unknown(harness: StorageHarness) -> None:
    job = await harness.file(space="art")

    assert await harness.read(view, await harness.space("general"), job) is None
    job_view = await harness.read(view, await harness.space("art"), job)
    assert job_view is not None
    assert job_view.id == job


async def test_a_request_that_the_engine_of_today_refuses_is_left_out(harness: StorageHarness) -> None:
    job = await harness.file()
    too_many = update(Job).where(Job.id == job).values(request={"prompt": "a fox", "seed": 1, "steps": 5000})
    await harness.database.write(lambda session: session.execute(too_many))

    seen = await harness.see(job)

    assert (seen.state, seen.request, seen.deleted) == ("queued", None, False)


async def test_a_view_stays_as_it_was_when_the_job_goes_on(harness: StorageHarness) -> None:
    job = await harness.file()
    before = await harness.see(job)

    await harness.write(
        jobs.finish, before.number, state="failed", reason="no.", seconds=0.0, now=harness.now
    )

    assert before.state == "queued"
    after = await harness.see(job)
    assert (after.state, after.reason, after.ended_at) == ("failed", "no.", harness.now)


async def test_a_message_leads_to_its_job_without_a_look_at_the_others(harness: StorageHarness) -> None:
    job = await harness.file()
    await harness.write(jobs.mark_shown, harness.filed[job], 1, "17-42")

    seen = await harness.read(of_message, await harness.space(), "17-42")

    assert seen is not None and seen.id == job
    assert await harness.read(of_message, await harness.space(), "17-43") is None
    assert await harness.read(of_message, await harness.space("art"), "17-42") is None
    async with harness.database.reading() as session:
        plan = await session.execute(text("EXPLAIN QUERY PLAN SELECT id FROM jobs WHERE message = 'x'"))
        assert "ix_jobs_message" in str(plan.all())


async def test_a_private_job_is_its_persons_alone_and_a_direct_channel_has_only_theirs(
    harness: StorageHarness,
) -> None:
    ana, bo = await harness.person("ana"), await harness.person("bo")
    here, art = await harness.space(), await harness.space("art")
    job, other = await harness.file("ana"), await harness.file("bo")
    await harness.write(jobs.move, harness.filed[job], "dm", private=True)

    assert await harness.read(view, here, job, person_id=bo) is None
    assert await harness.read(view, art, job, person_id=ana) is None
    assert await harness.read(view, here, job, person_id=ana) is not None
    assert await harness.read(view, art, job, person_id=ana, direct=True) is not None
    assert await harness.read(view, here, other, person_id=ana, direct=True) is None
    assert await harness.read(view, None, job, direct=True) is None
