"""PNG files with their recipe as A1111's text and as JSON, and with IPTC's mark of AI media."""

import io
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from engine.messages import HIRES_STRENGTH, Paint, Sha256, Size, Source, steps_at_strength

# https://cv.iptc.org/newscodes/digitalsourcetype/
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
XMP = f"""<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
   Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPE}"/>
 </rdf:RDF>
</x:xmpmeta>"""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that paints one picture again."""

    request: Paint
    seed: int
    size: Size
    model: str
    variation_seed: int = 0
    model_hash: str = ""
    upscaler: str = ""
    lora_hashes: Mapping[Sha256, str] = field(default_factory=dict)

    def a1111_text(self) -> str:
        """The recipe as the text that A1111 writes under `parameters`."""
        request = self.request
        uses = "".join(f" <lora:{use.name}:{use.weight:g}>" for use in request.adapters)
        lines = [shield_prompt(one_line(request.prompt)) + uses]
        if request.negative_prompt:
            lines.append(f"Negative prompt: {one_line(request.negative_prompt)}")
        settings = {
            "Steps": request.steps,
            "Sampler": request.sampler.value,
            "CFG scale": f"{request.guidance_scale:g}",
            "Seed": self.seed,
            "Size": f"{self.size.width}x{self.size.height}",
            **({"Model hash": self.model_hash} if self.model_hash else {}),
            "Model": quote_value(model_name(self.model)),
        }
        if request.variation:
            settings["Variation seed"] = self.variation_seed
            settings["Variation seed strength"] = f"{request.variation:g}"
        hashed = [use for use in request.adapters if use.sha256 in self.lora_hashes]
        if hashed:
            hashes = ", ".join(f"{use.name}: {self.lora_hashes[use.sha256]}" for use in hashed)
            settings["Lora hashes"] = f'"{hashes}"'
        if request.refiner:
            settings["Refiner switch at"] = f"{1 - request.refiner:g}"
        if request.fast:
            settings["Fast"] = "true"
        settings |= self._finish_settings()
        if request.source is not None:
            settings["Denoising strength"] = f"{request.source.strength:g}"
            settings["Init image hash"] = request.source.sha256
        return "\n".join([*lines, ", ".join(f"{name}: {value}" for name, value in settings.items())])

    def _finish_settings(self) -> dict[str, str | int]:
        """What followed the denoising, as A1111 names it."""
        request, settings = self.request, dict[str, str | int]()
        if request.hires > 1:
            settings["Hires upscale"] = f"{request.hires:g}"
            settings["Hires steps"] = steps_at_strength(request.steps, HIRES_STRENGTH)[1]
            settings["Hires upscaler"] = quote_value(self.upscaler)
            settings["Denoising strength"] = f"{HIRES_STRENGTH:g}"
        if request.finish.enlarge > 1:
            settings["Postprocess upscale by"] = request.finish.enlarge
            settings["Postprocess upscaler"] = quote_value(self.upscaler)
        if request.finish.refine:
            settings["SD upscale denoising strength"] = f"{request.finish.refine:g}"
        return settings

    def values(self) -> dict[str, Any]:
        """The recipe as plain JSON values."""
        request = self.request
        return {
            "prompt": request.prompt,
            "negative_prompt": request.negative_prompt,
            "steps": request.steps,
            "guidance_scale": request.guidance_scale,
            "seed": self.seed,
            "width": self.size.width,
            "height": self.size.height,
            "sampler": request.sampler.value,
            "refiner": request.refiner,
            "variation": request.variation,
            "variation_seed": self.variation_seed,
            "fast": request.fast,
            **({"hires": request.hires} if request.hires > 1 else {}),
            **({"enlarge": request.finish.enlarge} if request.finish.enlarge > 1 else {}),
            **({"refine": request.finish.refine} if request.finish.refine else {}),
            "adapters": [
                {"name": use.name, "sha256": use.sha256, "weight": use.weight} for use in request.adapters
            ],
            "model": model_name(self.model),
            **({} if request.source is None else {"source": _source_values(request.source)}),
        }


def _source_values(source: Source) -> dict[str, Any]:
    """What it started from, without the chat's own ids."""
    masked = {"mask": source.mask} if source.mask else {}
    return {"sha256": source.sha256, "strength": source.strength, **masked}


def model_name(model: str) -> str:
    """The model's name: of a file or folder on this machine without its path, as in A1111."""
    path = PurePath(model)
    if path.suffix == ".safetensors":
        return path.stem
    return path.name if path.is_absolute() or path.parts[:1] in (("..",), ("~",)) else model


def one_line(text: str) -> str:
    """The text on one line, since the settings start on a line of their own in A1111's text."""
    return " ".join(text.split())


def shield_prompt(prompt: str) -> str:
    """The prompt, behind an invisible word joiner where it would be read as a negative prompt."""
    return f"\u2060{prompt}" if prompt.startswith("Negative prompt:") else prompt


def quote_value(value: str) -> str:
    """A value of the settings, quoted as in A1111 where it has a comma, colon, quote or line break."""
    return json.dumps(value, ensure_ascii=False) if set(value) & set(',:"\n') else value


def encode_png(image: Image.Image, recipe: Recipe) -> bytes:
    """The picture as a PNG with its recipe and the IPTC mark trainedAlgorithmicMedia."""
    text = PngInfo()
    text.add_text("parameters", recipe.a1111_text())
    text.add_text("recipe", json.dumps(recipe.values(), ensure_ascii=False))
    text.add_itxt("XML:com.adobe.xmp", XMP)
    file = io.BytesIO()
    # A search for repeats only finds runs in a painted picture: this is as small, and 2 to 8 times as fast.
    image.save(file, "PNG", pnginfo=text, compress_type=zlib.Z_RLE)
    return file.getvalue()
