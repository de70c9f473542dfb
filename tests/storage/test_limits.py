"""What somebody used today is the sum of their jobs: charged once, and given back by what did not succeed."""

import pytest

from storage import jobs, limits, space_settings
from storage.limits import DAY, Limits
from tests.storage.harness import LEASE, NOON, StorageHarness


async def seconds_used(harness: StorageHarness, name: str = "ana", space: str = "general") -> float:
    here, person = await harness.space(space), await harness.person(name)
    return (await harness.read(limits.usage, here, person, harness.now)).seconds


async def create_job(harness: StorageHarness, name: str = "ana", expected: float = 10.0) -> int:
    """A job's number."""
    number = harness.filed[await harness.file(name)]
    await harness.write(_expects, number, expected)
    return number


async def _expects(session: object, number: int, expected: float) -> None:
    job = await session.get_one(jobs.Job, number)  # type: ignore[attr-defined]
    job.expected = expected


async def start(harness: StorageHarness, number: int, expected: float = 10.0) -> None:
    lease = harness.now + LEASE
    assert await harness.write(jobs.start, number, expected=expected, lease_until=lease, now=harness.now)


async def end(harness: StorageHarness, number: int, state: str, seconds: float) -> None:
    await harness.write(jobs.finish, number, state=state, seconds=seconds, now=harness.now)


async def test_what_waits_counts_as_expected_and_what_ran_as_measured(harness: StorageHarness) -> None:
    number = await create_job(harness)
    assert await seconds_used(harness) == 10.0
    await start(harness, number)
    assert await seconds_used(harness) == 10.0

    await end(harness, number, "succeeded", 7.5)

    assert await seconds_used(harness) == 7.5
    await end(harness, number, "succeeded", 7.5)
    assert await seconds_used(harness) == 7.5


@pytest.mark.parametrize("state", ["failed", "cancelled"])
@pytest.mark.parametrize("began", [True, False])
async def test_what_fails_or_is_cancelled_is_given_back(
    harness: StorageHarness, state: str, began: bool
) -> None:
    number = await create_job(harness)
    if began:
        await start(harness, number)

    await end(harness, number, state, 4.0)

    assert await seconds_used(harness) == 0.0


async def test_what_is_queued_again_after_a_kill_is_charged_once(harness: StorageHarness) -> None:
    number = await create_job(harness)
    for _ in range(3):
        await start(harness, number, expected=12.0)
        await harness.write(jobs.requeue, number, harness.now, died="alone")
    assert await seconds_used(harness) == 10.0

    await start(harness, number)
    await end(harness, number, "succeeded", 8.0)

    assert await seconds_used(harness) == 8.0


async def test_a_day_begins_anew_at_midnight(harness: StorageHarness) -> None:
    await create_job(harness)

    harness.now = limits.day_of(NOON) + DAY - 1
    assert await seconds_used(harness) == 10.0
    harness.now += 1
    assert await seconds_used(harness) == 0.0


async def test_each_space_and_person_has_a_use_of_their_own(harness: StorageHarness) -> None:
    await create_job(harness, "ana")
    await create_job(harness, "bo", 5.0)

    assert (await seconds_used(harness, "ana"), await seconds_used(harness, "bo")) == (10.0, 5.0)
    assert await seconds_used(harness, "ana", "elsewhere") == 0.0
    here, ana = await harness.space(), await harness.person("ana")
    assert (await harness.read(limits.usage, here, ana, harness.now)).total == 15.0


async def test_who_is_forgotten_has_used_what_they_used_and_stays_blocked(harness: StorageHarness) -> None:
    await create_job(harness)
    here, ana = await harness.space(), await harness.person("ana")
    await harness.write(space_settings.set_blocked, here, "ana", harness.now)

    await harness.write(limits.keep_usage, ana, harness.now)
    await harness.write(limits.keep_usage, ana, harness.now)

    assert await seconds_used(harness) == 10.0
    assert (await harness.read(space_settings.effective_settings, here, "ana")).blocked
    harness.now += DAY
    assert await seconds_used(harness) == 0.0


async def test_a_reset_is_of_one_person_or_of_all(harness: StorageHarness) -> None:
    await create_job(harness, "ana")
    await create_job(harness, "bo")
    here, ana = await harness.space(), await harness.person("ana")

    await harness.write(limits.reset, here, ana, harness.now)
    assert (await seconds_used(harness, "ana"), await seconds_used(harness, "bo")) == (0.0, 10.0)
    await harness.write(limits.reset, here, None, harness.now)
    assert await seconds_used(harness, "bo") == 0.0


async def test_own_limits_go_over_the_usual_ones_and_others_stay(harness: StorageHarness) -> None:
    here = await harness.space()
    await harness.write(space_settings.set_limits, here, None, Limits(seconds=60, queued=5))
    await harness.write(space_settings.set_limits, here, "ana", Limits(seconds=600))

    assert (await harness.read(space_settings.effective_settings, here, "ana")).limits == Limits(
        seconds=600, queued=5
    )
    assert (await harness.read(space_settings.effective_settings, here, "bo")).limits == Limits(
        seconds=60, queued=5
    )
    assert (
        await harness.read(space_settings.effective_settings, await harness.space("elsewhere"), "ana")
        is space_settings.DEFAULTS
    )


async def test_files_are_weighed_where_anybody_has_a_limit_of_megabytes(harness: StorageHarness) -> None:
    usual, role, own, none = [await harness.space(name) for name in ("usual", "role", "own", "none")]
    some, other = Limits(megabytes=9), Limits(seconds=9)
    await harness.write(space_settings.set_limits, usual, None, some)
    await harness.write(space_settings.set_role_limits, role, "artist", some)
    await harness.write(space_settings.set_limits, own, "ana", some)
    for key in (None, "ana"):
        await harness.write(space_settings.set_limits, none, key, other)
    await harness.write(space_settings.set_role_limits, none, "artist", other)

    weighs = [await harness.read(space_settings.limits_files, space) for space in (usual, role, own, none)]

    assert weighs == [True, True, True, False]
