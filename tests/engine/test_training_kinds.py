"""What a training changes, seen from outside: parts of the model at their ranks and rates, and every kind."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from engine.lora.adapter_file import parse_adapter, read_adapter
from engine.lora.adapters import Adapters
from engine.lora.change_state import changes_from_state
from engine.lora.safetensors_file import read_header
from engine.messages import (
    AdapterKind,
    AdapterUse,
    EngineSettings,
    FileStore,
    Inspect,
    Inspected,
    PartNumber,
    Sha256,
    Train,
)
from engine.sdxl.model import Model
from engine.studio import Studio
from tests.engine.training_cases import checkpoints, largest_gap, refusal, run, state, training, weights
from tests.lora_files import kohya, make_lora, store

WITH_CONVOLUTIONS = (PartNumber(part="conv", number=2),)
CONVOLUTIONS = {
    AdapterKind.LOHA: WITH_CONVOLUTIONS,
    AdapterKind.LOKR: WITH_CONVOLUTIONS,
    AdapterKind.OFT: WITH_CONVOLUTIONS,
}
ENDINGS = {
    AdapterKind.LOHA: {"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "alpha"},
    AdapterKind.LOKR: {"lokr_w1", "lokr_w2_a", "lokr_w2_b", "alpha"},
    AdapterKind.IA3: {"weight", "on_input"},
    AdapterKind.OFT: {"oft_blocks", "alpha"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def studio(loaded: Model, folder: Path) -> Studio:
    return Studio(copy.deepcopy(loaded), EngineSettings(model="demo", files=str(folder)))


@pytest.fixture(scope="module")
def adapters(loaded: Model, folder: Path) -> Adapters:
    """The adapters of another model of the same numbers."""
    return Adapters(copy.deepcopy(loaded.base), folder, 2**26)


def report(studio: Studio, request: Train) -> Inspected:
    """What is said before the start."""
    events = list(studio.accept(Inspect(training=request)))
    while not studio.idle:
        events += studio.step()
    return next(event for event in events if isinstance(event, Inspected))


def test_text_encoders_train_alone_with_as_many_parameters_as_were_reported(
    studio: Studio, folder: Path
) -> None:
    ranks = (PartNumber(part="text", number=2), PartNumber(part="text-2", number=1))
    request = training(folder, rank=0, ranks=ranks, blocks=(), text_learning_rate=1e-3)

    announced = report(studio, request).parameters
    saved = checkpoints(run(studio, request))[-1]

    assert saved.adapter is not None
    content = FileStore(folder).get(saved.adapter)
    factors = {name: tensor for name, tensor in safetensors.torch.load(content).items() if tensor.ndim}
    counts = {
        part: sum(tensor.numel() for name, tensor in factors.items() if name.startswith(prefix))
        for part, prefix in (("text", "lora_te1_"), ("text-2", "lora_te2_"))
    }
    assert all(name.startswith("lora_te") for name in factors)
    assert {number.part: number.number for number in announced} == counts
    assert json.loads(read_header(content, "it").metadata["atelier.parameters"]) == counts
    assert {tensor.shape[0] for name, tensor in factors.items() if "te1" in name and "down" in name} == {2}
    assert any(tensor.abs().max() > 0 for name, tensor in factors.items() if "lora_up" in name)


def test_a_part_has_a_learning_rate_of_its_own(studio: Studio, folder: Path) -> None:
    still = PartNumber(part="conv", number=0)
    request = training(folder, convolutions=True, feed_forward=True, learning_rates=(still,))

    learned = weights(folder, checkpoints(run(studio, request))[-1])

    moved = {name for name, tensor in learned.items() if name.endswith(".up") and tensor.abs().max() > 0}
    assert any(".ff." in name for name in moved)
    assert any(".to_q" in name for name in moved)
    assert not any(".conv" in name for name in moved)
    assert any(".conv" in name for name in learned)


@pytest.mark.parametrize("kind", [None, AdapterKind.LOHA], ids=str)
def test_a_training_goes_on_from_a_lora_whose_kind_and_ranks_it_keeps(
    studio: Studio, folder: Path, adapters: Adapters, loaded: Model, kind: AdapterKind | None
) -> None:
    if kind is None:  # one from another trainer, of modules that no training here begins with
        made = make_lora(loaded.base, of=of_mid_block, ranks=(3, 5), alphas=(2.0,))
        file = store(folder, kohya(made))
    else:
        earlier = checkpoints(run(studio, training(folder, kind=kind, learning_rate=0.02)))[-1]
        assert earlier.adapter is not None
        file = AdapterUse(name="ink", sha256=earlier.adapter)
    before = read_adapter(folder, file, adapters.names)
    still = training(folder, start=file, rank=7, learning_rate=0.0, steps=1)

    if kind is AdapterKind.LOHA:
        faster = replace(still, settings=replace(still.settings, lora_plus=4.0))
        sentence = "The LoRA ink has no factors A and B. Leave out --lora-plus."
        assert refusal(run(studio, faster)) == sentence

    counts = {number.part: number.number for number in report(studio, still).parameters}
    same = checkpoints(run(studio, still))[-1]
    moved = checkpoints(run(studio, replace(still, settings=replace(still.settings, learning_rate=0.01))))[-1]

    assert sum(counts.values()) == sum(change.count for change in before.changes.values())
    assert same.adapter is not None
    assert moved.adapter is not None
    content = FileStore(folder).get(same.adapter)
    assert json.loads(read_header(content, "it").metadata["atelier.from"]) == ["ink", file.sha256]
    after = parse_adapter(content, adapters.names, "it")
    assert after.kind is before.kind
    assert {place: (change.rank, change.alpha) for place, change in after.changes.items()} == {
        place: (change.rank, change.alpha) for place, change in before.changes.items()
    }
    far = parse_adapter(FileStore(folder).get(moved.adapter), adapters.names, "it")
    gaps = [
        [
            (
                adapters.weight_change(place, later.changes[place]) - adapters.weight_change(place, change)
            ).norm()
            for later in (after, far)
        ]
        for place, change in before.changes.items()
    ]
    assert all(same_gap <= far_gap for same_gap, far_gap in gaps)
    assert sum(same_gap for same_gap, _ in gaps) < 0.01 * sum(far_gap for _, far_gap in gaps)


def of_mid_block(component: str, path: str) -> bool:
    return path.startswith("mid_block") and path.endswith((".proj_in", ".to_k", ".conv1"))


def test_what_cannot_be_gone_on_from_is_refused_in_a_sentence(
    studio: Studio, folder: Path, loaded: Model
) -> None:
    tensors = kohya(make_lora(loaded.base, of=of_mid_block, dora=True, by_input=True))
    other_base = {"lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": torch.ones(4, 8)}
    gone = AdapterUse(name="ink", sha256=Sha256("0" * 64))

    refusals = [
        refusal(run(studio, training(folder, start=start)))
        for start in (gone, store(folder, other_base), store(folder, tensors))
    ]

    assert refusals == [
        "The file of LoRA ink is missing. Import or train it again.",
        "The LoRA ink was made for Stable Diffusion 1 or 2, but the model here is SDXL.",
        "The LoRA ink has magnitudes other than those of linear layers' outputs, and cannot be trained on.",
    ]


@pytest.mark.parametrize("kind", ENDINGS)
def test_every_kind_is_trained_resumed_and_saved_under_names_that_others_read(
    studio: Studio, folder: Path, adapters: Adapters, kind: AdapterKind
) -> None:
    ranks = CONVOLUTIONS.get(kind, ())
    request = training(folder, kind=kind, steps=2, every=1, learning_rate=0.02, ranks=ranks)

    first, last = checkpoints(run(studio, request))
    resumed = checkpoints(run(studio, replace(request, resume=first.state)))[-1]

    learned = weights(folder, last)
    assert largest_gap(learned, weights(folder, resumed)) <= 1e-6
    assert last.adapter == resumed.adapter or last.losses == pytest.approx(resumed.losses, abs=1e-6)
    assert last.adapter is not None
    content = FileStore(folder).get(last.adapter)
    endings = {name.partition(".")[2] for name in safetensors.torch.load(content)}
    assert endings == ENDINGS[kind]
    read = parse_adapter(content, adapters.names, "it")
    assert read.kind is kind
    learned_changes = changes_from_state(state(folder, last)["learner"])
    assert read.changes.keys() == learned_changes.keys()
    for place, change in learned_changes.items():
        expected = adapters.weight_change(place, change)
        assert expected.norm() > 0
        lost = adapters.weight_change(place, read.changes[place]) - expected
        assert lost.norm() < 0.01 * expected.norm()
