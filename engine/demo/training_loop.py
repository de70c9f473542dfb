"""A training run: a plan, and a loop that can stop after any step and go on as if it never had.

Batches must be a pure function of the step, so that a run resumed from its checkpoint ends in the same bits.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from engine.demo.cuda_graph import Replay

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long and how fast to learn: warm-up to `rate`, cosine to zero, weights averaged with `decay`."""

    steps: int
    batch: int
    rate: float
    warmup: int = 200
    decay: float = 0.999
    seed: int = 0
    save_every: int = 1000
    weight_decay: float = 0.01

    def rate_at(self, step: int) -> float:
        """Learning rate of a step in [0, steps)."""
        rising = min(1.0, (step + 1) / max(1, self.warmup))
        return self.rate * rising * 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.steps)))

    def noise(self, step: int, device: torch.device | str = "cpu") -> torch.Generator:
        """The worker's source of noise for a step, the same whenever it is asked for."""
        return torch.Generator(device).manual_seed(self.seed * 1_000_003 + step * 101 + worker()[0])

    def rng(self, stage: int, step: int) -> np.random.Generator:
        """The worker's source of choices for a step of a stage."""
        return np.random.default_rng([self.seed, stage, step, worker()[0]])

    @property
    def own_batch(self) -> int:
        """How much of each batch falls to one worker."""
        return self.batch // worker()[1]


@dataclass(frozen=True)
class Lesson:
    """A loss in two halves: what a step shows, made anew each time, and the error on it."""

    shown: Callable[[int], tuple[Tensor, ...]]
    error: Callable[..., Tensor]

    def __call__(self, step: int) -> Tensor:
        return self.error(*self.shown(step))


class Run:
    """One model under training, with its optimizer and the running average of its weights."""

    def __init__(self, model: nn.Module, plan: Plan, checkpoint: Path) -> None:
        self.model, self.plan, self.checkpoint = model, plan, checkpoint
        self.step = 0
        self._replay: Replay | None = None
        self.parameters: list[Tensor] = [p for p in model.parameters() if p.requires_grad]
        self.average = [p.detach().clone() for p in self.parameters]
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=plan.rate, betas=(0.9, 0.99), weight_decay=plan.weight_decay, fused=True
        )
        if checkpoint.exists():
            self._load(torch.load(checkpoint, weights_only=True))

    def _load(self, state: dict[str, Any]) -> None:
        self.step = state["step"]
        self.optimizer.load_state_dict(state["optimizer"])
        with torch.no_grad():
            for mine, saved in zip(
                [*self.parameters, *self.average], [*state["parameters"], *state["average"]], strict=True
            ):
                mine.copy_(saved)

    def save(self) -> None:
        """Write the checkpoint aside, then rename it into place."""
        state = {
            "step": self.step,
            "optimizer": self.optimizer.state_dict(),
            "parameters": [p.detach() for p in self.parameters],
            "average": self.average,
        }
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        aside = self.checkpoint.with_suffix(".part")
        torch.save(state, aside)
        aside.replace(self.checkpoint)

    def advance(self, loss: Callable[[int], Tensor]) -> Tensor:
        """One optimizer step on the loss of the current step; returns that loss, still on its device."""
        rate = self.plan.rate_at(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        value = self._learn(loss)
        share_gradients(self.parameters)
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.step += 1
        decay = min(self.plan.decay, self.step / (self.step + 10))
        get_ema_multi_avg_fn(decay)(self.average, self.parameters, None)  # type: ignore[no-untyped-call]
        return value

    def _learn(self, loss: Callable[[int], Tensor]) -> Tensor:
        """The loss of the current step, whose gradients lie in the parameters afterwards."""
        if isinstance(loss, Lesson) and self.parameters[0].is_cuda:
            if self._replay is None:
                self._replay = Replay(loss.error, self.parameters)
            return self._replay(loss.shown(self.step))
        value = loss(self.step)
        self.optimizer.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        return value.detach()

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The averaged weights inside the block, the ones under training after it."""
        training = [p.detach().clone() for p in self.parameters]
        self.use_average()
        yield
        with torch.no_grad():
            for mine, kept in zip(self.parameters, training, strict=True):
                mine.copy_(kept)

    def use_average(self) -> None:
        """Put the averaged weights into the model, for use rather than for more training."""
        with torch.no_grad():
            for mine, mean in zip(self.parameters, self.average, strict=True):
                mine.copy_(mean)


def share_gradients(parameters: list[Tensor]) -> None:
    """Average the gradients over the workers, if there are several."""
    if not dist.is_initialized():
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for gradient, mean in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def bfloat16_where_fast(device: torch.device | None = None) -> torch.autocast:
    """Autocast to bfloat16 on a GPU, and on processors that multiply it; the others emulate it, a hundred
    times slower."""
    if device is not None and device.type == "cuda":
        return torch.autocast("cuda", torch.bfloat16)
    has = torch.cpu.get_capabilities()
    fast = bool(has.get("avx512_bf16") or has.get("amx_tile"))
    return torch.autocast("cpu", torch.bfloat16, enabled=fast)


def worker() -> tuple[int, int]:
    """This worker's number and how many there are: (0, 1) when nobody shares the work."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def fit(run: Run, loss: Callable[[int], Tensor], *, report_every: int = 100) -> Iterator[int]:
    """Train to the end of the plan, yielding the step after each report; logs the mean loss and the speed."""
    losses: list[Tensor] = []
    began, plan = time.monotonic(), run.plan
    while run.step < plan.steps:
        losses.append(run.advance(loss))
        if worker()[0] == 0 and (run.step % plan.save_every == 0 or run.step == plan.steps):
            run.save()
        if run.step % report_every == 0 or run.step == plan.steps:
            mean = float(torch.stack(losses).mean())
            speed = len(losses) * plan.batch / (time.monotonic() - began)
            log.info("step %d/%d loss %.5f, %.0f/s", run.step, plan.steps, mean, speed)
            losses, began = [], time.monotonic()
            yield run.step
