"""The memory layout of a UNet's convolutions: channels last or first, whichever is faster on this GPU."""

import time
from collections.abc import Callable
from typing import Any

import torch

from engine.runners.runner import UnetInputs

ROWS = 2  # one picture with classifier-free guidance
TIMED = 3  # forwards with each layout, after one to warm up


@torch.inference_mode()
def use_faster_layout(
    unet: Any, side: int, synchronize: Callable[[], None], clock: Callable[[], float] = time.perf_counter
) -> torch.memory_format:
    """Measure a UNet's forward with both layouts, and leave the faster one. Returns it.

    side: of its latents. synchronize: waits for the device. clock: returns seconds.
    """
    inputs = UnetInputs.examples(unet, ROWS, side, side)

    def seconds() -> float:
        inputs.run(unet)
        synchronize()
        started = clock()
        for _ in range(TIMED):
            inputs.run(unet)
        synchronize()
        return clock() - started

    times = {}
    for layout in (torch.contiguous_format, torch.channels_last):
        unet.to(memory_format=layout)
        times[layout] = seconds()
    fastest = min(times, key=lambda layout: times[layout])
    unet.to(memory_format=fastest)
    return fastest
