"""Text generation by a model of transformers, a token at a time, with other work between."""

import threading
from collections.abc import Generator, Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import StoppingCriteriaList


class _Turns:
    """A stopping criterion that ends a turn behind every token, and the generation once `stopped`."""

    def __init__(self) -> None:
        self._begin, self._end = threading.Semaphore(0), threading.Semaphore(0)
        self.stopped = False

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """Called by transformers in the generation's thread. input_ids: (B, T)."""
        self.finish()
        self.wait()
        return torch.full((input_ids.shape[0],), self.stopped, device=input_ids.device, dtype=torch.bool)

    def wait(self) -> None:
        self._begin.acquire()

    def finish(self) -> None:
        self._end.release()

    def take(self) -> None:
        """Let the generation go on for one turn."""
        self._begin.release()
        self._end.acquire()


def generate_in_steps(model: Any, inputs: Mapping[str, Any], **options: Any) -> Generator[None, None, Tensor]:
    """`model.generate` with a pause behind every token; returns its token ids.

    It runs in a thread of its own, which waits while this generator is not asked to go on, so that never more
    than one of the two computes. A generator that is closed ends it. Raises what `generate` raises.
    """
    turns = _Turns()
    ended: list[Tensor | BaseException] = []

    def run() -> None:
        turns.wait()
        try:
            with torch.inference_mode():
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
