"""Hints about a prompt that would paint better otherwise, each shown to a person once."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from commands.syntax.lora_syntax import Lora
from engine.messages import Sampler

FACE = "face"  # the preset of a LoRA of somebody's face
LONG_PROMPT, LONG_NEGATIVE = 40, 30  # words
# Textual inversions of SD 1.5 that recipes on the web name; SDXL's text encoders have never seen them.
EMBEDDINGS = re.compile(
    r"(?<!\w)(easynegative\w*|bad-?hands?-?(?:v?4|5|v5)|bad_prompt\w*|bad-artist\w*|"
    r"ng_deepnegative\w*|verybadimagenegative\w*|fastnegative\w*)(?!\w)",
    re.IGNORECASE,
)

Test = Callable[[Mapping[str, Any], Sequence[Lora]], bool]


@dataclass(frozen=True, kw_only=True)
class Hint:
    """A hint, and when it helps: for these values of /imagine, with these LoRAs."""

    name: str
    text: str
    helps: Test


def _has_face(loras: Sequence[Lora]) -> bool:
    return any(lora.preset == FACE for lora in loras)


def _names_embedding(values: Mapping[str, Any], loras: Sequence[Lora]) -> bool:
    return any(EMBEDDINGS.search(values.get(name, "")) for name in ("prompt", "no"))


HINTS = (
    Hint(
        name="embedding",
        text="Words such as easynegative call up embeddings of SD 1.5. SDXL reads them as letters, "
        "so leave them out.",
        helps=_names_embedding,
    ),
    Hint(
        name="negative",
        text="SDXL needs no long negative prompt. A few words of what you see too much of do more.",
        helps=lambda values, loras: len(values.get("no", "").split()) > LONG_NEGATIVE,
    ),
    Hint(
        name="words",
        text=f"With a LoRA of a face, prompts of up to {LONG_PROMPT} words keep the likeness best.",
        helps=lambda values, loras: _has_face(loras) and len(values["prompt"].split()) > LONG_PROMPT,
    ),
    Hint(
        name="sampler",
        text="For faces, --sampler euler-a is worth a try.",
        helps=lambda values, loras: _has_face(loras) and values.get("sampler") != Sampler.EULER_ANCESTRAL,
    ),
)


def next_hint(values: Mapping[str, Any], loras: Sequence[Lora], seen: Collection[str]) -> Hint | None:
    """The first hint that helps with these values of /imagine and is not among those seen."""
    return next((hint for hint in HINTS if hint.name not in seen and hint.helps(values, loras)), None)
