"""Spaces, people, what they keep and what they used, on every database."""

import pytest
from sqlalchemy import select

from engine.messages import AdapterUse, JobId, Sha256
from storage import adapters, audit, people, pictures
from storage.tables import Adapter, Audit
from tests.storage.harness import StorageHarness


async def test_somebody_is_known_by_key_and_keeps_their_number_under_a_new_name(
    harness: StorageHarness,
) -> None:
    first = await harness.write(people.upsert_person, "local", "k1", "Ana")
    renamed = await harness.write(people.upsert_person, "local", "k1", "Ana Maria")
    elsewhere = await harness.write(people.upsert_person, "discord", "k1", "Ana")

    assert renamed.id == first.id
    assert renamed.name == "Ana Maria"
    assert elsewhere.id != first.id


async def test_a_space_is_known_by_key_and_chat(harness: StorageHarness) -> None:
    first = await harness.write(people.upsert_space, "local", "general", "general")

    assert await harness.read(people.find_space_id, "local", "general") == first.id
    assert await harness.read(people.find_space_id, "discord", "general") is None
    assert (await harness.write(people.upsert_space, "local", "general", "The hall")).id == first.id


async def test_nobody_is_made_by_asking(harness: StorageHarness) -> None:
    assert await harness.read(people.find_person, "local", "nobody") is None


async def test_settings_are_kept_as_they_were_written(harness: StorageHarness) -> None:
    ana = await harness.person("ana")

    await harness.write(people.save_settings, ana, {"size": "3:2", "steps": "20"})
    await harness.write(people.save_settings, ana, {"size": "1:1"})

    person = await harness.read(people.find_person, "local", "ana")
    assert person is not None
    assert person.settings == {"size": "1:1"}


async def paint(harness: StorageHarness, name: str, *shas: str, space: str = "general") -> JobId:
    job = await harness.file(name, space=space, prompt=f"{name}'s")
    await harness.paint(job, *shas)
    return job


async def stars(harness: StorageHarness, job: JobId) -> list[int]:
    return [picture.stars for picture in (await harness.see(job)).pictures]


async def test_a_star_is_given_and_taken_back(harness: StorageHarness) -> None:
    job = await paint(harness, "ana", "aa", "bb")
    bo, (first, _) = await harness.person("bo"), (await harness.see(job)).pictures

    assert await harness.write(pictures.toggle_star, first.id, bo, harness.now)
    assert await stars(harness, job) == [1, 0]
    assert not await harness.write(pictures.toggle_star, first.id, bo, harness.now)
    assert await stars(harness, job) == [0, 0]


async def test_my_gallery_has_my_pictures_the_newest_job_first(harness: StorageHarness) -> None:
    older = await paint(harness, "ana", "aa", "bb")
    await paint(harness, "bo", "cc")
    newer = await paint(harness, "ana", "dd", space="art")
    ana = await harness.person("ana")

    everything = await harness.read(pictures.gallery, ana, None, False, None, 10)
    here = await harness.read(pictures.gallery, ana, await harness.space("general"), False, None, 10)

    assert [(picture.job, picture.place, picture.space) for picture in everything] == [
        (newer, 1, "art"),
        (older, 1, "general"),
        (older, 2, "general"),
    ]
    assert [picture.sha256 for picture in here] == ["aa", "bb"]
    assert everything[0].prompt == "ana's"


async def test_a_gallery_is_read_page_by_page(harness: StorageHarness) -> None:
    for shas in (("aa", "bb"), ("cc",), ("dd", "ee")):
        await paint(harness, "ana", *shas)
    ana, read, before = await harness.person("ana"), [], None

    while page := await harness.read(pictures.gallery, ana, None, False, before, 2):
        read += [picture.sha256 for picture in page]
        before = page[-1].id

    assert read == ["dd", "ee", "cc", "aa", "bb"]


async def test_my_favourites_are_those_that_i_starred_whoever_made_them(harness: StorageHarness) -> None:
    job = await paint(harness, "ana", "aa", "bb")
    bo = await harness.person("bo")
    await harness.write(pictures.toggle_star, (await harness.see(job)).pictures[1].id, bo, harness.now)

    (starred,) = await harness.read(pictures.gallery, bo, None, True, None, 10)
    made = await harness.read(pictures.gallery, await harness.person("ana"), None, False, None, 10)

    assert (starred.sha256, starred.starred) == ("bb", True)
    assert [picture.starred for picture in made] == [False, False]


async def test_a_picture_is_found_by_job_and_place_in_its_own_space_alone(harness: StorageHarness) -> None:
    job = await paint(harness, "ana", "aa", "bb")

    picture = await harness.read(pictures.of_job, await harness.space("general"), job, 2)
    assert picture is not None
    assert picture.sha256 == "bb"
    assert await harness.read(pictures.of_job, await harness.space("art"), job, 2) is None
    assert await harness.read(pictures.of_job, await harness.space("general"), job, 3) is None


async def test_a_lora_is_remembered_once_under_each_name(harness: StorageHarness) -> None:
    for name in ("ink", "ink", "pen"):
        use = AdapterUse(name=name, sha256=Sha256("ab" * 32))
        await harness.write(adapters.count_use, use, harness.now)

    async with harness.database.reading() as session:
        names = list(await session.scalars(select(Adapter.name).order_by(Adapter.name)))
    assert names == ["ink", "pen"]
    assert await harness.read(pictures.find_unneeded, [Sha256("ab" * 32), Sha256("cd")]) == ["cd"]


@pytest.mark.parametrize(("before", "after"), [({"state": "queued"}, {"state": "cancelled"}), (None, None)])
async def test_what_was_not_theirs_alone_to_change_is_noted(
    harness: StorageHarness, before: dict[str, str] | None, after: dict[str, str] | None
) -> None:
    ana = await harness.person("ana")

    await harness.write(
        audit.record,
        space_id=await harness.space(),
        person_id=ana,
        action="stop",
        subject="k3f9qa",
        before=before,
        after=after,
        now=harness.now,
    )

    async with harness.database.reading() as session:
        (noted,) = await session.scalars(select(Audit))
    assert (noted.person_id, noted.action, noted.subject) == (ana, "stop", "k3f9qa")
    assert (noted.before, noted.after, noted.at) == (before, after, harness.now)
