"""Trainings are drafts first, wait in a line of their own, keep what they saved, and end in a LoRA."""

import pytest

from engine.messages import AdapterUse, Sha256, Train
from storage import adapters, jobs, pictures, trainings, uploads
from storage.curves import downsample
from storage.training_views import TrainingView
from tests.storage.harness import LEASE, Studio


async def view_of(studio: Studio, job: str) -> TrainingView:
    training = (await studio.see(job)).training  # type: ignore[arg-type]
    assert training is not None
    return training


async def test_a_draft_waits_for_nobody_and_blocks_nobody(studio: Studio) -> None:
    draft = await studio.draft("ana")

    view = await studio.see(draft)
    assert (view.kind, view.state) == ("train", "draft")
    assert isinstance(view.request, Train)
    assert view.request.phrase == "ohwx woman"
    assert [row.id for row in await studio.read(trainings.drafts_without_report)] == [draft]
    assert (await studio.account("ana"))[1] == 0
    assert (await studio.next(), await studio.read(jobs.next_training)) == (None, None)
    assert not await studio.start(draft)


async def test_a_draft_becomes_queued_once(studio: Studio) -> None:
    draft = await studio.draft()

    assert await studio.write(jobs.enqueue, studio.filed[draft], studio.now)
    assert not await studio.write(jobs.enqueue, studio.filed[draft], studio.now)

    assert (await studio.see(draft)).state == "queued"
    assert await studio.read(trainings.drafts_without_report) == []


async def test_the_report_is_on_the_card(studio: Studio) -> None:
    draft = await studio.draft("ana", "p1", "p2", "p3")
    before = await studio.see(draft)
    assert before.training is not None
    assert (before.training.reported, before.training.usable) == (False, False)

    assert await studio.report(draft, "sheet") == []

    after = await studio.see(draft)
    training = await view_of(studio, draft)
    assert after.revision > before.revision
    assert (training.pictures, training.sheet, training.problems) == (3, "sheet", ("few.",))
    assert (training.estimate_steps, training.estimate_seconds) == (500, 60.0)
    (note,) = training.notes
    assert (note.crop, note.size, note.problems, note.used) == (
        (1, 0, 8, 8),
        (8, 8),
        ("it is blurred.",),
        True,
    )
    assert (training.reported, training.usable) == (True, True)
    assert await studio.read(trainings.drafts_without_report) == []


async def test_a_report_that_comes_after_the_draft_was_deleted_leaves_nothing(studio: Studio) -> None:
    draft = await studio.draft()
    await studio.write(jobs.delete, studio.filed[draft], studio.now)

    assert await studio.report(draft, "sheet") == ["sheet"]
    assert (await studio.see(draft)).training is None


async def test_trainings_wait_in_a_line_of_their_own(studio: Studio) -> None:
    drafts = [await studio.draft(name, lora=f"{name}-{turn}") for turn in (1, 2) for name in ("ana", "bo")]
    for draft in drafts:
        await studio.write(jobs.enqueue, studio.filed[draft], studio.now)
    picture = await studio.file("ana")

    assert await studio.next() == picture
    assert [job for job, _ in await studio.read(jobs.positions)] == [picture]
    assert await studio.read(jobs.count_queued) == 1
    assert (await studio.account("ana"))[1] == 1
    assert await studio.read(jobs.training_positions) == [
        (drafts[0], 1),
        (drafts[2], 2),
        (drafts[1], 3),
        (drafts[3], 4),
    ]


async def test_who_used_the_engine_less_trains_first_and_a_training_counts_as_use(studio: Studio) -> None:
    first, second = await studio.draft("ana", lora="one"), await studio.draft("ana", lora="two")
    other = await studio.draft("bo", lora="three")
    for draft in (first, second, other):
        await studio.write(jobs.enqueue, studio.filed[draft], studio.now)

    await studio.start(first, expected=100.0)

    following = await studio.read(jobs.next_training)
    assert following is not None
    assert following.id == other
    assert await studio.account("ana") > (0.0, 0)


async def test_a_training_that_is_put_back_is_in_no_line_of_pictures(studio: Studio) -> None:
    job = await studio.training()

    await studio.write(jobs.requeue, studio.filed[job], studio.now)

    assert await studio.next() is None
    assert (await studio.account("ana"))[1] == 0
    assert await studio.read(jobs.training_positions) == [(job, 1)]


async def test_a_checkpoint_takes_the_place_of_the_state_before(studio: Studio) -> None:
    job = await studio.training()

    assert await studio.save(job, 0) == []
    assert await studio.save(job, 100, made="a") == []
    assert await studio.save(job, 200, made="b") == ["state-a"]

    training = await view_of(studio, job)
    assert await studio.read(trainings.newest_state, studio.filed[job]) == "state-b"
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
    studio: Studio,
) -> None:
    job = await studio.training()
    await studio.save(job, 100, made="a")
    await studio.save(job, 200, made="b")

    gone = await studio.save(job, 200, made="c")

    assert sorted(gone) == ["lora-b", "sample-b-1", "sample-b-2", "state-b"]
    training = await view_of(studio, job)
    assert [checkpoint.sha256 for checkpoint in training.checkpoints] == ["lora-a", "lora-c"]
    assert [step for step, _ in training.losses] == list(range(1, 201))


async def test_what_is_saved_again_unchanged_stays(studio: Studio) -> None:
    job = await studio.training()
    await studio.save(job, 100, made="a")

    assert await studio.save(job, 100, made="a") == []


async def test_the_best_checkpoint_becomes_its_persons_lora(studio: Studio) -> None:
    job = await studio.training("ana")
    for step in (0, 100, 200, 300):
        await studio.save(job, step, made=str(step), validation=1 / (step + 1))

    gone = await studio.learn(job, 200, 300, tokens=2)

    assert sorted(gone) == ["lora-100", "sample-100-1", "sample-100-2", "state-300"]
    (lora,) = await studio.loras("ana")
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
    training = await view_of(studio, job)
    assert (training.best, training.chosen, training.note, training.adapter) == (200, 200, "early.", "maria")
    assert [
        (checkpoint.step, checkpoint.place, checkpoint.validation) for checkpoint in training.checkpoints
    ] == [
        (0, 0, None),
        (100, 0, 1 / 101),
        (200, 1, 1 / 201),
        (300, 2, 1 / 301),
    ]


async def test_another_checkpoint_can_be_chosen(studio: Studio) -> None:
    job = await studio.training()
    for step in (100, 200):
        await studio.save(job, step, made=str(step))
    await studio.learn(job, 100, 200)
    before = await studio.see(job)

    await studio.write(trainings.choose, studio.filed[job], 200)

    (lora,) = await studio.loras()
    assert (lora.sha256, lora.thumbnail) == ("lora-200", "sample-200-1")
    training = await view_of(studio, job)
    assert (training.best, training.chosen) == (100, 200)
    assert (await studio.see(job)).revision > before.revision
    assert await studio.read(pictures.find_unneeded, [Sha256("lora-100")]) == []


async def test_a_name_that_was_taken_meanwhile_is_numbered(studio: Studio) -> None:
    for _ in range(3):
        job = await studio.training("ana")
        await studio.save(job, 100)
        await studio.learn(job, 100)

    assert [lora.name for lora in await studio.loras()] == ["maria-3", "maria-2", "maria"]


@pytest.mark.parametrize("state", ["cancelled", "failed"])
async def test_a_training_that_ended_badly_keeps_its_curve_and_samples_alone(
    studio: Studio, state: str
) -> None:
    job = await studio.training()
    await studio.save(job, 100, made="a")

    await studio.write(jobs.finish, studio.filed[job], state=state, seconds=5.0, now=studio.now)

    files = ["lora-a", "state-a", "sample-a-1", "p1", "sheet"]
    assert await studio.read(pictures.find_unneeded, [Sha256(file) for file in files]) == [
        "lora-a",
        "state-a",
    ]
    training = await view_of(studio, job)
    assert (len(training.losses), training.checkpoints[0].samples) == (100, ("sample-a-1", "sample-a-2"))
    assert await studio.read(trainings.newest_state, studio.filed[job]) is None
    assert await studio.loras() == []


async def test_a_deletion_during_the_run_takes_everything_and_what_comes_after_leaves_nothing(
    studio: Studio,
) -> None:
    job = await studio.training("ana", "p1", "p2")
    await studio.save(job, 100, made="a")

    gone = await studio.write(jobs.delete, studio.filed[job], studio.now)

    assert sorted(gone) == ["lora-a", "p1", "p2", "sample-a-1", "sample-a-2", "sheet", "state-a"]
    view = await studio.see(job)
    assert (view.state, view.deleted, view.request, view.training) == ("cancelled", True, None, None)
    assert sorted(await studio.save(job, 200, made="b")) == [
        *("lora-b", "sample-b-1", "sample-b-2", "state-b"),
    ]
    assert await studio.learn(job, 100) == []
    assert await studio.loras() == []
    assert await studio.read(jobs.list_running) == []


async def test_a_deleted_training_leaves_its_lora(studio: Studio) -> None:
    job = await studio.training("ana", "p1")
    for step in (100, 200):
        await studio.save(job, step, made=str(step))
    await studio.learn(job, 100, 200)

    gone = await studio.write(jobs.delete, studio.filed[job], studio.now)

    assert sorted(gone) == ["lora-200", "p1", "sample-100-2", "sample-200-1", "sample-200-2", "sheet"]
    (lora,) = await studio.loras()
    assert (lora.sha256, lora.thumbnail, lora.job) == ("lora-100", "sample-100-1", None)
    assert lora.info["losses"]


async def test_a_deleted_lora_takes_all_checkpoints_and_leaves_the_training(studio: Studio) -> None:
    job = await studio.training()
    for step in (100, 200):
        await studio.save(job, step, made=str(step))
    await studio.learn(job, 100, 200)
    (lora,) = await studio.loras()

    gone = await studio.write(adapters.delete, lora.id, studio.now)

    assert sorted(gone) == ["lora-100", "lora-200"]
    assert await studio.loras() == []
    training = await view_of(studio, job)
    assert (training.adapter, [checkpoint.place for checkpoint in training.checkpoints]) == (None, [0, 0])
    assert training.checkpoints[0].samples


async def test_a_lora_is_used_by_whom_its_owner_lets(studio: Studio) -> None:
    job = await studio.training("ana", space="general")
    await studio.save(job, 100, made="a")
    await studio.learn(job, 100)
    (lora,) = await studio.loras("ana")

    async def who() -> set[tuple[str, str]]:
        return {
            (name, space)
            for name in ("ana", "bo")
            for space in ("general", "art")
            if await studio.loras(name, space)
        }

    assert await who() == {("ana", "general")}
    await studio.write(adapters.share, lora.id, "space")
    assert await who() == {("ana", "general"), ("bo", "general")}
    await studio.write(adapters.share, lora.id, "everybody")
    assert await who() == {(name, space) for name in ("ana", "bo") for space in ("general", "art")}


async def test_a_lora_of_the_space_hides_another_of_its_name_from_elsewhere(studio: Studio) -> None:
    for space, made in (("art", "far"), ("general", "near")):
        job = await studio.training("ana", space=space)
        await studio.save(job, 100, made=made)
        await studio.learn(job, 100)
        (mine,) = [lora for lora in await studio.loras("ana", space) if lora.job == job]
        await studio.write(adapters.share, mine.id, "everybody")

    named = await studio.read(
        adapters.find_usable, await studio.space("general"), await studio.person("bo"), "maria"
    )

    assert named is not None
    assert (named.sha256, len(await studio.loras("bo", "general"))) == ("lora-near", 1)
    elsewhere = await studio.loras("bo", "hall")
    assert [lora.sha256 for lora in elsewhere] == ["lora-near"]


async def test_names_and_triggers_are_taken_as_long_as_a_lora_or_a_training_has_them(studio: Studio) -> None:
    space = await studio.space()

    async def names_in_use() -> tuple[bool, set[str]]:
        return (
            await studio.read(adapters.is_name_taken, space, "maria"),
            await studio.read(adapters.triggers, space),
        )

    assert await names_in_use() == (False, set())
    job = await studio.training()
    assert await names_in_use() == (True, {"ohwx"})
    await studio.save(job, 100)
    await studio.learn(job, 100)
    assert await names_in_use() == (True, {"ohwx"})
    (lora,) = await studio.loras()
    await studio.write(adapters.rename, lora.id, "mia")
    assert await names_in_use() == (False, {"ohwx"})
    assert (await view_of(studio, job)).adapter == "mia"
    await studio.write(adapters.delete, lora.id, studio.now)
    assert await names_in_use() == (False, set())
    assert not await studio.read(adapters.is_name_taken, await studio.space("art"), "maria")


async def test_a_lora_is_barred_from_whom_it_is_not_shared_with_and_from_all_once_deleted(
    studio: Studio,
) -> None:
    job = await studio.training("ana")
    await studio.save(job, 100, made="a")
    await studio.learn(job, 100)
    (lora,) = await studio.loras("ana")
    hashes = [lora.sha256, Sha256("a folder's")]
    await studio.write(adapters.count_use, AdapterUse(name="maria", sha256=lora.sha256), studio.now)
    await studio.write(adapters.count_use, AdapterUse(name="ink", sha256=hashes[1]), studio.now)

    async def forbidden(name: str) -> list[str]:
        here = (await studio.space(), await studio.person(name))
        return await studio.read(adapters.forbidden_names, *here, hashes)

    assert (await forbidden("ana"), await forbidden("bo")) == ([], ["maria"])
    assert (await studio.loras("ana"))[0].uses == 1
    await studio.write(adapters.delete, lora.id, studio.now)
    assert await forbidden("ana") == ["maria"]


async def test_pictures_that_were_sent_are_their_senders_until_they_are_old(studio: Studio) -> None:
    ana, bo = await studio.person("ana"), await studio.person("bo")
    sent = [Sha256("u1"), Sha256("u2"), Sha256("u3")]
    for sha256 in sent:
        await studio.write(uploads.record, ana, sha256, studio.now)
    await studio.write(uploads.record, bo, sent[0], studio.now)
    await studio.draft("ana", "u2")

    assert await studio.read(uploads.own, ana, sent) == set(sent)
    assert await studio.read(uploads.own, bo, sent) == {"u1"}
    await studio.write(uploads.record, bo, sent[0], studio.now + 100)

    assert await studio.write(uploads.delete_old, studio.now + 50) == ["u3"]

    assert await studio.read(uploads.own, ana, sent) == {"u2"}
    assert await studio.read(uploads.own, bo, sent) == {"u1"}


async def test_thousands_of_files_are_asked_about_at_once(studio: Studio) -> None:
    job = await studio.draft("ana", "p1")
    asked = [Sha256(f"x{number}") for number in range(4_000)]

    assert await studio.read(pictures.find_unneeded, [*asked, Sha256("p1")]) == asked
    assert (await studio.see(job)).state == "draft"


async def test_a_running_training_is_rescued_like_any_job(studio: Studio) -> None:
    job = await studio.training()
    studio.now += LEASE + 1

    assert [row.id for row in await studio.read(jobs.list_expired, studio.now)] == [job]
    await studio.write(jobs.heartbeat, {studio.filed[job]: (7, 500)}, studio.now + LEASE)
    assert (await studio.see(job)).step == 7
    assert await studio.read(jobs.list_expired, studio.now) == []


async def test_my_trainings_are_those_of_this_space_the_newest_first(studio: Studio) -> None:
    filed = [await studio.draft("ana", lora=f"l{number}") for number in range(3)]
    await studio.draft("ana", space="art")
    await studio.draft("bo", lora="bos")
    await studio.write(jobs.delete, studio.filed[filed[1]], studio.now)
    ana = await studio.person("ana")

    assert await studio.read(trainings.list_of_person, await studio.space(), ana, 10) == [filed[2], filed[0]]
    assert await studio.read(trainings.count_open, ana) == 3


@pytest.mark.parametrize(("count", "points"), [(0, 0), (1, 1), (300, 300), (301, 151), (20_000, 299)])
def test_a_long_curve_is_thinned_to_its_means(count: int, points: int) -> None:
    losses = [float(step) for step in range(1, count + 1)]

    curve = downsample(losses)

    assert len(curve) == points
    if count:
        assert curve[-1][0] == count
        stride = curve[0][0]
        assert curve[0][1] == (1 + stride) / 2
