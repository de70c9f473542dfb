"""What only a GPU can show: half precision, compiled blocks, 8-bit optimizers and real want of memory.

`ATELIER_GPU=1 python -m pytest tests/engine/test_on_gpu.py`; without it the tests see no GPU.
"""

import copy
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.full_size import full_size_pipelines
from bench.training import a_store
from bench.training import request as lesson
from bench.training import settings as lesson_settings
from engine.demo.judge import judge
from engine.demo.lora_trials import ARROW, LoraTrials
from engine.demo.world import Scene, Thing
from engine.lora.adapters import Adapters
from engine.lora.safetensors_file import read_header
from engine.messages import (
    AdapterUse,
    CheckpointSaved,
    EngineSettings,
    FileStore,
    Optimizer,
    Paint,
    Prior,
    Sampler,
    Size,
    TrainingSettings,
)
from engine.sdxl.latent_decoder import Decoding
from engine.sdxl.model import Model, load_model, prepare_pipeline
from engine.sdxl.painting import Painting, Stage, predict
from engine.sdxl.prompts import PromptEncoder
from engine.studio import Studio
from engine.training.run import TrainingRun
from tests.engine.studio_work import furthest, paint, request

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here"),
    pytest.mark.timeout(600),
]

SQUARE = Scene(things=(Thing(shape="square", colour="blue"),), background="orange")


def on_gpu(precision: str, files: Path, *, compiled: bool = False) -> Studio:
    settings = EngineSettings(
        model="demo", device="cuda", precision=precision, files=str(files), compile=compiled
    )
    return Studio(load_model(settings), settings)


def requests(loras: tuple[AdapterUse, ...]) -> list[Paint]:
    """People with different steps, scales, sizes and LoRAs, at once."""
    return [
        request("plain"),
        request("unguided", guidance_scale=1.0, steps=4, size=Size(width=96, height=160)),
        request("mixed", adapters=loras, negative_prompt="yellow"),
        request("refined", refiner=0.3, steps=7),
    ]


def test_in_float32_it_paints_what_it_paints_on_a_cpu(
    files: Path, studio: Studio, loras: tuple[AdapterUse, AdapterUse], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)

    here, there = (paint(engine, *requests(loras)) for engine in (on_gpu("float32", files), studio))

    assert all(furthest(here[job], there[job]) <= 2 for job in there)


# torch's compiler imports what it has itself put on the list of the past
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_in_bfloat16_it_paints_nearly_the_same(
    files: Path, studio: Studio, loras: tuple[AdapterUse, AdapterUse], *, compiled: bool
) -> None:
    engine = on_gpu("bfloat16", files, compiled=compiled)
    engine.join()
    while engine.can_prepare:
        engine.prepare_next()

    here = paint(engine, *requests(loras))

    for job, there in paint(studio, *requests(loras)).items():
        assert np.abs(here[job].astype(int) - there.astype(int)).mean() < 3


@pytest.mark.parametrize("sampler", Sampler)
def test_no_step_waits_for_the_gpu(sampler: Sampler) -> None:
    model = load_model(EngineSettings(model="demo", device="cuda"))
    painting = Painting(request(sampler=sampler, refiner=0.4), 7, 0, Size(width=128, height=128), model)
    painting.begin(PromptEncoder(model.base), PromptEncoder(model.refiner))

    torch.cuda.set_sync_debug_mode("error")
    try:
        while painting.stage in (Stage.BASE, Stage.REFINE):
            unet = (model.base if painting.stage is Stage.BASE else model.refiner).unet
            ((model_input, predicted),) = predict(unet, [painting])
            painting.apply_prediction(model_input, predicted)
            painting.predict_x0()
        Decoding(model.base.vae, painting.latents).start()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_in_bfloat16_it_paints_what_was_asked(files: Path) -> None:
    words = "a blue square on an orange background"
    several = [request(str(seed), prompt=words, seed=seed, steps=20) for seed in range(8)]

    verdicts = [judge(picture, SQUARE) for picture in paint(on_gpu("bfloat16", files), *several).values()]

    assert sum(verdict.background and verdict.colours for verdict in verdicts) >= 7


@pytest.mark.parametrize("optimizer", [Optimizer.ADAMW, Optimizer.ADAMW_8BIT])
def test_eight_pictures_teach_a_shape(files: Path, optimizer: Optimizer) -> None:
    school = LoraTrials(on_gpu("bfloat16", files), files)
    settings = TrainingSettings(
        rank=32,
        alpha=32,
        feed_forward=True,
        learning_rate=2e-3,
        batch=4,
        steps=400,
        min_snr_gamma=50,
        prior=Prior.PREDICTION,
        optimizer=optimizer,
    )

    lora = school.train("arrow", school.training_pictures(ARROW), settings).best

    assert school.success_rate(25, ARROW, lora) >= 0.4
    assert school.success_rate(25, ARROW, replace(lora, weight=0.0)) <= 0.05


@pytest.fixture(scope="module")
def large() -> Model:
    """SDXL at its full size, with random weights."""
    pipelines = full_size_pipelines(torch.bfloat16, "cuda")
    for pipeline in pipelines:
        prepare_pipeline(pipeline, torch.device("cuda"))
    base, refiner = pipelines
    return Model(
        name="large", base=base, refiner=refiner, device=torch.device("cuda"), precision=torch.bfloat16
    )


def test_sdxl_at_full_size_paints_with_its_refiner(large: Model) -> None:
    studio = Studio(large, EngineSettings(model="large"))
    size = Size(width=1024, height=1024)

    pictures = paint(studio, request("a", size=size, refiner=0.3), request("b", size=size, steps=4))

    assert {picture.shape for picture in pictures.values()} == {(1024, 1024, 3)}


def test_a_training_that_finds_too_little_memory_lowers_its_batch_and_says_so(large: Model) -> None:
    model = copy.copy(large)
    with a_store(1024) as folder:
        asked_for = replace(lesson_settings(8), steps=2, every=2)
        training = TrainingRun(lesson(folder, asked_for), model, Adapters(model.base, folder, 2**31), folder)
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 14 * 2**30) / total)
        try:
            events = [event for step in iter(partial(step_memory, training), None) for event in step]
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
            training.close()
        saved = [event.adapter for event in events if isinstance(event, CheckpointSaved) and event.adapter]
        header = read_header(FileStore(folder).get(saved[-1]), "the LoRA")

    assert "Memory was short" in json.dumps(dict(header.metadata))


def step_memory(training: TrainingRun) -> list[object] | None:
    """What the next step told, or None when there is none."""
    return None if training.done else list(training.step())
