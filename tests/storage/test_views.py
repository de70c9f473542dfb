"""What a card needs to know of a job, in one read, on every database."""

from sqlalchemy import text, update

from engine.messages import JobId
from storage import jobs, pictures
from storage.tables import Job
from storage.views import of_message, view, views
from tests.storage.harness import Studio


async def test_views_come_in_the_order_asked_for_and_unknown_ids_are_left_out(studio: Studio) -> None:
    first, second = await studio.file("ana"), await studio.file("bo", space="art")

    seen = await studio.read(views, [second, JobId("nobody"), first])

    assert [(job.id, job.person, job.person_key, job.space) for job in seen] == [
        (second, "Bo", "bo", "art"),
        (first, "Ana", "ana", "general"),
    ]
    assert await studio.read(views, []) == []


async def test_a_view_has_its_pictures_in_their_places_with_their_stars(studio: Studio) -> None:
    job = await studio.file()
    await studio.paint(job, "aa", "bb")
    second = (await studio.see(job)).pictures[1]
    for name in ("ana", "bo"):
        await studio.write(pictures.toggle_star, second.id, await studio.person(name), studio.now)

    seen = await studio.see(job)

    assert [(picture.place, picture.sha256, picture.seed, picture.stars) for picture in seen.pictures] == [
        (1, "aa", 7, 0),
        (2, "bb", 8, 2),
    ]


async def test_a_job_of_another_space_is_unknown(studio: Studio) -> None:
    job = await studio.file(space="art")

    assert await studio.read(view, await studio.space("general"), job) is None
    job_view = await studio.read(view, await studio.space("art"), job)
    assert job_view is not None
    assert job_view.id == job


async def test_a_request_that_the_engine_of_today_refuses_is_left_out(studio: Studio) -> None:
    job = await studio.file()
    too_many = update(Job).where(Job.id == job).values(request={"prompt": "a fox", "seed": 1, "steps": 5000})
    await studio.database.write(lambda session: session.execute(too_many))

    seen = await studio.see(job)

    assert (seen.state, seen.request, seen.deleted) == ("queued", None, False)


async def test_a_view_stays_as_it_was_when_the_job_goes_on(studio: Studio) -> None:
    job = await studio.file()
    before = await studio.see(job)

    await studio.write(jobs.finish, before.number, state="failed", reason="no.", seconds=0.0, now=studio.now)

    assert before.state == "queued"
    after = await studio.see(job)
    assert (after.state, after.reason, after.ended_at) == ("failed", "no.", studio.now)


async def test_a_message_leads_to_its_job_without_a_look_at_the_others(studio: Studio) -> None:
    job = await studio.file()
    await studio.write(jobs.mark_shown, studio.filed[job], 1, "17-42")

    seen = await studio.read(of_message, await studio.space(), "17-42")

    assert seen is not None and seen.id == job
    assert await studio.read(of_message, await studio.space(), "17-43") is None
    assert await studio.read(of_message, await studio.space("art"), "17-42") is None
    async with studio.database.reading() as session:
        plan = await session.execute(text("EXPLAIN QUERY PLAN SELECT id FROM jobs WHERE message = 'x'"))
        assert "ix_jobs_message" in str(plan.all())


async def test_a_private_job_is_its_persons_alone_and_a_direct_channel_has_only_theirs(
    studio: Studio,
) -> None:
    ana, bo = await studio.person("ana"), await studio.person("bo")
    here, art = await studio.space(), await studio.space("art")
    job, other = await studio.file("ana"), await studio.file("bo")
    await studio.write(jobs.move, studio.filed[job], "dm", private=True)

    assert await studio.read(view, here, job, person_id=bo) is None
    assert await studio.read(view, art, job, person_id=ana) is None
    assert await studio.read(view, here, job, person_id=ana) is not None
    assert await studio.read(view, art, job, person_id=ana, direct=True) is not None
    assert await studio.read(view, here, other, person_id=ana, direct=True) is None
    assert await studio.read(view, None, job, direct=True) is None
