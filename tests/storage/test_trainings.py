"""Trainings are drafts first, wait in a line of their own, keep what they saved, and end in a LoRA."""

import pytest

from engine.messages import AdapterUse, Sha256, Train
from storage import adapters, jobs, pictures, trainings, uploads
from storage.curves import downsample
from storage.training_views import TrainingView
from tests.storage.harness import LEASE, StorageHarness


async def view_of(harness: StorageHarness, job: str) -> TrainingView:
    training = (await harness.see(job)).training  # type: ignore[arg-type]
    assert training is not None
    return training


async def test_a_draft_waits_for_nobody_and_blocks_nobody(harness: StorageHarness) -> None:
    draft = await harness.draft("ana")

    view = await harness.see(draft)
    assert (view.kind, view.state) == ("train", "draft")
    assert isinstance(view.request, Train)
    assert view.request.phrase == "ohwx woman"
    assert [row.id for row in await harness.read(trainings.drafts_without_report)] == [draft]
    assert (await harness.account("ana"))[1] == 0
    assert (await harness.next(), await harness.read(jobs.next_training)) == (None, None)
    assert not await harness.start(draft)


async def test_a_draft_becomes_queued_once(harness: StorageHarness) -> None:
    draft = await harness.draft()

    assert await harness.write(jobs.enqueue, harness.filed[draft], harness.now)
    assert not await harness.write(jobs.enqueue, harness.filed[draft], harness.now)

    assert (await harness.see(draft)).state == "queued"
    assert await harness.read(trainings.drafts_without_report) == []


async def test_the_report_is_on_the_card(harness: StorageHarness) -> None:
    draft = await harness.draft("ana", "p1", "p2", "p3")
    before = await harness.see(draft)
    assert before.training is not None
    assert (before.training.reported, before.training.usable) == (False, False)

    assert await harness.report(draft, "sheet") == []

    after = await harness.see(draft)
    training = await view_of(harness, draft)
    assert after.revision > before.revision
    assert (training.pictures, training.sheet, training.problems) == (3, "sheet", ("few.",))
    assert (training.estimate_steps, training.estimate_seconds) == (500, 60.0)
    (note,) = training.notes
    assert (note.crop, note.size, note.problems, note.used) == (
        (1, 0, 8, 8),
        (8, 8),
        ("It is blurred.",),
        True,
    )
    assert (training.reported, training.usable) == (True, True)
    assert await harness.read(trainings.drafts_without_report) == []


async def test_a_report_that_comes_after_the_draft_was_deleted_leaves_nothing(
    harness: StorageHarness,
) -> None:
    draft = await harness.draft()
    await harness.write(jobs.delete, harness.filed[draft], harness.now)

    assert await harness.report(draft, "sheet") == ["sheet"]
    assert (await harness.see(draft)).training is None


async def test_trainings_wait_in_a_line_of_their_own(harness: StorageHarness) -> None:
    drafts = [await harness.draft(name, lora=f"{name}-{turn}") for turn in (1, 2) for name in ("ana", "bo")]
    for draft in drafts:
        await harness.write(jobs.enqueue, harness.filed[draft], harness.now)
    picture = await harness.file("ana")

    assert await harness.next() == picture
    assert [job for job, _ in await harness.read(jobs.positions)] == [picture]
    assert await harness.read(jobs.count_queued) == 1
    assert (await harness.account("ana"))[1] == 1
    assert await harness.read(jobs.training_positions) == [
        (drafts[0], 1),
        (drafts[2], 2),
        (drafts[1], 3),
        (drafts[3], 4),
    ]


async def test_who_used_the_engine_less_trains_first_and_a_training_counts_as_use(
    harness: StorageHarness,
) -> None:
    first, second = await harness.draft("ana", lora="one"), await harness.draft("ana", lora="two")
    other = await harness.draft("bo", lora="three")
    for draft in (first, second, other):
        await harness.write(jobs.enqueue, harness.filed[draft], harness.now)

    await harness.start(first, expected=100.0)

    following = await harness.read(jobs.next_training)
    assert following is not None
    assert following.id == other
    assert await harness.account("ana") > (0.0, 0)


async def test_a_training_that_is_put_back_is_in_no_line_of_pictures(harness: StorageHarness) -> None:
    job = await harness.training()

    await harness.write(jobs.requeue, harness.filed[job], harness.now)

    assert await harness.next() is None
    assert (await harness.account("ana"))[1] == 0
    assert await harness.read(jobs.training_positions) == [(job, 1)]


async def test_a_checkpoint_takes_the_place_of_the_state_before(harness: StorageHarness) -> None:
    job = await harness.training()

    assert await harness.save(job, 0) == []
    assert await harness.save(job, 100, made="a") == []
    assert await harness.save(job, 200, made="b") == ["state-a"]

    training = await view_of(harness, job)
    assert await harness.read(trainings.newest_state, harness.filed[job]) == "state-b"
    assert [
        (checkpoint.step, checkpoint.sha256, checkpoint.validation) for checkpoint in training.checkpoints
    ] == [
        (0, None, None),
        (100, "lora-a", 0.5),
        (200, "lora-b", 0.5),
    ]
    assert training.checkpoints[2].samples == ("sample-b-1", "sample-b-2")
    assert training.losses == tuple((step, 1 / step) for step in range(1, 201))


async def test_a_checkpoint_that_is_told_again_after_a_death_takes_the_place_of_the_first(
    harness: StorageHarness,
) -> None:
    job = await harness.training()
    await harness.save(job, 100, made="a")
    await harness.save(job, 200, made="b")

    gone = await harness.save(job, 200, made="c")

    assert sorted(gone) == ["lora-b", "sample-b-1", "sample-b-2", "state-b"]
    training = await view_of(harness, job)
    assert [checkpoint.sha256 for checkpoint in training.checkpoints] == ["lora-a", "lora-c"]
    assert [step for step, _ in training.losses] == list(range(1, 201))


async def test_what_is_saved_again_unchanged_stays(harness: StorageHarness) -> None:
    job = await harness.training()
    await harness.save(job, 100, made="a")

    assert await harness.save(job, 100, made="a") == []


async def test_the_best_checkpoint_becomes_its_persons_lora(harness: StorageHarness) -> None:
    job = await harness.training("ana")
    for step in (0, 100, 200, 300):
        await harness.save(job, step, made=str(step), validation=1 / (step + 1))

    gone = await harness.learn(job, 200, 300, tokens=2)

    assert sorted(gone) == ["lora-100", "sample-100-1", "sample-100-2", "state-300"]
    (lora,) = await harness.loras("ana")
    assert (lora.name, lora.sha256, lora.thumbnail, lora.access) == (
        "maria",
        "lora-200",
        "sample-200-1",
        "me",
    )
    assert (lora.phrase, lora.trigger, lora.preset, lora.tokens) == ("ohwx woman", "ohwx", "face", 2)
    assert (lora.person, lora.job, lora.hint, lora.uses) == ("Ana", job, 1.0, 0)
    assert lora.info["pictures"] == 2
    assert lora.info["settings"]["rank"] == 16
    assert lora.info["losses"][-1] == [300, 1 / 300]
    assert lora.info["validation"] == [[step, 1 / (step + 1)] for step in (100, 200, 300)]
    training = await view_of(harness, job)
    assert (training.best, training.chosen, training.note, training.adapter) == (200, 200, "early.", "maria")
    assert [
        (checkpoint.step, checkpoint.place, checkpoint.validation) for checkpoint in training.checkpoints
    ] == [
        (0, 0, None),
        (100, 0, 1 / 101),
        (200, 1, 1 / 201),
        (300, 2, 1 / 301),
    ]


async def test_another_checkpoint_can_be_chosen(harness: StorageHarness) -> None:
    job = await harness.training()
    for step in (100, 200):
        await harness.save(job, step, made=str(step))
    await harness.learn(job, 100, 200)
    before = await harness.see(job)

    await harness.write(trainings.choose, harness.filed[job], 200)

    (lora,) = await harness.loras()
    assert (lora.sha256, lora.thumbnail) == ("lora-200", "sample-200-1")
    training = await view_of(harness, job)
    assert (training.best, training.chosen) == (100, 200)
    assert (await harness.see(job)).revision > before.revision
    assert await harness.read(pictures.find_unneeded, [Sha256("lora-100")]) == []


async def test_a_name_that_was_taken_meanwhile_is_numbered(harness: StorageHarness) -> None:
    for _ in range(3):
        job = await harness.training("ana")
        await harness.save(job, 100)
        await harness.learn(job, 100)

    assert [lora.name for lora in await harness.loras()] == ["maria-3", "maria-2", "maria"]


@pytest.mark.parametrize("state", ["cancelled", "failed"])
async def test_a_training_that_ended_badly_keeps_its_curve_and_samples_alone(
    harness: StorageHarness, state: str
) -> None:
    job = await harness.training()
    await harness.save(job, 100, made="a")

    await harness.write(jobs.finish, harness.filed[job], state=state, seconds=5.0, now=harness.now)

    files = ["lora-a", "state-a", "sample-a-1", "p1", "sheet"]
    assert await harness.read(pictures.find_unneeded, [Sha256(file) for file in files]) == [
        "lora-a",
        "state-a",
    ]
    training = await view_of(harness, job)
    assert (len(training.losses), training.checkpoints[0].samples) == (100, ("sample-a-1", "sample-a-2"))
    assert await harness.read(trainings.newest_state, harness.filed[job]) is None
    assert await harness.loras() == []


async def test_a_deletion_during_the_run_takes_everything_and_what_comes_after_leaves_nothing(
    harness: StorageHarness,
) -> None:
    job = await harness.training("ana", "p1", "p2")
    await harness.save(job, 100, made="a")

    gone = await harness.write(jobs.delete, harness.filed[job], harness.now)

    assert sorted(gone) == ["lora-a", "p1", "p2", "sample-a-1", "sample-a-2", "sheet", "state-a"]
    view = await harness.see(job)
    assert (view.state, view.deleted, view.request, view.training) == ("cancelled", True, None, None)
    assert sorted(await harness.save(job, 200, made="b")) == [
        *("lora-b", "sample-b-1", "sample-b-2", "state-b"),
    ]
    assert await harness.learn(job, 100) == []
    assert await harness.loras() == []
    assert await harness.read(jobs.list_running) == []


async def test_a_deleted_training_leaves_its_lora(harness: StorageHarness) -> None:
    job = await harness.training("ana", "p1")
    for step in (100, 200):
        await harness.save(job, step, made=str(step))
    await harness.learn(job, 100, 200)

    gone = await harness.write(jobs.delete, harness.filed[job], harness.now)

    assert sorted(gone) == ["lora-200", "p1", "sample-100-2", "sample-200-1", "sample-200-2", "sheet"]
    (lora,) = await harness.loras()
    assert (lora.sha256, lora.thumbnail, lora.job) == ("lora-100", "sample-100-1", None)
    assert lora.info["losses"]


async def test_a_mask_stays_and_goes_with_its_training(harness: StorageHarness) -> None:
    job = await harness.draft("ana", "p1", "p1-mask")
    ana = await harness.person("ana")

    assert await harness.read(uploads.own, ana, [Sha256("p1-mask")]) == {"p1-mask"}
    assert sorted(await harness.write(jobs.delete, harness.filed[job], harness.now)) == ["p1", "p1-mask"]


async def test_a_deleted_lora_takes_all_checkpoints_and_leaves_the_training(harness: StorageHarness) -> None:
    job = await harness.training()
    for step in (100, 200):
        await harness.save(job, step, made=str(step))
    await harness.learn(job, 100, 200)
    (lora,) = await harness.loras()

    gone = await harness.write(adapters.delete, lora.id, harness.now)

    assert sorted(gone) == ["lora-100", "lora-200"]
    assert await harness.loras() == []
    training = await view_of(harness, job)
    assert (training.adapter, [checkpoint.place for checkpoint in training.checkpoints]) == (None, [0, 0])
    assert training.checkpoints[0].samples


async def test_a_lora_is_used_by_whom_its_owner_lets(harness: StorageHarness) -> None:
    job = await harness.training("ana", space="general")
    await harness.save(job, 100, made="a")
    await harness.learn(job, 100)
    (lora,) = await harness.loras("ana")

    async def who() -> set[tuple[str, str]]:
        return {
            (name, space)
            for name in ("ana", "bo")
            for space in ("general", "art")
            if await harness.loras(name, space)
        }

    assert await who() == {("ana", "general")}
    await harness.write(adapters.share, lora.id, "space")
    assert await who() == {("ana", "general"), ("bo", "general")}
    await harness.write(adapters.share, lora.id, "everybody")
    assert await who() == {(name, space) for name in ("ana", "bo") for space in ("general", "art")}


async def test_a_lora_of_the_space_hides_another_of_its_name_from_elsewhere(harness: StorageHarness) -> None:
    for space, made in (("art", "far"), ("general", "near")):
        job = await harness.training("ana", space=space)
        await harness.save(job, 100, made=made)
        await harness.learn(job, 100)
        (mine,) = [lora for lora in await harness.loras("ana", space) if lora.job == job]
        await harness.write(adapters.share, mine.id, "everybody")

    named = await harness.read(
        adapters.find_usable, await harness.space("general"), await harness.person("bo"), "maria"
    )

    assert named is not None
    assert (named.sha256, len(await harness.loras("bo", "general"))) == ("lora-near", 1)
    elsewhere = await harness.loras("bo", "hall")
    assert [lora.sha256 for lora in elsewhere] == ["lora-near"]


async def test_names_and_triggers_are_taken_as_long_as_a_lora_or_a_training_has_them(
    harness: StorageHarness,
) -> None:
    space = await harness.space()

    async def names_in_use() -> tuple[bool, set[str]]:
        return (
            await harness.read(adapters.is_name_taken, space, "maria"),
            await harness.read(adapters.triggers, space),
        )

    assert await names_in_use() == (False, set())
    job = await harness.training()
    assert await names_in_use() == (True, {"ohwx"})
    await harness.save(job, 100)
    await harness.learn(job, 100)
    assert await names_in_use() == (True, {"ohwx"})
    (lora,) = await harness.loras()
    await harness.write(adapters.rename, lora.id, "mia")
    assert await names_in_use() == (False, {"ohwx"})
    assert (await view_of(harness, job)).adapter == "mia"
    await harness.write(adapters.delete, lora.id, harness.now)
    assert await names_in_use() == (False, set())
    assert not await harness.read(adapters.is_name_taken, await harness.space("art"), "maria")


async def test_a_lora_is_barred_from_whom_it_is_not_shared_with_and_from_all_once_deleted(
    harness: StorageHarness,
) -> None:
    job = await harness.training("ana")
    await harness.save(job, 100, made="a")
    await harness.learn(job, 100)
    (lora,) = await harness.loras("ana")
    hashes = [lora.sha256, Sha256("a folder's")]
    await harness.write(adapters.count_use, AdapterUse(name="maria", sha256=lora.sha256), harness.now)
    await harness.write(adapters.count_use, AdapterUse(name="ink", sha256=hashes[1]), harness.now)

    async def forbidden(name: str) -> list[str]:
        here = (await harness.space(), await harness.person(name))
        return await harness.read(adapters.forbidden_names, *here, hashes)

    assert (await forbidden("ana"), await forbidden("bo")) == ([], ["maria"])
    assert (await harness.loras("ana"))[0].uses == 1
    await harness.write(adapters.delete, lora.id, harness.now)
    assert await forbidden("ana") == ["maria"]


async def test_pictures_that_were_sent_are_their_senders_until_they_are_old(harness: StorageHarness) -> None:
    ana, bo = await harness.person("ana"), await harness.person("bo")
    sent = [Sha256("u1"), Sha256("u2"), Sha256("u3")]
    for sha256 in sent:
        await harness.write(uploads.record, ana, [sha256], harness.now)
    await harness.write(uploads.record, bo, [sent[0]], harness.now)
    await harness.draft("ana", "u2")

    assert await harness.read(uploads.own, ana, sent) == set(sent)
    assert await harness.read(uploads.own, bo, sent) == {"u1"}
    await harness.write(uploads.record, bo, [sent[0]], harness.now + 100)

    assert await harness.write(uploads.delete_old, harness.now + 50) == ["u3"]

    assert await harness.read(uploads.own, ana, sent) == {"u2"}
    assert await harness.read(uploads.own, bo, sent) == {"u1"}


async def test_thousands_of_files_are_asked_about_at_once(harness: StorageHarness) -> None:
    job = await harness.draft("ana", "p1")
    asked = [Sha256(f"x{number}") for number in range(4_000)]

    assert await harness.read(pictures.find_unneeded, [*asked, Sha256("p1")]) == asked
    assert (await harness.see(job)).state == "draft"


async def test_a_running_training_is_rescued_like_any_job(harness: StorageHarness) -> None:
    job = await harness.training()
    harness.now += LEASE + 1

    assert [row.id for row in await harness.read(jobs.list_expired, harness.now)] == [job]
    await harness.write(jobs.heartbeat, {harness.filed[job]: (7, 500)}, harness.now + LEASE)
    assert (await harness.see(job)).step == 7
    assert await harness.read(jobs.list_expired, harness.now) == []


async def test_my_trainings_are_those_of_this_space_the_newest_first(harness: StorageHarness) -> None:
    filed = [await harness.draft("ana", lora=f"l{number}") for number in range(3)]
    await harness.draft("ana", space="art")
    await harness.draft("bo", lora="bos")
    await harness.write(jobs.delete, harness.filed[filed[1]], harness.now)
    ana = await harness.person("ana")

    assert await harness.read(trainings.list_of_person, await harness.space(), ana, 10) == [
        filed[2],
        filed[0],
    ]
    assert await harness.read(trainings.count_open, ana) == 3


@pytest.mark.parametrize(("count", "points"), [(0, 0), (1, 1), (300, 300), (301, 151), (20_000, 299)])
def test_a_long_curve_is_thinned_to_its_means(count: int, points: int) -> None:
    losses = [float(step) for step in range(1, count + 1)]

    curve = downsample(losses)

    assert len(curve) == points
    if count:
        assert curve[-1][0] == count
        stride = curve[0][0]
        assert curve[0][1] == (1 + stride) / 2
