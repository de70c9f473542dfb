"""The choice of how a UNet's forwards are run, by its device and size and by the settings."""

from typing import Any

from engine.messages import EngineSettings
from engine.runners.graphs import GraphRunner
from engine.runners.runner import EagerRunner, UnetRunner
from engine.runners.traced import Tracer

LARGEST_TRACED = 10**8  # parameters: operations of a larger UNet take far longer than Python between them


def make_runner(unet: Any, settings: EngineSettings) -> UnetRunner:
    """The fastest runner of this UNet, or of another module that is called like one."""
    parameters = sum(parameter.numel() for parameter in unet.parameters())
    if unet.device.type == "cpu" and parameters <= LARGEST_TRACED and not settings.compile:
        return GraphRunner(unet, Tracer())
    return EagerRunner(unet)
