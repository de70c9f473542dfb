"""LoRAs as people write them, ink:0.8 or <lora:ink:0.8>, and the library that knows their names."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from commands.parse import listed, near, short
from engine.messages import ADAPTER_NAME, ADAPTER_WEIGHT, AdapterUse, InvalidRequest, Sha256, within

TAG = re.compile(r"(?<! ) *<lora:([^<>]*)>", re.IGNORECASE)
OPENED = re.compile(r"<lora:", re.IGNORECASE)


class Library(Protocol):
    """Where LoRAs are found by name."""

    async def names(self) -> Collection[str]:
        """The names of all LoRAs that could be used."""

    async def find(self, name: str) -> Sha256:
        """The stored file of a LoRA that is among the names."""


@dataclass(frozen=True)
class Mention:
    """A LoRA that somebody wants in a picture, by name."""

    name: str
    weight: float = 1.0


def mentions(text: str) -> tuple[Mention, ...]:
    """LoRAs from "ink:0.8, maria"; a weight left out is 1. Raises InvalidRequest."""
    return tuple(_mention(part) for part in text.split(",") if part.strip())


def tagged(prompt: str) -> tuple[str, tuple[Mention, ...]]:
    """The prompt without its <lora:name:weight> tags, and what they mention. Raises InvalidRequest."""
    rest = TAG.sub("", prompt)
    if OPENED.search(rest):
        raise InvalidRequest("the prompt has an unfinished <lora: in it: write <lora:name:weight>.")
    return rest.strip(), tuple(_mention(inside) for inside in TAG.findall(prompt))


async def found(wanted: Sequence[Mention], library: Library) -> tuple[AdapterUse, ...]:
    """The mentioned LoRAs with their files. Raises InvalidRequest, suggesting a near name."""
    names = await library.names() if wanted else ()
    for mention in wanted:
        if mention.name not in names:
            raise InvalidRequest(f"there is no LoRA {short(mention.name)!r}: {_hint(mention.name, names)}")
    return tuple(
        [AdapterUse(name=m.name, sha256=await library.find(m.name), weight=m.weight) for m in wanted]
    )


def _mention(text: str) -> Mention:
    name, colon, weight = (part.strip() for part in text.partition(":"))
    name = name.lower()
    if not ADAPTER_NAME.fullmatch(name):
        raise InvalidRequest(f"{short(text)!r} names no LoRA: write a name and a weight, such as ink:0.8.")
    return Mention(name, _weight(name, weight) if colon else 1.0)


def _weight(name: str, text: str) -> float:
    subject = f"the weight of LoRA {name}"
    try:
        weight = float(text)
    except ValueError:
        within(subject, short(text), *ADAPTER_WEIGHT)
        raise
    within(subject, weight, *ADAPTER_WEIGHT)
    return weight


def _hint(name: str, names: Collection[str]) -> str:
    if not names:
        return "no LoRA is there yet."
    meant = near(name, names)
    return f"did you mean {meant}?" if meant else f"the known ones are {listed(sorted(names)[:20])}."
