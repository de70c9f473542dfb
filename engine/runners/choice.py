"""The choice of how forwards are run, by the device, the size of the UNet and the settings."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from engine.messages import EngineSettings, WeightFormat
from engine.runners.captured import CudaCapturer, GraphCapturer
from engine.runners.compiled import BackgroundCompiler, CompiledRunner, CompiledVae, EagerVae
from engine.runners.compiled_code import forget_code, use_code_folder
from engine.runners.graphs import GraphRunner
from engine.runners.openvino_graphs import OpenVinoCompiler
from engine.runners.runner import EagerRunner, Shape, UnetInputs, UnetRunner
from engine.runners.traced import Tracer

LARGEST_TRACED = 10**8  # parameters: operations of a larger UNet take far longer than Python between them
USUAL_SIDES = (1.0, 0.75, 0.5)  # of the native side, of pictures that a GPU is prepared for
GUIDED = 2  # rows of one picture with classifier-free guidance

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Runners:
    """How the model's parts are run. fast: the base of fast steps. refiner: None where there is none."""

    base: UnetRunner
    fast: UnetRunner
    refiner: UnetRunner | None
    vae: CompiledVae | EagerVae

    def __iter__(self) -> Iterator[UnetRunner]:
        return (runner for runner in (self.base, self.fast, self.refiner) if runner is not None)

    @property
    def decoder(self) -> Any:
        """The VAE that decodes now."""
        return self.vae.network


def make_runners(model: Any, fast: Any, settings: EngineSettings) -> Runners:
    """The runners of a model's UNets and its VAE. What is to be compiled is begun.

    fast: the base UNet's module for fast steps.
    """
    compiles = settings.compile and settings.weights is WeightFormat.FULL
    compiler = make_compiler(settings) if compiles else None
    runners = Runners(
        base=make_runner(model.base.unet, settings, compiler),
        fast=make_runner(fast, settings, compiler),
        refiner=model.refiner and make_runner(model.refiner.unet, settings, compiler),
        vae=EagerVae(model.base.vae) if compiler is None else CompiledVae(model.base.vae, compiler),
    )
    if compiler is not None:
        compiler.start()
    return runners


def make_compiler(settings: EngineSettings) -> BackgroundCompiler:
    """A compiler whose code is kept beside the stored files."""
    folder = Path(settings.files).parent / "compiled"
    use_code_folder(folder)
    return BackgroundCompiler(forget_code=partial(forget_code, folder))


def make_runner(
    network: Any, settings: EngineSettings, compiler: BackgroundCompiler | None = None
) -> UnetRunner:
    """The fastest runner of a UNet, or of another module that is called like one and knows its device.

    compiler: of a UNet's blocks, where they are to be compiled.
    """
    runner = make_uncompiled(network, settings)
    return runner if compiler is None else CompiledRunner(runner, network, compiler)


def make_uncompiled(network: Any, settings: EngineSettings) -> EagerRunner:
    """The fastest runner of a network without compiled blocks.

    Graphs would keep the mix of LoRAs that weights in few bits had when they were made.
    """
    if settings.weights is not WeightFormat.FULL:
        return EagerRunner(network)
    if network.device.type == "cuda":
        captured = GraphRunner(network, GraphCapturer(CudaCapturer()))
        captured.expect(*usual_shapes(network))
        return captured
    parameters = sum(parameter.numel() for parameter in network.parameters())
    if network.device.type == "cpu" and parameters <= LARGEST_TRACED and not settings.compile:
        return make_cpu_graphs(network, settings)
    return EagerRunner(network)


def make_cpu_graphs(network: Any, settings: EngineSettings) -> GraphRunner:
    """Traced forwards, and OpenVINO's where the settings want it and it is installed."""
    traced = GraphRunner(network, Tracer())
    if settings.cpu_runtime == "torch" or next(network.parameters()).dtype != torch.float32:
        return traced
    try:
        return GraphRunner(traced, OpenVinoCompiler(network))
    except ImportError:
        if settings.cpu_runtime == "openvino":
            log.warning("OpenVINO is not installed, and forwards are run by torch")
        return traced


def usual_shapes(network: Any) -> list[Shape]:
    """The shapes of forwards that people will need first, where the network is a UNet and so has a size."""
    if (config := getattr(network, "config", None)) is None:
        return []
    sides = [round(share * config.sample_size) for share in USUAL_SIDES]
    return [UnetInputs.examples(network, GUIDED, side, side).shape for side in sides]
