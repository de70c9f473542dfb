"""Trainings: against plain loops without and with caches, beside people, and at SDXL's full size."""

import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr
from peft import LoraConfig
from PIL import Image
from PIL.Image import Resampling
from torch import Tensor, nn
from torch.nn import functional

from bench.measuring import in_turns, table
from bench.painting import request as a_picture
from engine.lora.adapters import Adapters
from engine.messages import (
    EngineSettings,
    Example,
    FileStore,
    JobId,
    Painted,
    Schedule,
    Train,
    TrainingPrecision,
    TrainingSettings,
)
from engine.sdxl.model import Model
from engine.studio import Studio
from engine.training.run import LEARNING, TrainingRun

ROUNDS, STEPS = 5, 4  # steps of each in a round
BATCHES = (1, 4, 8)
FULL_BATCHES = (1, 2, 4, 8)
FULL_ROUNDS = 2  # a GPU's steps differ little
PICTURES = 40  # that somebody paints, one after another
TFLOP, TFLOP_CHECKPOINTED = 13.5, 20.0  # of a picture of 1024x1024 with a LoRA on attention
CAPTION = "a photo of ohwx circle"
RANK, RATE = 16, 1e-4


def measure(model: Callable[[], Model], side: int) -> str:
    """Pictures a second, and pictures by /imagine beside a training; `model` makes a fresh one."""
    with a_store(side) as folder:
        return f"{against_plain(model, folder, side)}\n\n{beside_painting(model, folder, side)}"


def against_plain(model: Callable[[], Model], folder: Path, side: int) -> str:
    """The engine's training and the plain loop, at the same settings in turns."""
    rows = []
    for batch in BATCHES:
        ours = Ours(model(), folder, settings(batch))
        plain, cached = Plain(model(), folder, batch, side), Cached(model(), folder, batch, side)
        times = in_turns([partial(each.steps, STEPS) for each in (ours, plain, cached)], ROUNDS)
        rates = [f"{batch * STEPS / seconds:.1f}" for seconds in times]
        rows.append([batch, *rates, *(f"{seconds / times[0]:.2f}" for seconds in times[1:])])
    head = ["batch", "engine, pictures/s", "plain loop", "plain loop with cached latents"]
    return table([*head, "speed-up (aim 2)", "over the cached one"], rows)


def beside_painting(model: Callable[[], Model], folder: Path, side: int) -> str:
    """What one person's pictures take without and with a training, in turns, and what is left of its pace."""
    chosen = EngineSettings(model="bench", files=str(folder), training_share=0.5)
    free, taken = Studio(model(), chosen), Studio(model(), chosen)
    for _ in taken.accept(request(folder, settings(4))):
        raise RuntimeError("the studio refused the training of the bench")
    time_painting(free, side)
    # The pictures are read and the first steps done before anything is measured.
    for _ in range(40):
        list(taken.step())
    steps = count_steps(taken)
    idle, busy, beside, alone, seconds = list[float](), list[float](), 0, 0, 0.0
    for _ in range(PICTURES):
        idle.append(time_painting(free, side))
        steps.clear()
        busy.append(time_painting(taken, side))
        beside += len(steps)
        steps.clear()
        seconds += train_for(taken, idle[-1])
        alone += len(steps)
    free_pace, pace = alone / seconds, beside / sum(busy)
    rows = [
        ["/imagine alone", *ends(idle), ""],
        ["/imagine while it trains, share 0.5", *ends(busy), f"{p95(busy) / p95(idle):.2f} (aim 2)"],
        ["training, micro-steps/s alone", f"{free_pace:.1f}", "", ""],
        ["training, micro-steps/s beside pictures", f"{pace:.1f}", "", f"{pace / free_pace:.2f}"],
    ]
    return table(["", "p50", "p95", "ratio"], rows)


def full_size(model: Model, side: int = 1024) -> str:
    """Pictures a second, memory and TFLOP/s of SDXL at full size on this GPU."""
    rows = []
    with a_store(side) as folder:
        for checkpointing in (False, True):
            for batch in FULL_BATCHES:
                rows.append(
                    [batch, "yes" if checkpointing else "no", *cells(model, folder, batch, checkpointing)]
                )
    return table(["batch", "gradient checkpointing", "pictures/s", "GB", "TFLOP/s"], rows)


def cells(model: Model, folder: Path, batch: int, checkpointing: bool) -> list[str]:
    """What one training of the table comes to; what does not fit says so."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    ours = None
    try:
        ours = Ours(model, folder, settings(batch, checkpointing=checkpointing))
        (seconds,) = in_turns([partial(ours.steps, STEPS)], FULL_ROUNDS)
    except torch.OutOfMemoryError:
        return ["does not fit", "", ""]
    finally:
        if ours is not None:
            ours.close()
    pictures = batch * STEPS / seconds
    work = TFLOP_CHECKPOINTED if checkpointing else TFLOP
    memory = torch.cuda.max_memory_allocated() / 2**30
    return [f"{pictures:.2f}", f"{memory:.1f}", f"{pictures * work:.0f}"]


def settings(batch: int, *, checkpointing: bool = False) -> TrainingSettings:
    """A training that goes on for longer than anything here, with nothing but steps in it."""
    return TrainingSettings(
        rank=RANK,
        alpha=RANK,
        learning_rate=RATE,
        schedule=Schedule.CONSTANT,
        batch=batch,
        steps=20_000,
        every=20_000,
        caption_dropout=0.0,
        checkpointing=checkpointing,
        precision=TrainingPrecision.AUTO,
    )


@contextmanager
def a_store(side: int) -> Iterator[Path]:
    """A folder of files with four pictures of random noise in it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(4):
            FileStore(folder).put_bytes(noise(number, side))
        yield folder


def noise(number: int, side: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).resize((side, side)).save(file, "PNG")
    return file.getvalue()


def request(folder: Path, chosen: TrainingSettings) -> Train:
    """The training of the pictures in the folder."""
    stored = sorted(path for path in folder.glob("??/*") if len(path.name) == 64)
    examples = tuple(
        Example(sha256=FileStore(folder).put_file(path), name=path.name[:8], caption=CAPTION)
        for path in stored
    )
    return Train(job=JobId("bench"), name="bench", examples=examples, trigger="ohwx", settings=chosen)


class Ours:
    """The engine's own training, past its reading."""

    def __init__(self, model: Model, folder: Path, chosen: TrainingSettings) -> None:
        adapters = Adapters(model.base, folder, 2**31)
        self._training = TrainingRun(request(folder, chosen), model, adapters, folder)
        self.steps(1)

    def steps(self, count: int) -> None:
        """So many optimizer steps."""
        done = 0
        while done < count:
            done += self._training.kind == (LEARNING, "step")
            self._training.step()

    def close(self) -> None:
        self._training.close()


class Plain:
    """What diffusers documents for LoRAs of SDXL, in its order: nothing is remembered from step to step.

    After its example `train_text_to_image_lora_sdxl.py`: at every step the pictures are read from their
    files, resized, cropped and scaled, and VAE and both text encoders run. Larger pictures than these, which
    are of the training's own size, would take it longer.
    """

    def __init__(self, model: Model, folder: Path, batch: int, side: int) -> None:
        self._pipeline, self._side = model.base, side
        self._batch, self._model = batch, model
        unet = self._pipeline.unet
        unet.add_adapter(
            LoraConfig(
                r=RANK,
                lora_alpha=RANK,
                init_lora_weights="gaussian",
                target_modules=["to_k", "to_q", "to_v", "to_out.0"],
            )
        )
        self._parameters = [parameter for parameter in unet.parameters() if parameter.requires_grad]
        for parameter in self._parameters:
            parameter.data = parameter.data.float()
        self._optimizer = torch.optim.AdamW(self._parameters, lr=RATE, weight_decay=1e-2)
        self._scheduler = DDPMScheduler.from_config(self._pipeline.scheduler.config)
        self._files = [path for path in sorted(folder.glob("??/*")) if len(path.name) == 64]

    def steps(self, count: int) -> None:
        """So many optimizer steps."""
        for _ in range(count):
            self._step()

    def _read(self, path: Path) -> Tensor:
        """The picture in this file, (3, side, side) from -1 to 1."""
        side = self._side
        with Image.open(path) as file:
            image = file.convert("RGB")
        scale = side / min(image.size)
        image = image.resize((round(image.width * scale), round(image.height * scale)), Resampling.BILINEAR)
        left, top = random.randint(0, image.width - side), random.randint(0, image.height - side)
        image = image.crop((left, top, left + side, top + side))
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
        return pixels.float().div(255).sub(0.5).div(0.5)

    @torch.no_grad()
    def _encode(self, files: Sequence[Path]) -> tuple[Tensor, Tensor, Tensor]:
        """Latents of the pictures in these files, and both embeddings of their captions."""
        pipeline, model = self._pipeline, self._model
        pixels = torch.stack([self._read(path) for path in files]).to(model.device, model.precision)
        latents = pipeline.vae.encode(pixels).latent_dist.sample() * pipeline.vae.config.scaling_factor
        words, _, pooled, _ = pipeline.encode_prompt(
            [CAPTION] * len(files), do_classifier_free_guidance=False
        )
        return latents, words, pooled

    def _step(self) -> None:
        pipeline, model = self._pipeline, self._model
        latents, words, pooled = self._encode(random.choices(self._files, k=self._batch))
        drawn = torch.randn_like(latents)
        timesteps = torch.randint(1000, (self._batch,), device=model.device)
        noisy = self._scheduler.add_noise(latents, drawn, timesteps)
        side = self._side
        ids = torch.tensor([[side, side, 0, 0, side, side]] * self._batch, device=model.device)
        lower = model.precision is not torch.float32
        with torch.autocast(model.device.type, model.precision, enabled=lower):
            predicted = pipeline.unet(
                noisy,
                timesteps,
                words,
                added_cond_kwargs={"text_embeds": pooled, "time_ids": ids},
                return_dict=False,
            )[0]
        loss = self._loss(predicted.float(), latents, drawn, timesteps)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad()
        float(loss.detach())

    def _loss(self, predicted: Tensor, latents: Tensor, drawn: Tensor, timesteps: Tensor) -> Tensor:
        velocity = self._scheduler.config.prediction_type == "v_prediction"
        target = self._scheduler.get_velocity(latents, drawn, timesteps) if velocity else drawn
        snr = compute_snr(self._scheduler, timesteps)
        weights = snr.clamp(max=5.0) / (snr + 1 if velocity else snr)
        loss = functional.mse_loss(predicted, target.float(), reduction="none")
        weighted: Tensor = loss.mean(dim=(1, 2, 3)) * weights
        return weighted.mean()


class Cached(Plain):
    """The same with latents and embeddings of all pictures encoded once, as other trainers do."""

    def __init__(self, model: Model, folder: Path, batch: int, side: int) -> None:
        super().__init__(model, folder, batch, side)
        self._encoded = {path: super(Cached, self)._encode([path]) for path in self._files}

    def _encode(self, files: Sequence[Path]) -> tuple[Tensor, Tensor, Tensor]:
        latents, words, pooled = zip(*(self._encoded[path] for path in files), strict=True)
        return torch.cat(latents), torch.cat(words), torch.cat(pooled)


def time_painting(studio: Studio, side: int) -> float:
    """Seconds from asking for a picture of 20 steps until it is there."""
    started = time.perf_counter()
    for _ in studio.accept(a_picture(0, 20, 5.0, side)):
        raise RuntimeError("the studio refused a request of the bench")
    while not any(isinstance(event, Painted) for event in studio.step()):
        pass
    return time.perf_counter() - started


def train_for(studio: Studio, seconds: float) -> float:
    """Let the training go on while nobody paints, for about so long; how long it was."""
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        list(studio.step())
    return time.perf_counter() - started


def count_steps(studio: Studio) -> list[None]:
    """Gets an entry for each step of the training from now on."""
    steps: list[None] = []
    advance = studio._step_background

    def step() -> Any:
        steps.append(None)
        return advance()

    studio._step_background = step  # type: ignore[method-assign]
    return steps


def p95(seconds: Sequence[float]) -> float:
    return statistics.quantiles(seconds, n=20)[18]


def ends(seconds: Sequence[float]) -> tuple[str, str]:
    """The median, and what 95 of 100 stay under."""
    return f"{statistics.median(seconds):.3f} s", f"{p95(seconds):.3f} s"
