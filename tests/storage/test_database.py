"""Works share commits and never each other's errors, on every database."""

import asyncio

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from storage import jobs, people
from storage.database import CannotStore, Database
from storage.tables import Person, Space
from tests.storage.harness import StorageHarness


async def person_keys(database: Database) -> list[str]:
    async with database.reading() as session:
        return list(await session.scalars(select(Person.key).order_by(Person.key)))


async def ana(session: AsyncSession) -> Person:
    return await people.upsert_person(session, "local", "ana", "Ana")


async def bo(session: AsyncSession) -> Person:
    return await people.upsert_person(session, "local", "bo", "Bo")


async def test_what_was_written_is_there_after_a_restart(url: str) -> None:
    database = await Database.open(url)
    await database.write(ana)
    await database.close()

    database = await Database.open(url)
    assert await person_keys(database) == ["ana"]
    await database.close()


async def test_a_work_that_fails_leaves_nothing_and_hurts_no_other(database: Database) -> None:
    async def fails(session: AsyncSession) -> None:
        await people.upsert_person(session, "local", "cy", "Cy")
        raise KeyError("cy")

    async def twice(session: AsyncSession) -> None:
        session.add(Space(chat="local", key="art", name="art"))
        await session.flush()
        session.add(Space(chat="local", key="art", name="art"))
        await session.flush()

    outcomes = await asyncio.gather(*map(database.write, (ana, fails, twice, bo)), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [Person, KeyError, IntegrityError, Person]
    assert await person_keys(database) == ["ana", "bo"]
    async with database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(Space)) == 0


async def test_what_is_done_beside_a_work_that_fails_is_done_once(harness: StorageHarness) -> None:
    async def fails(session: AsyncSession) -> None:
        await people.upsert_person(session, "local", "cy", "Cy")
        raise KeyError("cy")

    works = (harness.file("ana"), harness.write(fails), harness.file("ana"))
    await asyncio.gather(*works, return_exceptions=True)

    assert await person_keys(harness.database) == ["ana"]
    assert (await harness.account("ana"))[1] == await harness.read(jobs.count_queued) == 2


async def test_a_work_sees_what_those_before_it_in_the_same_commit_wrote(database: Database) -> None:
    async def count(session: AsyncSession) -> int:
        await people.upsert_person(session, "local", f"p{await all_people(session)}", "P")
        return await all_people(session)

    async def all_people(session: AsyncSession) -> int:
        return await session.scalar(select(func.count()).select_from(Person)) or 0

    assert await asyncio.gather(*(database.write(count) for _ in range(20))) == list(range(1, 21))


async def test_rows_can_be_read_after_the_commit(database: Database) -> None:
    person = await database.write(ana)

    assert (person.id, person.name, person.settings, person.queued) == (1, "Ana", {}, 0)


async def test_whoever_stops_waiting_keeps_nobody_else_from_being_served(database: Database) -> None:
    impatient = asyncio.create_task(database.write(ana))
    patient = asyncio.create_task(database.write(bo))
    await asyncio.sleep(0)
    impatient.cancel()

    assert (await patient).key == "bo"
    assert "bo" in await person_keys(database)


async def test_a_reading_session_sees_one_moment_and_waits_for_nobody(database: Database) -> None:
    await database.write(ana)
    async with database.reading() as session:
        before = list(await session.scalars(select(Person.key)))
        await database.write(bo)
        during = list(await session.scalars(select(Person.key)))

    assert before == during == ["ana"]
    assert await person_keys(database) == ["ana", "bo"]


async def test_a_reading_session_cannot_write(database: Database) -> None:
    async with database.reading() as session:
        with pytest.raises(Exception, match="readonly"):
            await ana(session)

    assert await person_keys(database) == []


async def test_closing_writes_what_waits_and_nothing_after_it(database: Database) -> None:
    waiting = [asyncio.create_task(database.write(work)) for work in (ana, bo)]
    await asyncio.sleep(0)

    await database.close()

    assert [(await task).key for task in waiting] == ["ana", "bo"]
    with pytest.raises(CannotStore, match=r"^Nothing was stored\. The database is closed\.$"):
        await database.write(ana)


async def test_a_thousand_works_at_once_all_end(harness: StorageHarness) -> None:
    filed = await asyncio.gather(*(harness.file(f"p{number % 50}") for number in range(1000)))

    assert len(set(filed)) == 1000
    assert await person_keys(harness.database) == sorted({f"p{number % 50}" for number in range(1000)})


async def test_whoever_lets_writers_go_first_waits_for_them_but_not_for_long(database: Database) -> None:
    goes_on, order = asyncio.Event(), list[str]()

    async def work(_: AsyncSession) -> None:
        await goes_on.wait()
        order.append("written")

    async def wait() -> None:
        await database.wait_for_writers(60.0)
        order.append("waited")

    writing = asyncio.create_task(database.write(work))
    await asyncio.sleep(0)
    await database.wait_for_writers(0.01)
    assert not writing.done()
    waiting = asyncio.create_task(wait())
    goes_on.set()
    await asyncio.gather(writing, waiting)

    assert order == ["written", "waited"]
