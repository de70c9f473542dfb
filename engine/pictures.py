"""PNG files that carry their recipe: for A1111 and its readers, as JSON, and marked as made by a model."""

import io
import json
from dataclasses import dataclass
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from engine.messages import Paint, Size

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
    """All that is needed to paint one picture again."""

    request: Paint
    seed: int
    size: Size
    model: str
    variation_seed: int = 0

    def parameters(self) -> str:
        """The text that A1111 writes under `parameters`."""
        request = self.request
        uses = "".join(f" <lora:{use.name}:{use.weight:g}>" for use in request.adapters)
        lines = [shielded(one_line(request.prompt)) + uses]
        if request.negative_prompt:
            lines.append(f"Negative prompt: {one_line(request.negative_prompt)}")
        settings = {
            "Steps": request.steps,
            "Sampler": request.sampler.value,
            "CFG scale": f"{request.guidance_scale:g}",
            "Seed": self.seed,
            "Size": f"{self.size.width}x{self.size.height}",
            "Model": quoted(self.model),
        }
        if request.variation:
            settings["Variation seed"] = self.variation_seed
            settings["Variation seed strength"] = f"{request.variation:g}"
        if request.adapters:
            hashes = ", ".join(f"{use.name}: {use.sha256[:12]}" for use in request.adapters)
            settings["Lora hashes"] = f'"{hashes}"'
        if request.refiner:
            settings["Refiner switch at"] = f"{1 - request.refiner:g}"
        return "\n".join([*lines, ", ".join(f"{name}: {value}" for name, value in settings.items())])

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
            "adapters": [
                {"name": use.name, "sha256": use.sha256, "weight": use.weight} for use in request.adapters
            ],
            "model": self.model,
        }


def one_line(text: str) -> str:
    """The text on one line: in A1111's form a line of its own begins the settings."""
    return " ".join(text.split())


def shielded(prompt: str) -> str:
    """The prompt, which nobody takes for what to avoid: a word joiner is not seen, and no white space."""
    return f"\u2060{prompt}" if prompt.startswith("Negative prompt:") else prompt


def quoted(value: str) -> str:
    """A value of the settings; A1111 quotes one that has their marks in it."""
    return json.dumps(value, ensure_ascii=False) if set(value) & set(',:"\n') else value


def png(image: Image.Image, recipe: Recipe) -> bytes:
    """The picture as a PNG with its recipe and the IPTC mark trainedAlgorithmicMedia."""
    text = PngInfo()
    text.add_text("parameters", recipe.parameters())
    text.add_text("recipe", json.dumps(recipe.values(), ensure_ascii=False))
    text.add_itxt("XML:com.adobe.xmp", XMP)
    file = io.BytesIO()
    image.save(file, "PNG", pnginfo=text)
    return file.getvalue()
