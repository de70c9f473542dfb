"""What somebody used today is the sum of their jobs: charged once, and given back by what did not succeed."""

import pytest

from storage import jobs, limits, space_settings
from storage.limits import DAY, Limits
from tests.storage.harness import LEASE, NOON, Studio


async def seconds_used(studio: Studio, name: str = "ana", space: str = "general") -> float:
    here, person = await studio.space(space), await studio.person(name)
    return (await studio.read(limits.usage, here, person, studio.now)).seconds


async def create_job(studio: Studio, name: str = "ana", expected: float = 10.0) -> int:
    """A job's number."""
    number = studio.filed[await studio.file(name)]
    await studio.write(_expects, number, expected)
    return number


async def _expects(session: object, number: int, expected: float) -> None:
    job = await session.get_one(jobs.Job, number)  # type: ignore[attr-defined]
    job.expected = expected


async def start(studio: Studio, number: int, expected: float = 10.0) -> None:
    lease = studio.now + LEASE
    assert await studio.write(jobs.start, number, expected=expected, lease_until=lease, now=studio.now)


async def end(studio: Studio, number: int, state: str, seconds: float) -> None:
    await studio.write(jobs.finish, number, state=state, seconds=seconds, now=studio.now)


async def test_what_waits_counts_as_expected_and_what_ran_as_measured(studio: Studio) -> None:
    number = await create_job(studio)
    assert await seconds_used(studio) == 10.0
    await start(studio, number)
    assert await seconds_used(studio) == 10.0

    await end(studio, number, "succeeded", 7.5)

    assert await seconds_used(studio) == 7.5
    await end(studio, number, "succeeded", 7.5)
    assert await seconds_used(studio) == 7.5


@pytest.mark.parametrize("state", ["failed", "cancelled"])
@pytest.mark.parametrize("began", [True, False])
async def test_what_fails_or_is_cancelled_is_given_back(studio: Studio, state: str, began: bool) -> None:
    number = await create_job(studio)
    if began:
        await start(studio, number)

    await end(studio, number, state, 4.0)

    assert await seconds_used(studio) == 0.0


async def test_what_is_queued_again_after_a_kill_is_charged_once(studio: Studio) -> None:
    number = await create_job(studio)
    for _ in range(3):
        await start(studio, number, expected=12.0)
        await studio.write(jobs.requeue, number, studio.now, died="alone")
    assert await seconds_used(studio) == 10.0

    await start(studio, number)
    await end(studio, number, "succeeded", 8.0)

    assert await seconds_used(studio) == 8.0


async def test_a_day_begins_anew_at_midnight(studio: Studio) -> None:
    await create_job(studio)

    studio.now = limits.day_of(NOON) + DAY - 1
    assert await seconds_used(studio) == 10.0
    studio.now += 1
    assert await seconds_used(studio) == 0.0


async def test_each_space_and_person_has_a_use_of_their_own(studio: Studio) -> None:
    await create_job(studio, "ana")
    await create_job(studio, "bo", 5.0)

    assert (await seconds_used(studio, "ana"), await seconds_used(studio, "bo")) == (10.0, 5.0)
    assert await seconds_used(studio, "ana", "elsewhere") == 0.0
    here, ana = await studio.space(), await studio.person("ana")
    assert (await studio.read(limits.usage, here, ana, studio.now)).total == 15.0


async def test_who_is_forgotten_has_used_what_they_used_and_stays_blocked(studio: Studio) -> None:
    await create_job(studio)
    here, ana = await studio.space(), await studio.person("ana")
    await studio.write(space_settings.set_blocked, here, "ana", studio.now)

    await studio.write(limits.keep_usage, ana, studio.now)
    await studio.write(limits.keep_usage, ana, studio.now)

    assert await seconds_used(studio) == 10.0
    assert (await studio.read(space_settings.effective_settings, here, "ana")).blocked
    studio.now += DAY
    assert await seconds_used(studio) == 0.0


async def test_a_reset_is_of_one_person_or_of_all(studio: Studio) -> None:
    await create_job(studio, "ana")
    await create_job(studio, "bo")
    here, ana = await studio.space(), await studio.person("ana")

    await studio.write(limits.reset, here, ana, studio.now)
    assert (await seconds_used(studio, "ana"), await seconds_used(studio, "bo")) == (0.0, 10.0)
    await studio.write(limits.reset, here, None, studio.now)
    assert await seconds_used(studio, "bo") == 0.0


async def test_own_limits_go_over_the_usual_ones_and_others_stay(studio: Studio) -> None:
    here = await studio.space()
    await studio.write(space_settings.set_limits, here, None, Limits(seconds=60, queued=5))
    await studio.write(space_settings.set_limits, here, "ana", Limits(seconds=600))

    assert (await studio.read(space_settings.effective_settings, here, "ana")).limits == Limits(
        seconds=600, queued=5
    )
    assert (await studio.read(space_settings.effective_settings, here, "bo")).limits == Limits(
        seconds=60, queued=5
    )
    assert (
        await studio.read(space_settings.effective_settings, await studio.space("elsewhere"), "ana")
        is space_settings.DEFAULTS
    )
