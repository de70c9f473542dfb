"""The resident model: SDXL (or the small one that ships) with its refiner, on its device."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline
from safetensors import SafetensorError

from engine.messages import EngineSettings

DEMO = Path(__file__).parents[1] / "demo"
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
COMPILED = 64  # times that a block is compiled: for widths, one row or more, and what LoRAs have changed
SMALL_MEMORY = 12 * 2**30  # bytes of GPU memory under which the VAE decodes in slices and tiles


class CannotLoad(Exception):
    """One sentence for the operator: what is wrong with the model that config.toml names."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """Two diffusers pipelines on one device; `refiner` is None when there is none."""

    name: str
    base: Any
    refiner: Any
    device: torch.device
    precision: torch.dtype

    @property
    def factor(self) -> int:
        """Pixels per latent, a side."""
        return int(2 ** (len(self.base.vae.config.block_out_channels) - 1))

    @property
    def side(self) -> int:
        """The native side in pixels: 1024 for SDXL, 128 for the model that ships."""
        return int(self.base.unet.config.sample_size) * self.factor


def load_model(settings: EngineSettings) -> Model:
    """Load what the settings name onto the device they name. Raises CannotLoad with one sentence."""
    device = chosen_device(settings.device)
    precision = chosen_precision(settings.precision, device)
    name, refiner_name = settings.model, settings.refiner
    if name == "demo":
        name, refiner_name = str(DEMO / "base"), refiner_name or str(DEMO / "refiner")
    base = pipeline_from(StableDiffusionXLPipeline, name, precision)
    if settings.vae:
        base.vae = vae_from(settings.vae, precision)
    refiner = None
    if refiner_name:
        refiner = pipeline_from(StableDiffusionXLImg2ImgPipeline, refiner_name, precision)
        refiner.vae = base.vae
    for pipeline in filter(None, (base, refiner)):
        settle(pipeline, device, compiled=settings.compile)
    if device.type == "cuda" and torch.cuda.mem_get_info(device)[1] < SMALL_MEMORY:
        base.vae.enable_slicing()
        base.vae.enable_tiling()
    return Model(name=settings.model, base=base, refiner=refiner, device=device, precision=precision)


def settle(pipeline: Any, device: torch.device, *, compiled: bool) -> None:
    """Move the pipeline to its device for inference, in the memory layout that its convolutions like."""
    pipeline.to(device)
    pipeline.set_progress_bar_config(disable=True)
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.requires_grad_(requires_grad=False).eval()
    pipeline.unet.to(memory_format=torch.channels_last)
    pipeline.vae.to(memory_format=torch.channels_last)
    if compiled:
        compile_blocks(pipeline.unet)


def compile_blocks(unet: Any, backend: str | Callable[..., Any] = "inductor") -> None:
    """Let the UNet's blocks be compiled at their first forwards, and anew when LoRAs come into other modules.

    After too many times a block goes on as it is; no job fails for that.
    """
    torch.compiler.config.recompile_limit = COMPILED
    unet.compile_repeated_blocks(dynamic=True, backend=backend)


def uncompiled() -> AbstractContextManager[Any]:
    """Within, compiled blocks run as they are: for LoRAs that count, each of which would be compiled anew."""
    way: AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
    return way


def chosen_device(name: str) -> torch.device:
    """The device by name; "auto" takes the GPU when there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise CannotLoad(f"the device {name!r} cannot be used here: {first_sentence(error)}") from error
    return device


def chosen_precision(name: str, device: torch.device) -> torch.dtype:
    """The precision by name; "auto" is float32 on a CPU, on a GPU bfloat16 where it has it, else float16."""
    if name != "auto":
        return PRECISIONS[name]
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def pipeline_from(kind: Any, name: str, precision: torch.dtype) -> Any:
    """A diffusers pipeline from a folder, a single .safetensors file or a Hugging Face id."""
    try:
        if name.endswith(".safetensors"):
            return kind.from_single_file(existing(name), dtype=precision)
        return kind.from_pretrained(
            name, dtype=precision, use_safetensors=True, add_watermarker=False, local_files_only=is_path(name)
        )
    except (OSError, ValueError, KeyError, SafetensorError, RuntimeError) as error:
        raise CannotLoad(f"the model {name!r} cannot be loaded: {first_sentence(error)}") from error


def vae_from(name: str, precision: torch.dtype) -> Any:
    """A VAE of its own, such as madebyollin/sdxl-vae-fp16-fix, in place of the model's."""
    try:
        if name.endswith(".safetensors"):
            return AutoencoderKL.from_single_file(existing(name), dtype=precision)
        return AutoencoderKL.from_pretrained(
            name, dtype=precision, use_safetensors=True, local_files_only=is_path(name)
        )
    except (OSError, ValueError, KeyError, SafetensorError, RuntimeError) as error:
        raise CannotLoad(f"the VAE {name!r} cannot be loaded: {first_sentence(error)}") from error


def existing(name: str) -> str:
    """The path, if a file is there."""
    if not Path(name).is_file():
        raise FileNotFoundError("there is no such file")
    return name


def is_path(name: str) -> bool:
    """Whether the name means a local folder rather than a Hugging Face id."""
    return Path(name).is_dir() or name.startswith(("/", "./", "../", "~"))


def first_sentence(error: BaseException) -> str:
    """The beginning of an error's text, for a sentence of ours; the whole goes to the log."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.partition(". ")[0].rstrip(".")[:300] + "."
