"""The training loop of the demo model, with plans, checkpoints and averaged weights.

Batches must depend on the step alone, so that a run resumed from its checkpoint ends with the same bits.
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
    """Steps and learning rate: warm-up to `rate`, cosine to zero, weights averaged with `decay`."""

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
        warmup = min(1.0, (step + 1) / max(1, self.warmup))
        return self.rate * warmup * 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.steps)))

    def noise_generator(self, step: int, device: torch.device | str = "cpu") -> torch.Generator:
        """The worker's noise generator of a step, always the same."""
        return torch.Generator(device).manual_seed(self.seed * 1_000_003 + step * 101 + worker()[0])

    def rng(self, stage: int, step: int) -> np.random.Generator:
        """The worker's random generator of a step of a stage, always the same."""
        return np.random.default_rng([self.seed, stage, step, worker()[0]])

    @property
    def own_batch(self) -> int:
        """The part of each batch that one worker has."""
        return self.batch // worker()[1]


@dataclass(frozen=True)
class SplitLoss:
    """A loss by step in two parts: the inputs of a step, and the loss of inputs, which can be replayed."""

    inputs: Callable[[int], tuple[Tensor, ...]]
    loss: Callable[..., Tensor]

    def __call__(self, step: int) -> Tensor:
        return self.loss(*self.inputs(step))


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
            for tensor, saved in zip(
                [*self.parameters, *self.average], [*state["parameters"], *state["average"]], strict=True
            ):
                tensor.copy_(saved)

    def save(self) -> None:
        """Write the checkpoint to a temporary file and rename it."""
        state = {
            "step": self.step,
            "optimizer": self.optimizer.state_dict(),
            "parameters": [p.detach() for p in self.parameters],
            "average": self.average,
        }
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.checkpoint.with_suffix(".part")
        torch.save(state, temporary)
        temporary.replace(self.checkpoint)

    def advance(self, loss: Callable[[int], Tensor]) -> Tensor:
        """Take one optimizer step. Returns its loss, still on its device."""
        rate = self.plan.rate_at(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        value = self._compute_gradients(loss)
        share_gradients(self.parameters)
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.step += 1
        decay = min(self.plan.decay, self.step / (self.step + 10))
        get_ema_multi_avg_fn(decay)(self.average, self.parameters, None)  # type: ignore[no-untyped-call]
        return value

    def _compute_gradients(self, loss: Callable[[int], Tensor]) -> Tensor:
        """Compute the gradients of the current step. Returns its loss."""
        if isinstance(loss, SplitLoss) and self.parameters[0].is_cuda:
            if self._replay is None:
                self._replay = Replay(loss.loss, self.parameters)
            return self._replay(loss.inputs(self.step))
        value = loss(self.step)
        self.optimizer.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        return value.detach()

    @contextmanager
    def average_weights(self) -> Iterator[None]:
        """A context in which the model has the averaged weights."""
        training = [p.detach().clone() for p in self.parameters]
        self.use_average()
        yield
        with torch.no_grad():
            for parameter, saved in zip(self.parameters, training, strict=True):
                parameter.copy_(saved)

    def use_average(self) -> None:
        """Set the model to the averaged weights, after the training."""
        with torch.no_grad():
            for parameter, mean in zip(self.parameters, self.average, strict=True):
                parameter.copy_(mean)


def share_gradients(parameters: list[Tensor]) -> None:
    """Average the gradients over the workers, where there are several."""
    if not dist.is_initialized():
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for gradient, mean in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def bfloat16_where_fast(device: torch.device | None = None) -> torch.autocast:
    """Autocast to bfloat16 on a GPU, and on CPUs with instructions for it. Others emulate it, a hundred times
    slower."""
    if device is not None and device.type == "cuda":
        return torch.autocast("cuda", torch.bfloat16)
    capabilities = torch.cpu.get_capabilities()
    fast = bool(capabilities.get("avx512_bf16") or capabilities.get("amx_tile"))
    return torch.autocast("cpu", torch.bfloat16, enabled=fast)


def worker() -> tuple[int, int]:
    """This worker's rank and the number of workers: (0, 1) where there is only one."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def fit(run: Run, loss: Callable[[int], Tensor], *, report_every: int = 100) -> Iterator[int]:
    """Train to the end of the plan.

    Logs the mean loss and the speed now and then, and yields the step then.
    """
    losses: list[Tensor] = []
    began, plan = time.monotonic(), run.plan
    while run.step < plan.steps:
        losses.append(run.advance(loss))
        if worker()[0] == 0 and (run.step % plan.save_every == 0 or run.step == plan.steps):
            run.save()
        if run.step % report_every == 0 or run.step == plan.steps:
            mean = float(torch.stack(losses).mean())
            speed = len(losses) * plan.batch / (time.monotonic() - began)
            log.info("Step %d/%d loss %.5f, %.0f/s", run.step, plan.steps, mean, speed)
            losses, began = [], time.monotonic()
            yield run.step
