"""The network that enlarges pictures, any that spandrel reads, tile by tile so that memory is bounded."""

import logging
from collections.abc import Callable, Generator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from PIL.Image import Resampling

from engine.messages import EngineSettings
from engine.sdxl.model import DEMO, CannotLoad, check_file, first_sentence
from engine.sdxl.tiles import place_tiles
from engine.vision.spandrel_library import import_spandrel

SHIPPED = DEMO / "upscaler" / "model.safetensors"
TILE = 192  # pixels of a side of what the network sees at once
CONTEXT = 16  # pixels of a tile at its inner edges that are seen, and come from its neighbour
FACTORS = (2, 4)  # of networks
PICKLES = (".pth", ".pt", ".ckpt")

log = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]


class Upscaler:
    """Enlarges pictures 2 or 4 times by one network."""

    def __init__(self, path: Path, device: torch.device, precision: torch.dtype) -> None:
        """Raises CannotLoad where the file is no network that enlarges 2 or 4 times."""
        self.name = path.stem if path != SHIPPED else "demo"
        network = read_network(path)
        network.to(device).eval()
        self._network = network
        self._device = device
        self._precision = usable_precision(network, precision)
        self._network.model.to(self._precision)

    def count_steps(self, width: int, height: int, factor: int) -> int:
        """How many steps `enlarge` takes for a picture of this size."""
        steps, reached = 0, 1
        while reached < factor:
            steps += len(place_tiles(width * reached, height * reached, TILE, CONTEXT))
            reached *= self._network.scale
        return steps

    def enlarge(self, picture: Image.Image, factor: int) -> Generator[None, None, Image.Image]:
        """The picture in RGB, 2 or 4 times as wide and high. Pauses after each tile.

        A network that enlarges less is used twice, and what one enlarges more is made smaller.
        """
        size = (picture.width * factor, picture.height * factor)
        while picture.width < size[0]:
            picture = yield from self._enlarge_once(picture)
        return picture if picture.size == size else picture.resize(size, Resampling.LANCZOS)

    def _enlarge_once(self, picture: Image.Image) -> Generator[None, None, Image.Image]:
        pixels, scale = np.asarray(picture), self._network.scale
        whole = np.empty((picture.height * scale, picture.width * scale, 3), np.uint8)
        for tile in place_tiles(picture.width, picture.height, TILE, CONTEXT):
            enlarged = self._enlarge_tile(pixels[tile.top : tile.bottom, tile.left : tile.right])
            own = tile.own
            whole[own.top * scale : own.bottom * scale, own.left * scale : own.right * scale] = enlarged[
                (own.top - tile.top) * scale : (own.bottom - tile.top) * scale,
                (own.left - tile.left) * scale : (own.right - tile.left) * scale,
            ]
            yield
        return Image.fromarray(whole)

    @torch.inference_mode()
    def _enlarge_tile(self, pixels: Pixels) -> Pixels:
        values = torch.tensor(pixels).to(self._device).permute(2, 0, 1)[None] / 255
        enlarged = self._network(values.to(self._precision)).float()
        if self._precision == torch.float16 and not bool(enlarged.isfinite().all()):
            log.warning("The numbers of the network %r are too large for float16", self.name)
            self._precision = torch.float32
            self._network.model.float()
            enlarged = self._network(values)
        result: Pixels = (enlarged[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
        return result


def load_upscaler(
    settings: EngineSettings, device: torch.device, precision: torch.dtype
) -> Callable[[], Upscaler] | None:
    """What returns the configured upscaler, loaded at once so that mistakes are told; that of the model that
    ships, loaded when it is first needed; or None. Raises CannotLoad.
    """
    if settings.upscaler:
        upscaler = Upscaler(Path(settings.upscaler), device, precision)
        return lambda: upscaler
    return cache(partial(Upscaler, SHIPPED, device, precision)) if settings.model == "demo" else None


def usable_precision(network: Any, precision: torch.dtype) -> torch.dtype:
    """This precision, if the network computes in it, or else the next that it does."""
    if precision == torch.float16 and network.supports_half:
        return precision
    if precision != torch.float32 and network.supports_bfloat16:
        return torch.bfloat16
    return torch.float32


def read_network(path: Path) -> Any:
    """The network of a file, on the CPU. Raises CannotLoad, with a sentence for the operator."""
    trouble = f"The upscaler {str(path)!r} cannot be loaded."
    try:
        spandrel = import_spandrel()
    except ModuleNotFoundError as error:
        raise CannotLoad(f"{trouble} Install it by pip install --no-deps spandrel.") from error
    try:
        state = spandrel.canonicalize_state_dict(read_state(path))
        network = spandrel.MAIN_REGISTRY.load(state)
    except spandrel.UnsupportedModelError as error:
        raise CannotLoad(f"{trouble} It is no network of a kind that spandrel knows.") from error
    except Exception as error:  # spandrel reads what the file says of itself, and stumbles in many ways
        raise CannotLoad(f"{trouble} {first_sentence(error)}") from error
    colours = (network.input_channels, network.output_channels)
    if network.purpose not in ("SR", "FaceSR") or colours != (3, 3):
        raise CannotLoad(f"{trouble} It does not enlarge pictures in colour.")
    if network.scale not in FACTORS:
        raise CannotLoad(f"{trouble} It enlarges {network.scale} times, and 2 or 4 times are needed.")
    return network


def read_state(path: Path) -> dict[str, Any]:
    """The tensors of a file, without running any code in it: pickles are read as weights only."""
    check_file(str(path))
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    if path.suffix in PICKLES:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if isinstance(state, dict):
            return state
        raise ValueError("It holds no weights.")
    raise ValueError(f"Its name must end in .safetensors or {', '.join(PICKLES)}.")
