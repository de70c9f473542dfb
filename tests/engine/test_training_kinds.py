"""What a training changes, seen from outside: parts of the model at their ranks and rates, and every kind."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch

from engine.lora.adapter_file import parse_adapter
from engine.lora.adapters import Adapters
from engine.lora.safetensors_file import read_header
from engine.messages import AdapterKind, EngineSettings, FileStore, Inspect, Inspected, PartNumber, Train
from engine.sdxl.model import Model
from engine.studio import Studio
from engine.training.trainer import changes_from_state
from tests.engine.training_cases import checkpoints, largest_gap, run, state, training, weights

WITH_CONVOLUTIONS = (PartNumber(part="conv", number=2),)
CONVOLUTIONS = {
    AdapterKind.LOHA: WITH_CONVOLUTIONS,
    AdapterKind.LOKR: WITH_CONVOLUTIONS,
    AdapterKind.OFT: WITH_CONVOLUTIONS,
}
FACTORS = {"lora_down.weight", "lora_up.weight", "alpha"}
ENDINGS = {
    AdapterKind.DORA: FACTORS | {"dora_scale"},
    AdapterKind.LOCON: FACTORS,
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


@pytest.mark.parametrize("kind", [kind for kind in AdapterKind if kind is not AdapterKind.LORA])
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
