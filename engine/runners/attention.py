"""The attention kernels of a GPU: cuDNN's first on the cards that they are fastest on."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

HOPPER = 9  # compute capability from which cuDNN's attention is faster than FlashAttention 2
FASTEST_FIRST = [
    SDPBackend.CUDNN_ATTENTION,
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
]


def fast_attention(device: torch.device) -> AbstractContextManager[Any]:
    """A context in which attention takes the kernels that are fastest on this device.

    Where one cannot compute what is asked, torch takes the next.
    """
    if device.type != "cuda" or torch.cuda.get_device_capability(device)[0] < HOPPER:
        return nullcontext()
    context: AbstractContextManager[Any] = sdpa_kernel(FASTEST_FIRST, set_priority=True)
    return context
