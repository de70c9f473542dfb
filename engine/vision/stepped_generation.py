"""Text generation by a model of transformers, a token or a few layers at a time, with other work between."""

import threading
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import StoppingCriteriaList

LONG = 0.1  # seconds after which a turn ends at the next layer, where the vision model takes long


class _Stopped(Exception):
    """Nobody waits for the generation any more."""


class _Turns:
    """A stopping criterion that ends a turn behind every token, and the generation once `stopped`."""

    def __init__(self) -> None:
        self._begin, self._end = threading.Semaphore(0), threading.Semaphore(0)
        self._began = 0.0
        self.stopped = False

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """Called by transformers in the generation's thread. input_ids: (B, T)."""
        self.finish()
        self.wait()
        return torch.full((input_ids.shape[0],), self.stopped, device=input_ids.device, dtype=torch.bool)

    def pause_before_layer(self, *_: Any) -> None:
        """Called before each layer, in the generation's thread."""
        if time.monotonic() - self._began > LONG:
            self.finish()
            self.wait()
            if self.stopped:
                raise _Stopped

    def wait(self) -> None:
        self._begin.acquire()
        self._began = time.monotonic()

    def finish(self) -> None:
        self._end.release()

    def take(self) -> None:
        """Let the generation go on for one turn."""
        self._begin.release()
        self._end.acquire()


def generate_in_steps(model: Any, inputs: Mapping[str, Any], **options: Any) -> Generator[None, None, Tensor]:
    """`model.generate` with a pause behind every token, and within what takes long; returns its token ids.

    It runs in a thread of its own, which waits while this generator is not asked to go on, so that never more
    than one of the two computes. A generator that is closed ends it. Raises what `generate` raises.
    """
    turns = _Turns()
    ended: list[Tensor | BaseException] = []

    def run() -> None:
        turns.wait()
        try:
            with torch.inference_mode(), _layer_hooks(model, turns):
                stopping = StoppingCriteriaList([turns])
                ended.append(model.generate(**inputs, **options, stopping_criteria=stopping))
        except BaseException as error:  # it is raised where the generator is asked to go on
            ended.append(error)
        finally:
            turns.finish()

    thread = threading.Thread(target=run, name="captioner", daemon=True)
    thread.start()
    try:
        while not ended:
            turns.take()
            if not ended:
                yield
    finally:
        if not ended:
            turns.stopped = True
            turns.take()
        thread.join()
    (result,) = ended
    if isinstance(result, BaseException):
        raise result
    return result


@contextmanager
def _layer_hooks(model: nn.Module, turns: _Turns) -> Iterator[None]:
    """A context in which a turn may end before any of the model's layers."""
    layers = [layer for module in model.modules() if isinstance(module, nn.ModuleList) for layer in module]
    hooks = [layer.register_forward_pre_hook(turns.pause_before_layer) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
