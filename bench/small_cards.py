"""What weights in few bits save and cost: the memory of SDXL at full size, and the demo model's pictures."""

import ctypes
import gc
import multiprocessing
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import torch
from diffusers import UNet2DConditionModel

from bench.demo_model import paint, shares_right, unseen_scenes
from bench.full_size import UNET, random_module
from bench.measuring import table
from commands.presets import find_preset, training_settings
from engine.demo.lora_trials import ARROW, LoraTrials
from engine.lora.adapters import Adapters
from engine.messages import EngineSettings, TrainingSettings, WeightFormat
from engine.runners.runner import UnetInputs
from engine.sdxl.model import load_model
from engine.sdxl.quantized_linear import quantize_layers
from engine.studio import Studio

SIDE = 256  # pixels of the picture in a step, on a CPU that is slow at larger ones
RANK = 16
PICTURES, PROMPTS = 100, 30
GIB = 2**30
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def memory(side: int = SIDE) -> str:
    """The memory of SDXL's UNet at full size with random weights, and of a step of a LoRA's training.

    Each format is measured in a process of its own.
    """
    rows = []
    for form in WeightFormat:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            weights, idle, step, seconds = pool.apply(measure_step, (form, side))
        name = "bfloat16" if form is WeightFormat.FULL else str(form)
        rows.append([name, *(f"{size / GIB:.2f} GiB" for size in (weights, idle, step)), f"{seconds:.0f} s"])
    head = [
        "SDXL's UNet in",
        "its weights",
        "the process before",
        f"in a step, {side}x{side}",
        "time of the step",
    ]
    return table(head, rows)


def measure_step(form: WeightFormat, side: int) -> tuple[int, int, int, float]:
    """Bytes of the weights, resident bytes before a step and at most in it, and the step's seconds.

    The step is of a LoRA of the attention at batch 1, with gradient checkpointing, in bfloat16: as large as
    float16, with which few CPUs compute fast.
    """
    unet = random_module(UNet2DConditionModel, UNET, torch.bfloat16, "cpu")
    if form is not WeightFormat.FULL:
        quantize_layers(unet, form)
    weights = sum(tensor.nbytes for tensor in (*unet.parameters(), *unet.buffers()))
    demo = load_model(EngineSettings(model="demo", device="cpu")).base
    pipeline = SimpleNamespace(unet=unet, text_encoder=demo.text_encoder, text_encoder_2=demo.text_encoder_2)
    adapters = Adapters(pipeline, Path(), 0)
    targets = adapters.targets(TrainingSettings(rank=RANK, alpha=RANK))
    adapters.begin_training("bench", targets, seed=0, precision=torch.bfloat16)
    parameters = [each.parameter for each in adapters.trained_parameters("bench")]
    flat = adapters.flatten_training("bench", [parameters])
    optimizer = torch.optim.AdamW(flat.vectors)
    unet.enable_gradient_checkpointing()
    inputs = UnetInputs.examples(unet, 1, side // 8, side // 8)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    CLEAR.write_text("5")  # forgets the largest resident size so far
    idle, started = resident("VmRSS"), time.perf_counter()
    with adapters.training_pass("bench"):
        (output,) = inputs.run(unet)
        output.float().square().mean().backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return weights, idle, resident("VmHWM"), time.perf_counter() - started


def resident(field: str) -> int:
    """A size of this process in bytes: VmRSS is resident now, VmHWM at most so far."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def quality() -> str:
    """The share of right pictures of the demo model, painted and learned, by what its weights are held in."""
    rows = []
    scenes = unseen_scenes(PICTURES)
    settings = training_settings(find_preset("object"), 8, {}, small=True)
    for form in WeightFormat:
        engine = EngineSettings(model="demo", device="cpu", weights=form)
        model = load_model(engine)
        right = shares_right(list(paint(scenes, model.base)))["right"]
        with tempfile.TemporaryDirectory() as folder:
            school = LoraTrials(Studio(model, replace(engine, files=folder)), Path(folder))
            taught = school.train("taught", school.training_pictures(ARROW, 8), settings)
            learned = school.success_rate(PROMPTS, ARROW, taught.best)
        name = "float32" if form is WeightFormat.FULL else str(form)
        rows.append([name, f"{right:.0f}%", f"{learned:.0%}"])
    head = [
        "the demo model's UNet in",
        f"of {PICTURES} pictures right",
        f"of {PROMPTS} with a LoRA show an arrow",
    ]
    return table(head, rows)


if __name__ == "__main__":
    print(quality())
    print(memory())
