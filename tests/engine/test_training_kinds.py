"""What a training changes, seen from outside: parts of the model, each with its rank and learning rate."""

import copy
import json
from pathlib import Path

import pytest
import safetensors.torch

from engine.lora.safetensors_file import read_header
from engine.messages import EngineSettings, FileStore, Inspect, Inspected, PartNumber, Train
from engine.sdxl.model import Model
from engine.studio import Studio
from tests.engine.training_cases import checkpoints, run, training, weights


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def studio(loaded: Model, folder: Path) -> Studio:
    return Studio(copy.deepcopy(loaded), EngineSettings(model="demo", files=str(folder)))


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
