"""Jobs are written down, shared out fairly, ended once and forgotten when asked, on every database."""

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from engine.messages import JobId, Paint
from storage import jobs
from storage.jobs import ENGINE_DEATHS
from tests.storage.harness import LEASE, Studio


async def test_a_filed_job_is_queued_and_unshown(studio: Studio) -> None:
    job = await studio.file("ana", prompt="a red fox")

    seen = await studio.see(job)
    assert (seen.state, seen.person, seen.space) == ("queued", "Ana", "general")
    assert seen.request == Paint(job=job, prompt="a red fox", seed=7)
    assert seen.created_at == studio.now
    assert await studio.read(jobs.list_unshown, 10) == [job]
    assert await studio.read(jobs.count_queued) == 1


async def test_an_id_that_is_taken_is_replaced_by_another(studio: Studio) -> None:
    taken = await studio.file("ana")

    async def again(session: AsyncSession) -> str:
        row = await jobs.create(
            session,
            id=taken,
            space_id=1,
            person_id=1,
            channel="general",
            request=Paint(job=taken, prompt="a hen", seed=1),
            parent=None,
            now=studio.now,
        )
        return row.id

    other = await studio.database.write(again)

    assert other != taken
    request = (await studio.see(JobId(other))).request
    assert isinstance(request, Paint)
    assert (request.job, request.prompt) == (other, "a hen")


async def test_the_only_person_gets_their_jobs_in_the_order_of_filing(studio: Studio) -> None:
    filed = [await studio.file("ana") for _ in range(3)]

    taken = []
    while (job := await studio.next()) is not None:
        taken.append(job)
        await studio.paint(job)

    assert taken == filed


async def test_somebody_with_one_job_does_not_wait_behind_twenty_of_another(studio: Studio) -> None:
    for _ in range(20):
        await studio.file("bo")
    first = await studio.next()
    assert first is not None
    await studio.start(first)

    ana = await studio.file("ana")

    assert await studio.next() == ana


async def test_a_burst_is_charged_before_the_engine_has_done_any_of_it(studio: Studio) -> None:
    filed = {name: [await studio.file(name) for _ in range(4)] for name in ("ana", "bo")}

    taken = []
    for _ in range(8):
        job = await studio.next()
        assert job is not None
        await studio.start(job)
        taken.append("ana" if job in filed["ana"] else "bo")

    assert taken == ["ana", "bo"] * 4


async def test_a_hundred_people_with_five_jobs_each_all_have_one_before_anybody_has_two(
    studio: Studio,
) -> None:
    names = [f"p{number}" for number in range(100)]
    for _ in range(5):
        await asyncio.gather(*(studio.file(name) for name in names))

    served = []
    for _ in range(100):
        job = await studio.next()
        assert job is not None
        await studio.start(job, expected=7.0)
        served.append((await studio.see(job)).person)

    assert sorted(served) == sorted(name.title() for name in names)


async def test_who_used_less_of_late_goes_first_however_much_they_used_long_ago(studio: Studio) -> None:
    await studio.paint(await studio.file("ana"), seconds=3000)
    studio.now += 24 * 3600
    await studio.paint(await studio.file("bo"), seconds=30)
    await studio.file("bo")
    ana = await studio.file("ana")

    assert await studio.next() == ana


async def test_the_places_in_the_queue_are_the_order_in_which_jobs_run(studio: Studio) -> None:
    for name, count in (("ana", 5), ("bo", 1), ("cy", 3)):
        for _ in range(count):
            await studio.file(name)

    places = await studio.read(jobs.positions, now=studio.now, seconds=10.0)

    taken = []
    while (job := await studio.next()) is not None:
        await studio.start(job, expected=10.0)
        taken.append(job)
    assert places == [(job, place) for place, job in enumerate(taken, start=1)]
    assert await studio.read(jobs.positions) == []


async def test_only_the_first_places_are_counted(studio: Studio) -> None:
    for name in ("ana", "bo", "cy"):
        for _ in range(4):
            await studio.file(name)

    all_of_them = await studio.read(jobs.positions, now=studio.now)

    assert len(all_of_them) == 12
    assert await studio.read(jobs.positions, 5, now=studio.now) == all_of_them[:5]


async def test_a_job_is_started_once(studio: Studio) -> None:
    job = await studio.file()

    assert await studio.start(job)
    assert not await studio.start(job)

    assert (await studio.account("ana"))[1] == 0
    assert [row.id for row in await studio.read(jobs.list_running)] == [job]


async def test_a_job_ends_once(studio: Studio) -> None:
    job = await studio.file()
    await studio.start(job)

    assert await studio.end(job, "aa")
    assert not await studio.end(job, "bb")

    seen = await studio.see(job)
    assert (seen.state, [picture.sha256 for picture in seen.pictures]) == ("succeeded", ["aa"])
    assert await studio.read(jobs.list_running) == []


async def test_what_is_charged_in_the_end_is_what_it_took(studio: Studio) -> None:
    quick, slow = await studio.file("ana"), await studio.file("bo")

    await studio.start(quick, expected=50.0)
    await studio.start(slow, expected=1.0)
    await studio.end(quick, seconds=20.0)
    await studio.end(slow, seconds=20.0)

    assert (await studio.account("ana"))[0] == pytest.approx((await studio.account("bo"))[0])
    assert (await studio.see(quick)).charged == 20.0


async def test_a_cancelled_job_that_was_queued_costs_nothing_and_waits_no_more(studio: Studio) -> None:
    job = await studio.file()

    ended = await studio.write(jobs.finish, studio.filed[job], state="cancelled", seconds=0.0, now=studio.now)

    assert ended
    assert await studio.account("ana") == (0.0, 0)
    assert await studio.next() is None
    assert not await studio.start(job)


async def test_a_job_that_is_put_back_is_first_again_and_costs_nothing(studio: Studio) -> None:
    job, later = await studio.file(), await studio.file()
    await studio.start(job)

    assert await studio.write(jobs.requeue, studio.filed[job], studio.now)

    seen = await studio.see(job)
    assert (seen.state, seen.deaths, seen.suspect, seen.started_at) == ("queued", 0, False, None)
    used, queued = await studio.account("ana")
    assert (round(used, 3), queued) == (0.0, 2)
    assert await studio.next() == job
    assert not await studio.write(jobs.requeue, studio.filed[later], studio.now)


async def test_a_killer_has_three_deaths_and_its_neighbour_none(studio: Studio) -> None:
    killer, neighbour = await studio.file("ana"), await studio.file("bo")
    await studio.start(killer)
    await studio.start(neighbour)

    for job in (killer, neighbour):
        await studio.write(jobs.requeue, studio.filed[job], studio.now, died="beside others")
    await studio.start(neighbour)
    await studio.end(neighbour, "aa")
    for _ in range(ENGINE_DEATHS - 1):
        await studio.start(killer)
        await studio.write(jobs.requeue, studio.filed[killer], studio.now, died="alone")

    killed, beside = await studio.see(killer), await studio.see(neighbour)
    assert killed.deaths + killed.suspect == ENGINE_DEATHS
    assert (beside.state, beside.deaths) == ("succeeded", 0)


async def test_a_heartbeat_tells_the_step_and_renews_the_lease_of_running_jobs_alone(studio: Studio) -> None:
    job, waiting = await studio.file(), await studio.file()
    await studio.start(job)
    studio.now += LEASE + 1
    assert [row.id for row in await studio.read(jobs.list_expired, studio.now)] == [job]

    beat = {studio.filed[job]: (3, 20), studio.filed[waiting]: (1, 20)}
    await studio.write(jobs.heartbeat, beat, studio.now + LEASE)

    assert await studio.read(jobs.list_expired, studio.now) == []
    seen = await studio.see(job)
    assert (seen.step, seen.steps) == (3, 20)
    assert (await studio.see(waiting)).step == 0
    await studio.write(jobs.heartbeat, {}, studio.now)


async def test_a_clock_set_back_an_hour_keeps_no_job_from_being_rescued(studio: Studio) -> None:
    job = await studio.file()
    await studio.start(job)

    studio.now -= 3600

    assert [row.id for row in await studio.read(jobs.list_expired, studio.now, longest=LEASE)] == [job]
    assert [row.id for row in await studio.read(jobs.list_expired, studio.now)] == [job]
    await studio.write(jobs.heartbeat, {studio.filed[job]: (1, 20)}, studio.now + LEASE)
    assert await studio.read(jobs.list_expired, studio.now, longest=LEASE) == []


async def test_a_clock_set_back_an_hour_loses_no_job_and_keeps_the_order(studio: Studio) -> None:
    before = await studio.file("ana")
    studio.now -= 3600
    after = await studio.file("ana")
    await studio.file("bo")

    taken = []
    while (job := await studio.next()) is not None:
        await studio.paint(job)
        taken.append(job)

    assert taken.index(before) < taken.index(after)
    assert len(taken) == 3


async def test_every_change_that_a_card_shows_makes_it_unshown(studio: Studio) -> None:
    job = await studio.file()
    number = studio.filed[job]

    async def show() -> None:
        await studio.write(jobs.mark_shown, number, (await studio.see(job)).revision, "message")
        assert await studio.read(jobs.list_unshown, 10) == []

    await show()
    await studio.start(job)
    assert await studio.read(jobs.list_unshown, 10) == [job]
    await show()
    await studio.write(jobs.requeue, number, studio.now)
    assert await studio.read(jobs.list_unshown, 10) == [job]
    await show()
    await studio.write(jobs.touch, number)
    assert await studio.read(jobs.list_unshown, 10) == [job]
    await show()
    await studio.paint(job, "aa")
    assert await studio.read(jobs.list_unshown, 10) == [job]
    await show()
    await studio.write(jobs.delete, number, studio.now)
    assert await studio.read(jobs.list_unshown, 10) == [job]


async def test_a_card_that_was_shown_as_it_was_before_is_still_unshown(studio: Studio) -> None:
    job = await studio.file()
    drawn = (await studio.see(job)).revision
    await studio.start(job)

    await studio.write(jobs.mark_shown, studio.filed[job], drawn, "message")

    assert await studio.read(jobs.list_unshown, 10) == [job]
    assert (await studio.see(job)).message == "message"


async def test_a_card_that_moved_while_its_old_message_was_drawn_appears_where_it_went(
    studio: Studio,
) -> None:
    job = await studio.file()
    number, drawn = studio.filed[job], (await studio.see(job)).revision

    await studio.write(jobs.move, number, "elsewhere")
    await studio.write(jobs.mark_shown, number, drawn, "the old message")

    seen = await studio.see(job)
    assert (seen.channel, seen.message) == ("elsewhere", None)
    await studio.write(jobs.mark_shown, number, seen.revision, "the new message")
    assert (await studio.see(job)).message == "the new message"
    assert await studio.read(jobs.list_unshown, 10) == []


async def test_a_channel_has_cards_until_its_last_job_is_deleted_or_moved(studio: Studio) -> None:
    first, second = await studio.file(), await studio.file("bo")

    seen = [await studio.read(jobs.has_cards, "local", "general")]
    await studio.write(jobs.delete, studio.filed[first], studio.now)
    seen.append(await studio.read(jobs.has_cards, "local", "general"))
    await studio.write(jobs.move, studio.filed[second], "elsewhere")
    seen.append(await studio.read(jobs.has_cards, "local", "general"))

    assert seen == [True, True, False]
    assert await studio.read(jobs.has_cards, "local", "elsewhere")
    assert not await studio.read(jobs.has_cards, "discord", "elsewhere")


async def test_a_deleted_job_has_no_pictures_and_no_words(studio: Studio) -> None:
    job = await studio.file(prompt="a secret")
    await studio.paint(job, "aa", "bb")

    gone = await studio.write(jobs.delete, studio.filed[job], studio.now)

    assert sorted(gone) == ["aa", "bb"]
    seen = await studio.see(job)
    assert (seen.deleted, seen.request, seen.pictures) == (True, None, ())
    assert await studio.read(jobs.recent, await studio.space(), "general", None, 10) == []


async def test_a_file_that_another_job_needs_outlives_a_deletion(studio: Studio) -> None:
    job, same = await studio.file(), await studio.file()
    await studio.paint(job, "aa", "bb")
    await studio.paint(same, "aa")

    assert await studio.write(jobs.delete, studio.filed[job], studio.now) == ["bb"]
    assert await studio.write(jobs.delete, studio.filed[same], studio.now) == ["aa"]


async def test_a_deletion_while_the_engine_paints_ends_the_job_without_pictures(studio: Studio) -> None:
    job, queued = await studio.file(), await studio.file()
    await studio.start(job)

    await studio.write(jobs.delete, studio.filed[job], studio.now)
    await studio.write(jobs.delete, studio.filed[queued], studio.now)

    assert not await studio.end(job, "aa")
    assert (await studio.see(job)).pictures == ()
    assert (await studio.account("ana"))[1] == 0
    assert await studio.next() is None


async def test_a_channel_shows_its_own_jobs_the_newest_first(studio: Studio) -> None:
    filed = [await studio.file("ana") for _ in range(5)]
    await studio.file("ana", space="art")
    general = await studio.space()

    newest = await studio.read(jobs.recent, general, "general", None, 3)
    older = await studio.read(jobs.recent, general, "general", studio.filed[newest[-1]], 3)

    assert newest + older == filed[::-1]
    assert await studio.read(jobs.recent, general, "art", None, 3) == []


async def test_my_jobs_are_those_of_this_space_in_these_states(studio: Studio) -> None:
    done, waiting, taken = [await studio.file("ana") for _ in range(3)]
    await studio.paint(done)
    await studio.start(taken)
    await studio.file("bo")
    await studio.file("ana", space="art")
    mine = (await studio.space(), await studio.person("ana"))

    assert await studio.read(jobs.list_of_person, *mine, ("queued", "running")) == [waiting, taken]
    assert await studio.read(jobs.list_of_person, *mine, ("succeeded",)) == [done]
