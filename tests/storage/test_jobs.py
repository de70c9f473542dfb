"""Jobs are written down, shared out fairly, ended once and forgotten when asked, on every database."""

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from engine.messages import JobId, Paint
from storage import jobs
from storage.jobs import ENGINE_DEATHS
from tests.storage.harness import LEASE, StorageHarness


async def test_a_filed_job_is_queued_and_unshown(harness: StorageHarness) -> None:
    job = await harness.file("ana", prompt="a red fox")

    seen = await harness.see(job)
    assert (seen.state, seen.person, seen.space) == ("queued", "Ana", "general")
    assert seen.request == Paint(job=job, prompt="a red fox", seed=7)
    assert seen.created_at == harness.now
    assert await harness.read(jobs.list_unshown, 10) == [job]
    assert await harness.read(jobs.count_queued) == 1


async def test_an_id_that_is_taken_is_replaced_by_another(harness: StorageHarness) -> None:
    taken = await harness.file("ana")

    async def again(session: AsyncSession) -> str:
        row = await jobs.create(
            session,
            id=taken,
            space_id=1,
            person_id=1,
            channel="general",
            request=Paint(job=taken, prompt="a hen", seed=1),
            parent=None,
            now=harness.now,
        )
        return row.id

    other = await harness.database.write(again)

    assert other != taken
    request = (await harness.see(JobId(other))).request
    assert isinstance(request, Paint)
    assert (request.job, request.prompt) == (other, "a hen")


async def test_the_only_person_gets_their_jobs_in_the_order_of_filing(harness: StorageHarness) -> None:
    filed = [await harness.file("ana") for _ in range(3)]

    taken = []
    while (job := await harness.next()) is not None:
        taken.append(job)
        await harness.paint(job)

    assert taken == filed


async def test_somebody_with_one_job_does_not_wait_behind_twenty_of_another(harness: StorageHarness) -> None:
    for _ in range(20):
        await harness.file("bo")
    first = await harness.next()
    assert first is not None
    await harness.start(first)

    ana = await harness.file("ana")

    assert await harness.next() == ana


async def test_a_burst_is_charged_before_the_engine_has_done_any_of_it(harness: StorageHarness) -> None:
    filed = {name: [await harness.file(name) for _ in range(4)] for name in ("ana", "bo")}

    taken = []
    for _ in range(8):
        job = await harness.next()
        assert job is not None
        await harness.start(job)
        taken.append("ana" if job in filed["ana"] else "bo")

    assert taken == ["ana", "bo"] * 4


async def test_a_hundred_people_with_five_jobs_each_all_have_one_before_anybody_has_two(
    harness: StorageHarness,
) -> None:
    names = [f"p{number}" for number in range(100)]
    for _ in range(5):
        await asyncio.gather(*(harness.file(name) for name in names))

    served = []
    for _ in range(100):
        job = await harness.next()
        assert job is not None
        await harness.start(job, expected=7.0)
        served.append((await harness.see(job)).person)

    assert sorted(served) == sorted(name.title() for name in names)


async def test_who_used_less_of_late_goes_first_however_much_they_used_long_ago(
    harness: StorageHarness,
) -> None:
    await harness.paint(await harness.file("ana"), seconds=3000)
    harness.now += 24 * 3600
    await harness.paint(await harness.file("bo"), seconds=30)
    await harness.file("bo")
    ana = await harness.file("ana")

    assert await harness.next() == ana


async def test_the_places_in_the_queue_are_the_order_in_which_jobs_run(harness: StorageHarness) -> None:
    for name, count in (("ana", 5), ("bo", 1), ("cy", 3)):
        for _ in range(count):
            await harness.file(name)

    places = await harness.read(jobs.positions, now=harness.now, seconds=10.0)

    taken = []
    while (job := await harness.next()) is not None:
        await harness.start(job, expected=10.0)
        taken.append(job)
    assert places == [(job, place) for place, job in enumerate(taken, start=1)]
    assert await harness.read(jobs.positions) == []


async def test_only_the_first_places_are_counted(harness: StorageHarness) -> None:
    for name in ("ana", "bo", "cy"):
        for _ in range(4):
            await harness.file(name)

    all_of_them = await harness.read(jobs.positions, now=harness.now)

    assert len(all_of_them) == 12
    assert await harness.read(jobs.positions, 5, now=harness.now) == all_of_them[:5]


async def test_a_job_is_started_once(harness: StorageHarness) -> None:
    job = await harness.file()

    assert await harness.start(job)
    assert not await harness.start(job)

    assert (await harness.account("ana"))[1] == 0
    assert [row.id for row in await harness.read(jobs.list_running)] == [job]


async def test_a_job_ends_once(harness: StorageHarness) -> None:
    job = await harness.file()
    await harness.start(job)

    assert await harness.end(job, "aa")
    assert not await harness.end(job, "bb")

    seen = await harness.see(job)
    assert (seen.state, [picture.sha256 for picture in seen.pictures]) == ("succeeded", ["aa"])
    assert await harness.read(jobs.list_running) == []


async def test_what_is_charged_in_the_end_is_what_it_took(harness: StorageHarness) -> None:
    quick, slow = await harness.file("ana"), await harness.file("bo")

    await harness.start(quick, expected=50.0)
    await harness.start(slow, expected=1.0)
    await harness.end(quick, seconds=20.0)
    await harness.end(slow, seconds=20.0)

    assert (await harness.account("ana"))[0] == pytest.approx((await harness.account("bo"))[0])
    assert (await harness.see(quick)).charged == 20.0


async def test_a_cancelled_job_that_was_queued_costs_nothing_and_waits_no_more(
    harness: StorageHarness,
) -> None:
    job = await harness.file()

    ended = await harness.write(
        jobs.finish, harness.filed[job], state="cancelled", seconds=0.0, now=harness.now
    )

    assert ended
    assert await harness.account("ana") == (0.0, 0)
    assert await harness.next() is None
    assert not await harness.start(job)


async def test_a_job_that_is_put_back_is_first_again_and_costs_nothing(harness: StorageHarness) -> None:
    job, later = await harness.file(), await harness.file()
    await harness.start(job)

    assert await harness.write(jobs.requeue, harness.filed[job], harness.now)

    seen = await harness.see(job)
    assert (seen.state, seen.deaths, seen.suspect, seen.started_at) == ("queued", 0, False, None)
    used, queued = await harness.account("ana")
    assert (round(used, 3), queued) == (0.0, 2)
    assert await harness.next() == job
    assert not await harness.write(jobs.requeue, harness.filed[later], harness.now)


async def test_a_killer_has_three_deaths_and_its_neighbour_none(harness: StorageHarness) -> None:
    killer, neighbour = await harness.file("ana"), await harness.file("bo")
    await harness.start(killer)
    await harness.start(neighbour)

    for job in (killer, neighbour):
        await harness.write(jobs.requeue, harness.filed[job], harness.now, died="beside others")
    await harness.start(neighbour)
    await harness.end(neighbour, "aa")
    for _ in range(ENGINE_DEATHS - 1):
        await harness.start(killer)
        await harness.write(jobs.requeue, harness.filed[killer], harness.now, died="alone")

    killed, beside = await harness.see(killer), await harness.see(neighbour)
    assert killed.deaths + killed.suspect == ENGINE_DEATHS
    assert (beside.state, beside.deaths) == ("succeeded", 0)


async def test_a_heartbeat_tells_the_step_and_renews_the_lease_of_running_jobs_alone(
    harness: StorageHarness,
) -> None:
    job, waiting = await harness.file(), await harness.file()
    await harness.start(job)
    harness.now += LEASE + 1
    assert [row.id for row in await harness.read(jobs.list_expired, harness.now)] == [job]

    beat = {harness.filed[job]: (3, 20), harness.filed[waiting]: (1, 20)}
    await harness.write(jobs.heartbeat, beat, harness.now + LEASE)

    assert await harness.read(jobs.list_expired, harness.now) == []
    seen = await harness.see(job)
    assert (seen.step, seen.steps) == (3, 20)
    assert (await harness.see(waiting)).step == 0
    await harness.write(jobs.heartbeat, {}, harness.now)


async def test_a_clock_set_back_an_hour_keeps_no_job_from_being_rescued(harness: StorageHarness) -> None:
    job = await harness.file()
    await harness.start(job)

    harness.now -= 3600

    assert [row.id for row in await harness.read(jobs.list_expired, harness.now, longest=LEASE)] == [job]
    assert [row.id for row in await harness.read(jobs.list_expired, harness.now)] == [job]
    await harness.write(jobs.heartbeat, {harness.filed[job]: (1, 20)}, harness.now + LEASE)
    assert await harness.read(jobs.list_expired, harness.now, longest=LEASE) == []


async def test_a_clock_set_back_an_hour_loses_no_job_and_keeps_the_order(harness: StorageHarness) -> None:
    before = await harness.file("ana")
    harness.now -= 3600
    after = await harness.file("ana")
    await harness.file("bo")

    taken = []
    while (job := await harness.next()) is not None:
        await harness.paint(job)
        taken.append(job)

    assert taken.index(before) < taken.index(after)
    assert len(taken) == 3


async def test_every_change_that_a_card_shows_makes_it_unshown(harness: StorageHarness) -> None:
    job = await harness.file()
    number = harness.filed[job]

    async def show() -> None:
        await harness.write(jobs.mark_shown, number, (await harness.see(job)).revision, "message")
        assert await harness.read(jobs.list_unshown, 10) == []

    await show()
    await harness.start(job)
    assert await harness.read(jobs.list_unshown, 10) == [job]
    await show()
    await harness.write(jobs.requeue, number, harness.now)
    assert await harness.read(jobs.list_unshown, 10) == [job]
    await show()
    await harness.write(jobs.touch, number)
    assert await harness.read(jobs.list_unshown, 10) == [job]
    await show()
    await harness.paint(job, "aa")
    assert await harness.read(jobs.list_unshown, 10) == [job]
    await show()
    await harness.write(jobs.delete, number, harness.now)
    assert await harness.read(jobs.list_unshown, 10) == [job]


async def test_a_card_that_was_shown_as_it_was_before_is_still_unshown(harness: StorageHarness) -> None:
    job = await harness.file()
    drawn = (await harness.see(job)).revision
    await harness.start(job)

    await harness.write(jobs.mark_shown, harness.filed[job], drawn, "message")

    assert await harness.read(jobs.list_unshown, 10) == [job]
    assert (await harness.see(job)).message == "message"


async def test_a_card_that_moved_while_its_old_message_was_drawn_appears_where_it_went(
    harness: StorageHarness,
) -> None:
    job = await harness.file()
    number, drawn = harness.filed[job], (await harness.see(job)).revision

    await harness.write(jobs.move, number, "elsewhere")
    await harness.write(jobs.mark_shown, number, drawn, "the old message")

    seen = await harness.see(job)
    assert (seen.channel, seen.message) == ("elsewhere", None)
    await harness.write(jobs.mark_shown, number, seen.revision, "the new message")
    assert (await harness.see(job)).message == "the new message"
    assert await harness.read(jobs.list_unshown, 10) == []


async def test_a_channel_has_cards_until_its_last_job_is_deleted_or_moved(harness: StorageHarness) -> None:
    first, second = await harness.file(), await harness.file("bo")

    seen = [await harness.read(jobs.has_cards, "local", "general")]
    await harness.write(jobs.delete, harness.filed[first], harness.now)
    seen.append(await harness.read(jobs.has_cards, "local", "general"))
    await harness.write(jobs.move, harness.filed[second], "elsewhere")
    seen.append(await harness.read(jobs.has_cards, "local", "general"))

    assert seen == [True, True, False]
    assert await harness.read(jobs.has_cards, "local", "elsewhere")
    assert not await harness.read(jobs.has_cards, "discord", "elsewhere")


async def test_a_deleted_job_has_no_pictures_and_no_words(harness: StorageHarness) -> None:
    job = await harness.file(prompt="a secret")
    await harness.paint(job, "aa", "bb")

    gone = await harness.write(jobs.delete, harness.filed[job], harness.now)

    assert sorted(gone) == ["aa", "bb"]
    seen = await harness.see(job)
    assert (seen.deleted, seen.request, seen.pictures) == (True, None, ())
    assert await harness.read(jobs.recent, await harness.space(), "general", None, 10) == []


async def test_a_file_that_another_job_needs_outlives_a_deletion(harness: StorageHarness) -> None:
    job, same = await harness.file(), await harness.file()
    await harness.paint(job, "aa", "bb")
    await harness.paint(same, "aa")

    assert await harness.write(jobs.delete, harness.filed[job], harness.now) == ["bb"]
    assert await harness.write(jobs.delete, harness.filed[same], harness.now) == ["aa"]


async def test_a_deletion_while_the_engine_paints_ends_the_job_without_pictures(
    harness: StorageHarness,
) -> None:
    job, queued = await harness.file(), await harness.file()
    await harness.start(job)

    await harness.write(jobs.delete, harness.filed[job], harness.now)
    await harness.write(jobs.delete, harness.filed[queued], harness.now)

    assert not await harness.end(job, "aa")
    assert (await harness.see(job)).pictures == ()
    assert (await harness.account("ana"))[1] == 0
    assert await harness.next() is None


async def test_a_channel_shows_its_own_jobs_the_newest_first(harness: StorageHarness) -> None:
    filed = [await harness.file("ana") for _ in range(5)]
    await harness.file("ana", space="art")
    general = await harness.space()

    newest = await harness.read(jobs.recent, general, "general", None, 3)
    older = await harness.read(jobs.recent, general, "general", harness.filed[newest[-1]], 3)

    assert newest + older == filed[::-1]
    assert await harness.read(jobs.recent, general, "art", None, 3) == []


async def test_my_jobs_are_those_of_this_space_in_these_states(harness: StorageHarness) -> None:
    done, waiting, taken = [await harness.file("ana") for _ in range(3)]
    await harness.paint(done)
    await harness.start(taken)
    await harness.file("bo")
    await harness.file("ana", space="art")
    mine = (await harness.space(), await harness.person("ana"))

    assert await harness.read(jobs.list_of_person, *mine, ("queued", "running")) == [waiting, taken]
    assert await harness.read(jobs.list_of_person, *mine, ("succeeded",)) == [done]
