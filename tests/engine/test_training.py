"""A training seen from outside: what every option does, what is told, and what goes wrong in a sentence."""

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.lora.safetensors_file import read_header
from engine.messages import (
    AdapterUse,
    Cancel,
    Cancelled,
    CheckpointSaved,
    EngineSettings,
    Event,
    FileStore,
    Idle,
    Inspect,
    Inspected,
    JobId,
    Optimizer,
    Prior,
    Schedule,
    Sha256,
    StepStarted,
    StopTraining,
    TrainingPrecision,
    TrainingProgress,
)
from engine.sdxl.model import Model
from engine.studio import Studio
from tests.engine.studio_work import furthest, paint, request
from tests.engine.training_cases import (
    checkpoints,
    examples,
    largest_gap,
    refusal,
    run,
    trained,
    training,
    weights,
)

Learned = dict[str, Tensor]


class Bench:
    """One studio for many trainings, each of which leaves it as it was."""

    def __init__(self, model: Model, folder: Path) -> None:
        self.model = model
        self.folder = folder
        self.studio = Studio(model, EngineSettings(model="demo", files=str(folder)))

    def run(self, **changes: Any) -> list[Event]:
        return run(self.studio, training(self.folder, **changes))

    @cache  # noqa: B019  the bench lives as long as its module's tests
    def weights(self, **changes: Any) -> Learned:
        """What is learned with these settings."""
        events = self.run(**changes)
        trained(events)
        return weights(self.folder, checkpoints(events)[-1])


@pytest.fixture(scope="module")
def bench(loaded: Model, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    model = copy.deepcopy(loaded)
    return Bench(model, tmp_path_factory.mktemp("files"))


WORDS = {"text_encoder": True}
TOKENS = {"new_tokens": 1}
PICTURES = {"prior": Prior.PICTURES, "prior_pictures": 2}


@pytest.mark.parametrize(
    ("option", "beside"),
    [
        ({"learning_rate": 3e-3}, {}),
        ({"weight_decay": 1.0}, {}),
        ({"clipping": 1e-4}, {"optimizer": Optimizer.PRODIGY, "learning_rate": 1.0}),
        ({"schedule": Schedule.COSINE}, {}),
        ({"schedule": Schedule.LINEAR}, {}),
        ({"warmup": 1}, {}),
        ({"optimizer": Optimizer.ADAMW_8BIT}, {"rank": 64}),
        ({"optimizer": Optimizer.PRODIGY}, {}),
        ({"optimizer": Optimizer.LION}, {}),
        ({"optimizer": Optimizer.ADAFACTOR}, {}),
        ({"optimizer": Optimizer.CAME}, {}),
        ({"optimizer": Optimizer.SCHEDULE_FREE}, {}),
        ({"lora_plus": 16.0}, {}),
        ({"schedule": Schedule.POLYNOMIAL}, {}),
        ({"power": 1.0}, {"schedule": Schedule.POLYNOMIAL}),
        ({"cycles": 2}, {"schedule": Schedule.COSINE_RESTARTS}),
        ({"batch": 2}, {}),
        ({"accumulation": 2}, {}),
        ({"steps": 3}, {}),
        ({"epochs": 2}, {}),
        ({"resolution": 48}, {}),
        ({"alpha": 8.0}, {}),
        ({"dropout": 0.5}, {}),
        ({"min_snr_gamma": 0.0}, {}),
        ({"noise_offset": 0.5}, {}),
        ({"pyramid_noise": 0.5}, {}),
        ({"input_perturbation": 0.1}, {}),
        ({"debiased": True}, {}),
        ({"huber": 0.1}, {}),
        ({"zero_snr": True}, {}),
        ({"caption_dropout": 0.9}, {}),
        ({"flip": True}, {"steps": 4}),
        ({"random_crop": True}, {"steps": 4}),
        ({"seed": 1}, {}),
        ({"precision": TrainingPrecision.BFLOAT16}, {}),
        ({"precision": TrainingPrecision.FLOAT16}, {}),
        ({"prior": Prior.PREDICTION}, {"steps": 5, "learning_rate": 1e-2}),
        (PICTURES, {}),
        ({"prior_weight": 0.1}, {"prior": Prior.PICTURES, "prior_pictures": 2}),
        ({"prior_pictures": 5}, PICTURES),
        ({"text_learning_rate": 1e-2}, WORDS),
        ({"token_learning_rate": 1e-2}, TOKENS),
        ({"pivot": 0.0}, TOKENS),
        ({"validation": 0.5}, {"examples": 17}),
    ],
    ids=str,
)
def test_an_option_changes_what_is_learned(
    bench: Bench, option: dict[str, Any], beside: dict[str, Any]
) -> None:
    if beside.get("examples"):
        beside = {"examples": examples(bench.folder, [(64, 64)] * beside["examples"])}

    assert largest_gap(bench.weights(**beside), bench.weights(**beside | option)) > 1e-7


def test_an_average_of_the_steps_is_what_is_saved_and_learning_goes_on_without_it(bench: Bench) -> None:
    plain, averaged = (checkpoints(bench.run(steps=4, every=2, ema=ema)) for ema in (0.0, 0.9))

    assert largest_gap(*(weights(bench.folder, saved[-1]) for saved in (plain, averaged))) == 0
    assert plain[-1].adapter != averaged[-1].adapter
    assert plain[-1].validation != averaged[-1].validation


def test_the_same_training_learns_the_same(bench: Bench) -> None:
    (saved,) = checkpoints(bench.run())

    assert largest_gap(weights(bench.folder, saved), bench.weights()) == 0


@pytest.mark.parametrize(
    ("option", "parts"),
    [
        ({"feed_forward": True}, ("unet.mid_block", "ff.net")),
        ({"convolutions": True}, ("unet.mid_block", "conv1")),
        ({"text_encoder": True}, ("text_encoder.", "q_proj")),
        ({"text_encoder_2": True}, ("text_encoder_2.", "q_proj")),
        ({"blocks": ("up.0",)}, ("unet.up_blocks.0", "to_q")),
        ({"blocks": ()}, ("unet.down_blocks.1", "to_q")),
    ],
    ids=str,
)
def test_targets_say_which_modules_learn(
    bench: Bench, option: dict[str, Any], parts: tuple[str, str]
) -> None:
    plain, learned = bench.weights(), bench.weights(**option)

    place, module = parts
    named = [name for name in learned if name.startswith(place) and module in name and name.endswith("up")]
    assert named
    assert not set(named) & set(plain)
    assert any(learned[name].abs().max() > 0 for name in named)
    assert all("mid_block" in name for name in plain)


def test_rank_says_how_wide_a_change_is(bench: Bench) -> None:
    assert {min(value.shape) for value in bench.weights().values()} == {2}
    assert {min(value.shape) for value in bench.weights(rank=5, alpha=2.0).values()} == {5}


def test_dora_learns_magnitudes(bench: Bench) -> None:
    assert any(name.endswith("magnitude") for name in bench.weights(dora=True))


def test_checkpointing_computes_twice_and_learns_the_same(bench: Bench) -> None:
    calls: list[bool] = []
    resnet = bench.model.base.unet.up_blocks[0].resnets[0]
    hook = resnet.register_forward_pre_hook(lambda *_: calls.append(torch.is_grad_enabled()))
    plain, once = bench.weights(learning_rate=2e-3), sum(calls)
    again, both = bench.weights(learning_rate=2e-3, checkpointing=True), sum(calls)
    hook.remove()

    assert both - once == 2 * once
    assert largest_gap(plain, again) <= 1e-6


def test_epochs_stand_for_so_many_steps(bench: Bench) -> None:
    assert trained(bench.run(epochs=3)).step == 6
    assert trained(bench.run(epochs=3, batch=2)).step == 3


def test_new_tokens_learn_until_the_pivot_and_are_frozen_from_then_on(bench: Bench) -> None:
    never = bench.weights(new_tokens=2, pivot=0.0, steps=1)["tokens.first"]
    half, whole = (bench.weights(new_tokens=2, pivot=pivot, steps=4)["tokens.first"] for pivot in (0.5, 1.0))
    two = bench.weights(new_tokens=2, pivot=1.0, steps=2)["tokens.first"]

    assert never.shape[0] == 2
    assert float((two - never).abs().max()) > 1e-4
    assert half.equal(two)
    assert not whole.equal(half)


def test_text_rates_count_only_for_text(bench: Bench) -> None:
    slow, fast = (bench.weights(**WORDS, text_learning_rate=rate, steps=1) for rate in (1e-5, 1e-2))

    assert slow["unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q.up"].equal(
        fast["unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q.up"]
    )
    (name, *_) = [name for name in slow if name.startswith("text_encoder.") and name.endswith("up")]
    assert not slow[name].equal(fast[name])


def test_every_says_how_often_it_is_saved_with_all_losses_and_samples(bench: Bench) -> None:
    events = bench.run(every=2, steps=5, prompts=("a ohwx circle", "a red star"))

    first, *rest = [event for event in events if isinstance(event, CheckpointSaved)]
    assert (first.step, first.adapter, first.state, len(first.samples)) == (0, None, None, 2)
    assert [event.step for event in rest] == [2, 4, 5]
    assert [len(event.losses) for event in rest] == [2, 2, 1]
    assert all(event.validation is not None and event.validation > 0 for event in rest)
    assert all(len(event.samples) == 2 for event in rest)
    assert first.samples != rest[0].samples


def test_about_ten_checkpoints_are_saved_when_nobody_says_how_often(bench: Bench) -> None:
    assert [event.step for event in checkpoints(bench.run(every=0, steps=20))] == list(range(2, 21, 2))


def test_it_tells_its_phases_how_far_it_is_and_when_it_will_be_done(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.training.run.PROGRESS_SECONDS", 0.0)

    events = bench.run(**PICTURES, steps=4)

    progress = [event for event in events if isinstance(event, TrainingProgress)]
    phases = list(dict.fromkeys(event.phase for event in progress))
    assert phases == [
        "reading the pictures",
        "encoding the pictures",
        "painting the class",
        "sampling",
        "learning",
    ]
    assert [event.step for event in progress] == sorted(event.step for event in progress)
    assert {event.steps for event in progress[-5:]} == {4}
    assert progress[0].loss is None
    assert progress[0].left is None
    assert progress[-1].loss is not None
    assert progress[-1].left is not None
    assert any(isinstance(event, StepStarted) and event.jobs == ("t",) for event in events)
    assert isinstance(events[-1], Idle)


def test_patience_ends_it_when_it_no_longer_gets_better(bench: Bench) -> None:
    end = trained(bench.run(steps=20, every=1, patience=2, learning_rate=0.05))

    assert end.step < 20
    assert end.best < end.step
    assert "since it no longer got better" in end.note


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"learning_rate": 0.0}, "The learning rate is 0, but adamw learns with 1e-06 to 0.01"),
        ({"learning_rate": 1e-8}, "The learning rate is 1e-08, but adamw learns with"),
        (
            {"learning_rate": 1e-4, "optimizer": Optimizer.PRODIGY},
            "The learning rate is 0.0001, but prodigy learns with 0.1 to 10",
        ),
        (
            {"blocks": ("mid",), "learning_rate": 1e-6},
            "Try more steps, a higher learning rate or other layers.",
        ),
    ],
    ids=str,
)
def test_a_training_that_learned_nothing_says_so(bench: Bench, settings: dict[str, Any], why: str) -> None:
    note = trained(bench.run(steps=10, **settings)).note

    assert "It learned nothing. The model paints as it does without the LoRA." in note
    assert why in note
    learned = bench.run(steps=10, learning_rate=1e-2, blocks=(), feed_forward=True)
    assert "learned nothing" not in trained(learned).note


def test_stop_keeps_what_it_has(bench: Bench) -> None:
    studio = bench.studio
    list(studio.accept(training(bench.folder, steps=50)))
    events: list[Event] = []
    while not studio.idle:
        events += studio.step()
        if any(isinstance(event, TrainingProgress) and event.step for event in events):
            list(studio.accept(StopTraining(job=JobId("t"))))

    end = trained(events)
    assert 1 <= end.step < 50
    assert [event.step for event in checkpoints(events)] == [end.step] == [end.best]
    assert f"stopped at step {end.step} of 50" in end.note


def test_stop_before_the_first_step_has_nothing_to_keep(bench: Bench) -> None:
    list(bench.studio.accept(training(bench.folder)))
    list(bench.studio.accept(StopTraining(job=JobId("t"))))
    events: list[Event] = []
    while not bench.studio.idle:
        events += bench.studio.step()

    assert refusal(events) == "It was stopped before its first step, so there is nothing to keep."


def test_cancel_ends_it_at_once_and_leaves_the_model_as_it_was(bench: Bench) -> None:
    before = {name: value.clone() for name, value in bench.model.base.unet.state_dict().items()}
    list(bench.studio.accept(training(bench.folder, steps=50)))
    for _ in range(20):
        list(bench.studio.step())

    assert Cancelled(job=JobId("t")) in list(bench.studio.accept(Cancel(job=JobId("t"))))
    assert bench.studio.idle
    after = bench.model.base.unet.state_dict()
    assert before.keys() == after.keys()
    assert all(before[name].equal(after[name]) for name in before)


def test_cancelled_while_it_saves_it_tells_what_it_left_in_the_store(bench: Bench) -> None:
    request = training(bench.folder, steps=50, every=2, prompts=("a ohwx circle",))
    before = set(bench.folder.glob("??/*"))
    list(bench.studio.accept(request))
    events: list[Event] = []
    while not (left := set(bench.folder.glob("??/*")) - before):
        events += bench.studio.step()

    assert checkpoints(events)[1:] == []
    cancelled = Cancelled(job=JobId("t"), left=tuple(Sha256(path.name) for path in left))
    assert cancelled in list(bench.studio.accept(Cancel(job=JobId("t"))))


def test_a_second_training_waits_for_the_first(bench: Bench) -> None:
    list(bench.studio.accept(training(bench.folder, "first")))

    (failed,) = bench.studio.accept(training(bench.folder, "second"))
    list(bench.studio.accept(Cancel(job=JobId("first"))))

    assert refusal([failed]) == "Another training runs here. Wait until it has ended."


@pytest.mark.parametrize("every", [2, 3])
def test_a_loss_that_is_no_number_ends_it_at_the_last_good_checkpoint(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    forward, calls = bench.model.base.unet.forward, []

    def overflows(*args: object, **options: object) -> tuple[Tensor]:
        calls.append(torch.is_grad_enabled())
        broken = float("nan") if sum(calls) > 3 else 1.0
        return (forward(*args, **options)[0] * broken,)

    monkeypatch.setattr(bench.model.base.unet, "forward", overflows)

    end = trained(bench.run(steps=9, every=every))

    assert (end.step, end.best) == (3, every)
    assert "no longer a number after step 3" in end.note


def test_a_loss_that_is_no_number_before_anything_is_saved_is_refused_with_what_to_change(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = bench.model.base.unet.forward
    monkeypatch.setattr(
        bench.model.base.unet, "forward", lambda *args, **options: (forward(*args, **options)[0] * torch.nan,)
    )

    assert refusal(bench.run()).endswith("before the first checkpoint. Lower --lr.")


def fits(rows: int, *, checkpointed: bool, unet: Any) -> Any:
    """A forward that runs out of memory with more rows, or without gradient checkpointing."""
    forward = unet.forward

    def limit(sample: Tensor, *args: object, **options: object) -> object:
        if torch.is_grad_enabled() and (
            len(sample) > rows or (checkpointed and not unet.is_gradient_checkpointing)
        ):
            raise torch.OutOfMemoryError("not for so many")
        return forward(sample, *args, **options)

    return limit


@pytest.mark.parametrize("prior", [Prior.PREDICTION, Prior.PICTURES])
def test_a_class_that_does_not_fit_beside_its_batch_is_learned_after_it_and_alike(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, prior: Prior
) -> None:
    square = examples(bench.folder, [(64, 64)] * 2)
    how: dict[str, Any] = {"prior": prior, "prior_pictures": 2, "examples": square, "resolution": 64}
    how |= {"steps": 5, "learning_rate": 1e-2}
    together, without = bench.weights(**how), bench.weights(**how | {"prior": Prior.NONE})
    unet = bench.model.base.unet
    monkeypatch.setattr(unet, "forward", fits(1, checkpointed=False, unet=unet))

    events = bench.run(**how)

    (saved,) = checkpoints(events)
    assert largest_gap(weights(bench.folder, saved), together) <= 0.1 * largest_gap(without, together)
    assert "the class is trained in batches of its own" in trained(events).note
    assert "the batch was lowered" not in trained(events).note


def test_a_training_that_does_not_fit_goes_on_in_smaller_batches_and_says_so(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    unet = bench.model.base.unet
    monkeypatch.setattr(unet, "forward", fits(1, checkpointed=True, unet=unet))

    events = bench.run(batch=4)

    note = trained(events).note
    assert "--batch was lowered to 2 and --accumulation raised to 2" in note
    assert "--batch was lowered to 1 and --accumulation raised to 4" in note
    assert "gradient checkpointing was turned on" in note
    (saved,) = checkpoints(events)
    assert saved.adapter is not None
    header = read_header(FileStore(bench.folder).get(saved.adapter), "the LoRA")
    assert "gradient checkpointing was turned on" in json.dumps(dict(header.metadata))
    assert not unet.is_gradient_checkpointing


def test_a_training_that_never_fits_is_refused_with_what_to_lower(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    unet = bench.model.base.unet
    monkeypatch.setattr(unet, "forward", fits(0, checkpointed=False, unet=unet))

    assert "does not fit in the memory here. Lower --resolution or --rank" in refusal(bench.run())


def test_without_a_usable_picture_it_is_refused(bench: Bench) -> None:
    picture = examples(bench.folder, [(1, 1)])

    assert refusal(bench.run(examples=picture)) == "No picture is left to train on. Left out: 1 too small."


def test_a_block_that_the_model_lacks_is_refused_before_anything_is_done(bench: Bench) -> None:
    (failed,) = bench.studio.accept(training(bench.folder, blocks=("down.7",)))

    assert refusal([failed]).startswith("The block down.7 has nothing to train here")


def test_a_state_that_is_gone_or_anothers_is_refused(bench: Bench) -> None:
    (saved,) = checkpoints(bench.run())

    assert "is gone" in refusal(bench.run(resume=Sha256("0" * 64)))
    assert "is of another training" in refusal(bench.run(resume=saved.state, seed=9))
    assert saved.adapter is not None
    assert "is gone" in refusal(bench.run(resume=saved.adapter))


def test_what_was_learned_paints_otherwise_and_at_weight_0_not_at_all(bench: Bench) -> None:
    (saved,) = checkpoints(bench.run(steps=5, learning_rate=2e-2, blocks=()))
    assert saved.adapter is not None
    plain = paint(bench.studio, request())["j"]

    full, none = (
        paint(
            bench.studio,
            request(adapters=(AdapterUse(name="teal", sha256=saved.adapter, weight=weight),)),
        )["j"]
        for weight in (1.0, 0.0)
    )

    assert furthest(full, plain) > 20
    assert furthest(none, plain) == 0


def test_a_look_at_the_pictures_tells_steps_and_seconds(bench: Bench) -> None:
    list(bench.studio.accept(Inspect(training=training(bench.folder, steps=100))))
    events: list[Event] = []
    while not bench.studio.idle:
        events += bench.studio.step()

    (inspected,) = [event for event in events if isinstance(event, Inspected)]
    assert inspected.steps == 100
    assert 0.1 < inspected.seconds < 600
    assert len(inspected.notes) == 2
