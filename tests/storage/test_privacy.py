"""What is stored about somebody is counted, and forgotten for good, on every database."""

from typing import Any

from sqlalchemy import func, select

from engine.messages import AdapterUse, JobId, Paint, Sha256
from storage import adapters, audit, jobs, pictures, privacy, purge, space_settings, uploads
from storage.limits import Limits
from storage.privacy import Deletion, StoredCounts
from storage.tables import Adapter, Audit, Job, Member, Person, Space, Table, Upload
from tests.storage.harness import Studio


async def rows(studio: Studio) -> dict[str, int]:
    """How many rows each table has, of those that have any."""

    async def count_all(session: Any) -> dict[str, int]:
        tables = Table.metadata.sorted_tables
        many = {table.name: await session.scalar(select(func.count()).select_from(table)) for table in tables}
        return {name: number for name, number in many.items() if number}

    return await studio.read(count_all)


async def forgets(studio: Studio, name: str = "ana") -> Deletion:
    return await studio.write(privacy.forget_person, await studio.person(name), studio.now)


async def cards_leave(studio: Studio) -> None:
    """The chats show all that they can."""
    for job in await studio.read(jobs.list_unshown, 1000):
        view = await studio.see(job)
        await studio.write(jobs.mark_shown, view.number, view.revision, None if view.deleted else "m")


async def lets_go(studio: Studio, *busy: JobId) -> bool:
    """What the bot does again and again after somebody was forgotten."""
    gone = await studio.read(purge.files_to_go)
    await studio.write(purge.mark_removed, gone)
    return await studio.write(purge.delete_unheld_rows, busy)


async def a_life(studio: Studio, name: str = "ana", space: str = "general", lora: str = "maria") -> JobId:
    """Somebody painted two pictures, trained a LoRA, kept a picture and sent one."""
    painted = await studio.file(name, space=space)
    await studio.paint(painted, f"{name}-{space}-1", f"{name}-{space}-2")
    training = await studio.training(name, f"{name}-p1", f"{name}-p2", lora=lora, space=space)
    for step in (0, 100, 200):
        await studio.save(training, step, made=f"{name}-{step}")
    await studio.learn(training, 200, 100)
    me = await studio.person(name)
    await studio.write(pictures.toggle_star, (await studio.see(painted)).pictures[0].id, me, studio.now)
    await studio.write(uploads.record, me, Sha256(f"{name}-upload"), studio.now)
    return painted


async def uses(studio: Studio, name: str, sha256: str) -> JobId:
    """Somebody files a picture with a LoRA."""
    job = await studio.file(name)

    async def work(session: Any) -> None:
        row = await session.get_one(Job, studio.filed[job])
        use = {"name": "maria", "sha256": sha256, "weight": 1.0}
        row.request = {**row.request, "adapters": [use]}

    await studio.database.write(work)
    assert isinstance(request := (await studio.see(job)).request, Paint)
    assert request.adapters == (AdapterUse(name="maria", sha256=Sha256(sha256), weight=1.0),)
    return job


async def test_what_is_stored_about_somebody_is_counted(studio: Studio) -> None:
    await a_life(studio)
    await studio.file("bo")

    counts = await studio.read(privacy.count_stored, await studio.person("ana"))

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
    assert not (await studio.read(privacy.count_stored, await studio.person("cy"))).anything


async def test_of_a_forgotten_person_no_row_is_left(studio: Studio) -> None:
    await a_life(studio)
    await studio.file("ana")

    deletion = await forgets(studio)
    await cards_leave(studio)

    assert deletion.counts.prompts == 2
    assert await lets_go(studio)
    assert await rows(studio) == {"spaces": 1}


async def test_the_files_of_a_forgotten_person_are_told_and_needed_by_nothing(studio: Studio) -> None:
    await a_life(studio)

    deletion = await forgets(studio)

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
    assert set(await studio.read(pictures.find_unneeded, deletion.unneeded)) == set(deletion.unneeded)


async def test_what_others_need_too_stays(studio: Studio) -> None:
    await a_life(studio)
    theirs = await studio.file("bo")
    await studio.paint(theirs, "ana-general-1")

    deletion = await forgets(studio)

    assert "ana-general-1" not in await studio.read(pictures.find_unneeded, deletion.unneeded)
    assert [picture.sha256 for picture in (await studio.see(theirs)).pictures] == ["ana-general-1"]


async def test_words_and_names_go_at_once(studio: Studio) -> None:
    await studio.file("ana", prompt="a secret fox")
    await studio.training("ana", lora="secretive", trigger="secretword")
    await forgets(studio)

    async def texts(session: Any) -> str:
        results = [await session.execute(select(table)) for table in Table.metadata.sorted_tables]
        return str([row for result in results for row in result])

    deletion = await studio.read(texts)
    assert "secret" not in deletion
    assert "ana" not in deletion.lower()


async def test_what_they_used_today_is_known_until_tomorrow_where_there_are_limits(studio: Studio) -> None:
    general, ideas = await studio.space("general"), await studio.space("ideas")
    await studio.write(space_settings.set_limits, general, None, Limits(seconds=100))
    for space in ("general", "ideas"):
        await studio.paint(await studio.file(space=space), f"{space}-x1", seconds=30.0)

    await forgets(studio)

    assert await studio.read(standings) == [(general, "ana", 30.0)]
    await studio.write(purge.delete_old_usage, studio.now)
    assert await studio.read(standings) == [(general, "ana", 30.0)]
    await studio.write(purge.delete_old_usage, studio.now + 86400)
    assert await studio.read(standings) == []
    assert ideas != general


async def test_who_is_blocked_stays_blocked(studio: Studio) -> None:
    space = await studio.space()
    await studio.person("ana")
    await studio.write(space_settings.set_blocked, space, "ana", studio.now)

    await forgets(studio)
    await studio.write(purge.delete_old_usage, studio.now + 86400)

    assert await studio.read(space_settings.list_blocked, space) == {"ana"}


async def test_changes_stay_known_without_their_people(studio: Studio) -> None:
    ana, space = await studio.person("ana"), await studio.space()
    for subject in ("person ana", "job k3f9qa"):
        await studio.write(
            audit.record,
            space_id=space,
            person_id=ana,
            action="block",
            subject=subject,
            before=None,
            after={"name": "Ana"} if "ana" in subject else None,
            now=studio.now,
        )

    await forgets(studio)

    assert await studio.read(changes) == [
        (None, "block", "somebody", None),
        (None, "block", "job k3f9qa", None),
    ]


async def test_jobs_of_a_forgotten_person_never_run(studio: Studio) -> None:
    waiting, running, draft = await studio.file(), await studio.file(), await studio.draft()
    await studio.start(waiting)
    waiting, running = running, waiting

    deletion = await forgets(studio)

    assert set(deletion.stopped) == {running, draft}
    assert await studio.next() is None
    assert not await studio.end(running, "late")  # the engine was quicker
    assert {(await studio.see(job)).state for job in (waiting, running, draft)} == {"cancelled"}


async def test_rows_stay_until_the_card_has_left_and_the_engine_has_let_go(studio: Studio) -> None:
    job = await studio.file()
    await studio.write(jobs.mark_shown, studio.filed[job], (await studio.see(job)).revision, "m1")
    await studio.start(job)
    await forgets(studio)

    assert not await lets_go(studio)
    assert (await studio.see(job)).message == "m1"
    await cards_leave(studio)
    assert not await lets_go(studio, job)
    assert await lets_go(studio)
    assert await rows(studio) == {"spaces": 1}


async def test_somebody_who_comes_back_begins_anew(studio: Studio) -> None:
    job = await a_life(studio)
    before = await studio.person("ana")
    await forgets(studio)

    after = await studio.person("ana")

    assert after != before
    assert (await studio.see(job)).person_id == before
    assert not (await studio.read(privacy.count_stored, after)).anything
    assert await studio.loras() == []


async def test_stars_of_a_forgotten_person_leave_the_cards_of_others(studio: Studio) -> None:
    theirs = await studio.file("bo")
    await studio.paint(theirs, "x1")
    picture = (await studio.see(theirs)).pictures[0]
    await studio.write(pictures.toggle_star, picture.id, await studio.person("ana"), studio.now)
    await cards_leave(studio)

    deletion = await forgets(studio)

    seen = await studio.see(theirs)
    assert deletion.touched == (theirs,)
    assert seen.pictures[0].stars == 0
    assert seen.shown < seen.revision


async def test_a_deleted_lora_stays_in_the_store_while_a_job_paints_with_it(studio: Studio) -> None:
    await a_life(studio)
    (maria,) = await studio.loras()
    job = await uses(studio, "bo", maria.sha256)
    await studio.start(job)

    gone = await studio.write(adapters.delete, maria.id, studio.now)

    assert maria.sha256 not in gone
    await studio.end(job, "x1")
    assert await studio.read(pictures.find_unneeded, [maria.sha256]) == [maria.sha256]


async def test_the_same_when_its_owner_is_forgotten(studio: Studio) -> None:
    await a_life(studio)
    (maria,) = await studio.loras()
    job = await uses(studio, "bo", maria.sha256)

    deletion = await forgets(studio)
    await cards_leave(studio)

    assert maria.sha256 not in await studio.read(pictures.find_unneeded, deletion.unneeded)
    assert not await lets_go(studio)
    await studio.paint(job, "x1")
    await cards_leave(studio)
    assert await studio.read(pictures.find_unneeded, [maria.sha256]) == [maria.sha256]
    assert await lets_go(studio)


async def test_files_on_their_way_out_are_known_after_a_restart(studio: Studio) -> None:
    await a_life(studio)
    deletion = await forgets(studio)

    assert set(await studio.read(purge.files_to_go)) == set(deletion.unneeded)
    await lets_go(studio)
    assert await studio.read(purge.files_to_go) == []


async def test_a_forgotten_space_takes_all_with_it_but_what_is_elsewhere(studio: Studio) -> None:
    await a_life(studio, "ana", "general")
    await a_life(studio, "ana", "ideas", lora="eve")
    await a_life(studio, "bo", "general", lora="tom")
    await studio.file("ana", space="general")
    await studio.file("ana", space="ideas")

    deletion = await studio.write(privacy.forget_space, "local", "general", studio.now)
    await cards_leave(studio)

    assert deletion.counts.prompts == 3
    assert deletion.counts.adapters == 2
    assert await lets_go(studio)
    assert await studio.read(names, Space.key) == ["ideas"]
    assert await studio.read(names, Person.key) == ["ana"]
    assert [lora.name for lora in await studio.loras("ana", "ideas")] == ["eve"]
    assert (await studio.account("ana"))[1] == 1
    assert await studio.read(names, Upload.sha256) == ["ana-upload"]
    assert await studio.read(names, Adapter.name) == ["eve"]


async def test_cards_in_a_forgotten_space_are_not_taken_away_one_by_one(studio: Studio) -> None:
    job = await studio.file()
    await studio.write(jobs.mark_shown, studio.filed[job], 1, "m1")

    await studio.write(privacy.forget_space, "local", "general", studio.now)

    assert await studio.read(jobs.list_unshown, 10) == []


async def test_a_space_that_nobody_knows_is_forgotten_already(studio: Studio) -> None:
    deletion = await studio.write(privacy.forget_space, "local", "nowhere", studio.now)

    assert deletion == Deletion(counts=StoredCounts())
    assert await lets_go(studio)


async def standings(session: Any) -> list[tuple[int, str, float]]:
    rows = await session.execute(select(Member.space_id, Member.key, Member.seconds))
    return [tuple(row) for row in rows]


async def changes(session: Any) -> list[tuple[Any, ...]]:
    rows = await session.execute(select(Audit.person_id, Audit.action, Audit.subject, Audit.after))
    return [tuple(row) for row in rows]


async def names(session: Any, column: Any) -> list[str]:
    return list(await session.scalars(select(column).order_by(column)))
