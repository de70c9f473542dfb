"""Loading of the model: SDXL, or the small one that ships, with its refiner, onto the device."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline
from safetensors import SafetensorError

from engine.messages import EngineSettings, WeightFormat
from engine.runners.layout import use_faster_layout
from engine.sdxl.number_range import is_in_range
from engine.sdxl.quantized_linear import can_hold, quantize_layers

DEMO = Path(__file__).parents[1] / "demo"
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
SMALL_MEMORY = 12 * 2**30  # bytes of GPU memory under which the VAE decodes in slices and tiles

log = logging.getLogger(__name__)


class CannotLoad(Exception):
    """The model that config.toml names cannot be loaded. The text says why, to the operator."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """Two diffusers pipelines on one device. `refiner` is None where there is none."""

    name: str
    base: Any
    refiner: Any
    device: torch.device
    precision: torch.dtype

    @property
    def factor(self) -> int:
        """Pixels per latent along a side: 8 for SDXL."""
        return int(2 ** (len(self.base.vae.config.block_out_channels) - 1))

    @property
    def side(self) -> int:
        """The native side in pixels: 1024 for SDXL, 128 for the model that ships."""
        return int(self.base.unet.config.sample_size) * self.factor


def load_model(settings: EngineSettings) -> Model:
    """Load the model that the settings name onto the device that they name. Raises CannotLoad."""
    device = resolve_device(settings.device)
    return load_in_range(settings, device, resolve_precisions(settings.precision, device))


def load_in_range(settings: EngineSettings, device: torch.device, precisions: Sequence[torch.dtype]) -> Model:
    """Load the model in the first of these precisions that holds its numbers. Raises CannotLoad."""
    for precision in precisions:
        model = load_in_precision(settings, device, precision)
        if precision is not torch.float16 or all(map(is_in_range, filter(None, (model.base, model.refiner)))):
            return model
        del model
        log.warning("The numbers of the model %r are too large for float16", settings.model)
    raise CannotLoad(
        f"The model {settings.model!r} cannot be loaded in float16. Its numbers are too large. "
        "Set [engine] precision to another."
    )


def load_in_precision(settings: EngineSettings, device: torch.device, precision: torch.dtype) -> Model:
    """Load the model in this precision. Raises CannotLoad."""
    name, refiner_name = settings.model, settings.refiner
    if name == "demo":
        name, refiner_name = str(DEMO / "base"), refiner_name or str(DEMO / "refiner")
    base = load_pipeline(StableDiffusionXLPipeline, name, precision)
    if settings.vae:
        base.vae = load_vae(settings.vae, precision)
    if precision is torch.float16 and base.vae.config.force_upcast and supports_bfloat16(device):
        base.vae.to(torch.bfloat16)  # in which it need not decode in float32
    if not can_hold_weights(settings.weights, device):
        raise CannotLoad(
            f"The weights cannot be held in {settings.weights} on {device}. Set [engine] weights to another."
        )
    refiner = None
    if refiner_name:
        refiner = load_pipeline(StableDiffusionXLImg2ImgPipeline, refiner_name, precision)
        refiner.vae = base.vae
    for pipeline in filter(None, (base, refiner)):
        if settings.weights is not WeightFormat.FULL:
            quantize_layers(pipeline.unet, settings.weights)
        prepare_pipeline(pipeline, device)
        if device.type == "cuda":
            use_faster_layout(pipeline.unet, pipeline.unet.config.sample_size, torch.cuda.synchronize)
    if device.type == "cuda" and torch.cuda.mem_get_info(device)[1] < SMALL_MEMORY:
        base.vae.enable_slicing()
        base.vae.enable_tiling()
    return Model(name=settings.model, base=base, refiner=refiner, device=device, precision=precision)


def can_hold_weights(form: WeightFormat, device: torch.device) -> bool:
    """Whether the device holds weights in this format."""
    return form is WeightFormat.FULL or can_hold(form, device)


def prepare_pipeline(pipeline: Any, device: torch.device) -> None:
    """Move the pipeline to its device for inference, with channels last, which CPUs are fast with."""
    pipeline.to(device)
    pipeline.set_progress_bar_config(disable=True)
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.requires_grad_(requires_grad=False).eval()
    pipeline.unet.to(memory_format=torch.channels_last)
    pipeline.vae.to(memory_format=torch.channels_last)


def resolve_device(name: str) -> torch.device:
    """The device of this name. "auto" is the GPU where there is one. Raises CannotLoad."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise CannotLoad(f"The device {name!r} cannot be used here. {first_sentence(error)}") from error
    return device


def resolve_precisions(name: str, device: torch.device) -> tuple[torch.dtype, ...]:
    """The precisions of this name, the best first. "auto" is float32 on a CPU, and float16 on a GPU.

    SDXL is published in float16, and a weak LoRA that is merged in bfloat16 loses a fifth of its effect
    (docs/measurements.md). Where a model's numbers do not fit, the next is bfloat16, or else float32.
    """
    if name != "auto":
        return (PRECISIONS[name],)
    if device.type != "cuda":
        return (torch.float32,)
    return torch.float16, torch.bfloat16 if supports_bfloat16(device) else torch.float32


def supports_bfloat16(device: torch.device) -> bool:
    """Whether the device is a GPU that computes in bfloat16."""
    return device.type == "cuda" and torch.cuda.is_bf16_supported()


def load_pipeline(kind: Any, name: str, precision: torch.dtype) -> Any:
    """A diffusers pipeline from a folder, one .safetensors file or a Hugging Face id. Raises CannotLoad."""
    try:
        if name.endswith(".safetensors"):
            return kind.from_single_file(check_file(name), dtype=precision)
        return kind.from_pretrained(
            name, dtype=precision, use_safetensors=True, add_watermarker=False, local_files_only=is_path(name)
        )
    except (OSError, ValueError, KeyError, SafetensorError, RuntimeError) as error:
        raise CannotLoad(f"The model {name!r} cannot be loaded. {first_sentence(error)}") from error


def load_vae(name: str, precision: torch.dtype) -> Any:
    """A VAE, such as madebyollin/sdxl-vae-fp16-fix, to use in place of the model's. Raises CannotLoad."""
    try:
        if name.endswith(".safetensors"):
            return AutoencoderKL.from_single_file(check_file(name), dtype=precision)
        return AutoencoderKL.from_pretrained(
            name, dtype=precision, use_safetensors=True, local_files_only=is_path(name)
        )
    except (OSError, ValueError, KeyError, SafetensorError, RuntimeError) as error:
        raise CannotLoad(f"The VAE {name!r} cannot be loaded. {first_sentence(error)}") from error


def check_file(name: str) -> str:
    """The same path. Raises FileNotFoundError unless a file is there."""
    if not Path(name).is_file():
        raise FileNotFoundError("There is no such file.")
    return name


def is_path(name: str) -> bool:
    """Whether the name means a local folder rather than a Hugging Face id."""
    return Path(name).is_dir() or name.startswith(("/", "./", "../", "~"))


def first_sentence(error: BaseException) -> str:
    """The first sentence of an error's text, at most 300 characters, to put behind one of ours."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = text.partition(". ")[0].rstrip(".")[:300] + "."
    return text[0].upper() + text[1:]
