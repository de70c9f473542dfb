"""One step of a training: how many operations it gives to the device, and how long it takes."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

from bench.measuring import in_turns, table
from bench.training import Cached, Ours, a_store, settings
from engine.messages import EngineSettings
from engine.sdxl.model import load_model

ROUNDS, STEPS, BATCH = 5, 2, 4
PRECISIONS = ("float32", "bfloat16")
MEMORY = ("empty", "empty_like", "empty_strided", "new_empty", "_unsafe_view", "detach", "lift_fresh")


class OperationCounter(TorchDispatchMode):
    """Counts the operations that compute or copy numbers: no views, and nothing that only takes memory."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        returned = func._schema.returns
        is_view = any(each.alias_info is not None and not each.alias_info.is_write for each in returned)
        if not is_view and name not in MEMORY:
            self.counts[name] += 1
        return func(*args, **(kwargs or {}))


def count_operations(work: Callable[[], object]) -> int:
    """How many operations the work gives to the device."""
    with OperationCounter() as counter:
        work()
    return sum(counter.counts.values())


def against_cached(side: int) -> str:
    """The engine's training of the model that ships beside diffusers' example with PEFT's layers, in turns.

    Both have their latents and embeddings ready, so layers, casts and optimizer make the difference.
    """
    rows = []
    with a_store(side) as folder:
        for precision in PRECISIONS:
            load = partial(load_model, EngineSettings(model="demo", precision=precision))
            ours = Ours(load(), folder, settings(BATCH))
            loop = Cached(load(), folder, BATCH, side)
            loop.steps(1)
            counts = [count_operations(partial(trained.steps, 1)) for trained in (ours, loop)]
            engine, cached = in_turns([partial(ours.steps, STEPS), partial(loop.steps, STEPS)], ROUNDS)
            ours.close()
            times = [f"{seconds / STEPS * 1000:.0f} ms" for seconds in (engine, cached)]
            rows.append([precision, *counts, *times, f"{cached / engine:.2f}"])
    head = ["", "operations, engine", "PEFT's layers", "step, engine", "PEFT's layers", "speed-up"]
    return table(head, rows)
