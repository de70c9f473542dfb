"""What is stored about somebody is counted, and forgotten for good, on every database."""

from typing import Any

from sqlalchemy import func, select

from engine.messages import AdapterUse, JobId, Paint, Sha256
from storage import adapters, audit, jobs, pictures, privacy, purge, space_settings, uploads
from storage.limits import Limits
from storage.privacy import Deletion, StoredCounts
from storage.tables import Adapter, Audit, Member, Person, Space, Table, Upload
from tests.storage.harness import StorageHarness


async def rows(harness: StorageHarness) -> dict[str, int]:
    """How many rows each table has, of those that have any."""

    async def count_all(session: Any) -> dict[str, int]:
        tables = Table.metadata.sorted_tables
        many = {table.name: await session.scalar(select(func.count()).select_from(table)) for table in tables}
        return {name: number for name, number in many.items() if number}

    return await harness.read(count_all)


async def forgets(harness: StorageHarness, name: str = "ana") -> Deletion:
    return await harness.write(privacy.forget_person, await harness.person(name), harness.now)


async def cards_leave(harness: StorageHarness) -> None:
    """The chats show all that they can."""
    for job in await harness.read(jobs.list_unshown, 1000):
        view = await harness.see(job)
        await harness.write(jobs.mark_shown, view.number, view.revision, None if view.deleted else "m")


async def lets_go(harness: StorageHarness, *busy: JobId) -> bool:
    """What the bot does again and again after somebody was forgotten."""
    gone = await harness.read(purge.files_to_go)
    await harness.write(purge.mark_removed, gone)
    return await harness.write(purge.delete_unheld_rows, busy)


async def a_life(
    harness: StorageHarness, name: str = "ana", space: str = "general", lora: str = "maria"
) -> JobId:
    """Somebody painted two pictures, trained a LoRA, kept a picture and sent one."""
    painted = await harness.file(name, space=space)
    await harness.paint(painted, f"{name}-{space}-1", f"{name}-{space}-2")
    training = await harness.training(name, f"{name}-p1", f"{name}-p2", lora=lora, space=space)
    for step in (0, 100, 200):
        await harness.save(training, step, made=f"{name}-{step}")
    await harness.learn(training, 200, 100)
    me = await harness.person(name)
    await harness.write(pictures.toggle_star, (await harness.see(painted)).pictures[0].id, me, harness.now)
    await harness.write(uploads.record, me, [Sha256(f"{name}-upload")], harness.now)
    return painted


async def uses(harness: StorageHarness, name: str, sha256: str) -> JobId:
    """Somebody files a picture with a LoRA."""
    use = AdapterUse(name="maria", sha256=Sha256(sha256), weight=1.0)
    job = await harness.file(name, use)
    assert isinstance(request := (await harness.see(job)).request, Paint)
    assert request.adapters == (use,)
    return job


async def test_what_is_stored_about_somebody_is_counted(harness: StorageHarness) -> None:
    await a_life(harness)
    await harness.file("bo")

    counts = await harness.read(privacy.count_stored, await harness.person("ana"))

    assert counts == StoredCounts(
        prompts=1,
        pictures=2,
        trainings=1,
        training_pictures=2,
        checkpoints=2,
        adapters=1,
        votes=1,
        uploads=1,
    )
    assert not (await harness.read(privacy.count_stored, await harness.person("cy"))).anything


async def test_of_a_forgotten_person_no_row_is_left(harness: StorageHarness) -> None:
    await a_life(harness)
    await harness.file("ana")

    deletion = await forgets(harness)
    await cards_leave(harness)

    assert deletion.counts.prompts == 2
    assert await lets_go(harness)
    assert await rows(harness) == {"spaces": 1}


async def test_the_files_of_a_forgotten_person_are_told_and_needed_by_nothing(
    harness: StorageHarness,
) -> None:
    await a_life(harness)

    deletion = await forgets(harness)

    assert set(deletion.unneeded) >= {
        "ana-general-1",
        "ana-general-2",
        "ana-p1",
        "ana-p2",
        "ana-upload",
        "sheet",
    }
    assert {f"lora-ana-{step}" for step in (100, 200)} <= set(deletion.unneeded)
    assert {f"sample-ana-{step}-1" for step in (0, 200)} <= set(deletion.unneeded)
    assert set(await harness.read(pictures.find_unneeded, deletion.unneeded)) == set(deletion.unneeded)


async def test_what_others_need_too_stays(harness: StorageHarness) -> None:
    await a_life(harness)
    theirs = await harness.file("bo")
    await harness.paint(theirs, "ana-general-1")

    deletion = await forgets(harness)

    assert "ana-general-1" not in await harness.read(pictures.find_unneeded, deletion.unneeded)
    assert [picture.sha256 for picture in (await harness.see(theirs)).pictures] == ["ana-general-1"]


async def test_words_and_names_go_at_once(harness: StorageHarness) -> None:
    await harness.file("ana", prompt="a secret fox")
    await harness.training("ana", lora="secretive", trigger="secretword")
    await forgets(harness)

    async def texts(session: Any) -> str:
        results = [await session.execute(select(table)) for table in Table.metadata.sorted_tables]
        return str([row for result in results for row in result])

    deletion = await harness.read(texts)
    assert "secret" not in deletion
    assert "ana" not in deletion.lower()


async def test_what_they_used_today_is_known_until_tomorrow_where_there_are_limits(
    harness: StorageHarness,
) -> None:
    general, ideas = await harness.space("general"), await harness.space("ideas")
    await harness.write(space_settings.set_limits, general, None, Limits(seconds=100))
    for space in ("general", "ideas"):
        await harness.paint(await harness.file(space=space), f"{space}-x1", seconds=30.0)

    await forgets(harness)

    assert await harness.read(standings) == [(general, "ana", 30.0)]
    await harness.write(purge.delete_old_usage, harness.now)
    assert await harness.read(standings) == [(general, "ana", 30.0)]
    await harness.write(purge.delete_old_usage, harness.now + 86400)
    assert await harness.read(standings) == []
    assert ideas != general


async def test_who_is_blocked_stays_blocked(harness: StorageHarness) -> None:
    space = await harness.space()
    await harness.person("ana")
    await harness.write(space_settings.set_blocked, space, "ana", harness.now)

    await forgets(harness)
    await harness.write(purge.delete_old_usage, harness.now + 86400)

    assert await harness.read(space_settings.list_blocked, space) == {"ana"}


async def test_changes_stay_known_without_their_people(harness: StorageHarness) -> None:
    ana, space = await harness.person("ana"), await harness.space()
    for subject in ("person ana", "job k3f9qa"):
        await harness.write(
            audit.record,
            space_id=space,
            person_id=ana,
            action="block",
            subject=subject,
            before=None,
            after={"name": "Ana"} if "ana" in subject else None,
            now=harness.now,
        )

    await forgets(harness)

    assert await harness.read(changes) == [
        (None, "block", "somebody", None),
        (None, "block", "job k3f9qa", None),
    ]


async def test_jobs_of_a_forgotten_person_never_run(harness: StorageHarness) -> None:
    waiting, running, draft = await harness.file(), await harness.file(), await harness.draft()
    await harness.start(waiting)
    waiting, running = running, waiting

    deletion = await forgets(harness)

    assert set(deletion.stopped) == {running, draft}
    assert await harness.next() is None
    assert not await harness.end(running, "late")  # the engine was quicker
    assert {(await harness.see(job)).state for job in (waiting, running, draft)} == {"cancelled"}


async def test_rows_stay_until_the_card_has_left_and_the_engine_has_let_go(harness: StorageHarness) -> None:
    job = await harness.file()
    await harness.write(jobs.mark_shown, harness.filed[job], (await harness.see(job)).revision, "m1")
    await harness.start(job)
    await forgets(harness)

    assert not await lets_go(harness)
    assert (await harness.see(job)).message == "m1"
    await cards_leave(harness)
    assert not await lets_go(harness, job)
    assert await lets_go(harness)
    assert await rows(harness) == {"spaces": 1}


async def test_somebody_who_comes_back_begins_anew(harness: StorageHarness) -> None:
    job = await a_life(harness)
    before = await harness.person("ana")
    await forgets(harness)

    after = await harness.person("ana")

    assert after != before
    assert (await harness.see(job)).person_id == before
    assert not (await harness.read(privacy.count_stored, after)).anything
    assert await harness.loras() == []


async def test_stars_of_a_forgotten_person_leave_the_cards_of_others(harness: StorageHarness) -> None:
    theirs = await harness.file("bo")
    await harness.paint(theirs, "x1")
    picture = (await harness.see(theirs)).pictures[0]
    await harness.write(pictures.toggle_star, picture.id, await harness.person("ana"), harness.now)
    await cards_leave(harness)

    deletion = await forgets(harness)

    seen = await harness.see(theirs)
    assert deletion.touched == (theirs,)
    assert seen.pictures[0].stars == 0
    assert seen.shown < seen.revision


async def test_a_deleted_lora_stays_in_the_store_while_a_job_paints_with_it(harness: StorageHarness) -> None:
    await a_life(harness)
    (maria,) = await harness.loras()
    job = await uses(harness, "bo", maria.sha256)
    await harness.start(job)

    gone = await harness.write(adapters.delete, maria.id, harness.now)

    assert maria.sha256 not in gone
    await harness.end(job, "x1")
    assert await harness.read(pictures.find_unneeded, [maria.sha256]) == [maria.sha256]


async def test_the_same_when_its_owner_is_forgotten(harness: StorageHarness) -> None:
    await a_life(harness)
    (maria,) = await harness.loras()
    job = await uses(harness, "bo", maria.sha256)

    deletion = await forgets(harness)
    await cards_leave(harness)

    assert maria.sha256 not in await harness.read(pictures.find_unneeded, deletion.unneeded)
    assert not await lets_go(harness)
    await harness.paint(job, "x1")
    await cards_leave(harness)
    assert await harness.read(pictures.find_unneeded, [maria.sha256]) == [maria.sha256]
    assert await lets_go(harness)


async def test_files_on_their_way_out_are_known_after_a_restart(harness: StorageHarness) -> None:
    await a_life(harness)
    deletion = await forgets(harness)

    assert set(await harness.read(purge.files_to_go)) == set(deletion.unneeded)
    await lets_go(harness)
    assert await harness.read(purge.files_to_go) == []


async def test_a_forgotten_space_takes_all_with_it_but_what_is_elsewhere(harness: StorageHarness) -> None:
    await a_life(harness, "ana", "general")
    await a_life(harness, "ana", "ideas", lora="eve")
    await a_life(harness, "bo", "general", lora="tom")
    await harness.file("ana", space="general")
    await harness.file("ana", space="ideas")

    deletion = await harness.write(privacy.forget_space, "local", "general", harness.now)
    await cards_leave(harness)

    assert deletion.counts.prompts == 3
    assert deletion.counts.adapters == 2
    assert await lets_go(harness)
    assert await harness.read(names, Space.key) == ["ideas"]
    assert await harness.read(names, Person.key) == ["ana"]
    assert [lora.name for lora in await harness.loras("ana", "ideas")] == ["eve"]
    assert (await harness.account("ana"))[1] == 1
    assert await harness.read(names, Upload.sha256) == ["ana-upload"]
    assert await harness.read(names, Adapter.name) == ["eve"]


async def test_cards_in_a_forgotten_space_are_not_taken_away_one_by_one(harness: StorageHarness) -> None:
    job = await harness.file()
    await harness.write(jobs.mark_shown, harness.filed[job], 1, "m1")

    await harness.write(privacy.forget_space, "local", "general", harness.now)

    assert await harness.read(jobs.list_unshown, 10) == []


async def test_a_space_that_nobody_knows_is_forgotten_already(harness: StorageHarness) -> None:
    deletion = await harness.write(privacy.forget_space, "local", "nowhere", harness.now)

    assert deletion == Deletion(counts=StoredCounts())
    assert await lets_go(harness)


async def standings(session: Any) -> list[tuple[int, str, float]]:
    rows = await session.execute(select(Member.space_id, Member.key, Member.seconds))
    return [tuple(row) for row in rows]


async def changes(session: Any) -> list[tuple[Any, ...]]:
    rows = await session.execute(select(Audit.person_id, Audit.action, Audit.subject, Audit.after))
    return [tuple(row) for row in rows]


async def names(session: Any, column: Any) -> list[str]:
    return list(await session.scalars(select(column).order_by(column)))
