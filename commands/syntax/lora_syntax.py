"""LoRAs as people write them, ink:0.8 or <lora:ink:0.8>, and where they are found by name."""

import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import Protocol, runtime_checkable

from commands.syntax.flags import normalize
from commands.syntax.parser import closest, join_list, shorten
from engine.messages import (
    ADAPTER_NAME,
    ADAPTER_WEIGHT,
    ADAPTERS_AT_ONCE,
    AdapterUse,
    InvalidRequest,
    Sha256,
    check_number,
)
from storage.adapters import LoraView

TAG = re.compile(r"(?<! ) *<lora:([^<>]*)>", re.IGNORECASE)
COMMA = re.compile(r"(:\s*[-+]?\d+),(\d+)(?=[\s,]|$)")  # ink:0,8 is ink:0.8
COLON = re.compile(r"\s*:\s*")
OPENED = re.compile(r"<lora:", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Lora:
    """A LoRA that can be used: its stored file, what calls it up, the weight that suits it.

    `tokens` are the new ones that it brings for the text encoders. `paint` are the paint settings that suit
    it, as words of /imagine: commands/paint_settings.py.
    """

    name: str
    sha256: Sha256
    phrase: str = ""
    hint: float = 1.0
    tokens: int = 0
    preset: str = ""
    paint: str = ""


@dataclass(frozen=True, kw_only=True)
class OperatorFiles:
    """The operator's folder: the file of each LoRA, and the skipped files with reasons."""

    offered: Mapping[str, str] = field(default_factory=dict)
    passed: Mapping[str, str] = field(default_factory=dict)

    def file_name(self, name: str) -> str:
        """The name of its file, where the LoRA's name was made from that; else ""."""
        file = self.offered.get(name, "")
        return "" if file == f"{name}.safetensors" else printable(file)

    def name_of(self, text: str) -> str | None:
        """The name of the LoRA with this name or file name, in any case."""
        name = text.lower()
        return name if name in self.offered else self._by_file.get(name)

    @cached_property
    def _by_file(self) -> Mapping[str, str]:
        return {PurePosixPath(file).stem.lower(): name for name, file in self.offered.items()}


class Library(Protocol):
    """LoRAs, found by name."""

    async def names(self) -> Collection[str]:
        """The names of all LoRAs that can be used."""

    async def find(self, name: str) -> Lora | None:
        """The LoRA of this name, if any. Raises InvalidRequest where it cannot be used."""

    async def list_files(self) -> OperatorFiles:
        """The files of the operator's folder."""

    async def usual_loras(self) -> "Collection[Mention]":
        """The LoRAs that every picture has unless it says otherwise."""


@runtime_checkable
class MentionsLoras(Protocol):
    """A value that names LoRAs."""

    @property
    def lora_names(self) -> Collection[str]:
        """As they were written."""


@dataclass(frozen=True)
class Mention:
    """A LoRA that somebody named for a picture; without a weight it has its usual one."""

    name: str
    weight: float | None = None

    @property
    def lora_names(self) -> Collection[str]:
        """The only one."""
        return (self.name,)


@dataclass(frozen=True, kw_only=True)
class LoraUse:
    """What a command will need from a library: LoRAs by name, and whether the folder's list."""

    names: frozenset[str] = frozenset()
    folder: bool = False


NO_LORAS = LoraUse()


def lora_names(value: object) -> frozenset[str]:
    """The names of LoRAs in a value of a command, also in tags within a text."""
    if isinstance(value, str):
        with suppress(InvalidRequest):  # the command says it
            return lora_names(extract_tags(value)[1])
    if isinstance(value, tuple):
        return frozenset().union(*map(lora_names, value))
    return frozenset(value.lora_names) if isinstance(value, MentionsLoras) else frozenset()


def read_mentions(text: str) -> tuple[Mention, ...]:
    """LoRAs from "ink:0.8, maria" or "ink:0.8 maria:0,5". Raises InvalidRequest."""
    return tuple(_read_mention(part) for part in re.split(r"[\s,]+", _normalize(text)) if part)


def extract_tags(prompt: str) -> tuple[str, tuple[Mention, ...]]:
    """The prompt without its <lora:name:weight> tags, and what they mention. Raises InvalidRequest."""
    rest = TAG.sub("", prompt)
    if OPENED.search(rest):
        raise InvalidRequest("The prompt has an unfinished <lora: tag. Write <lora:name:weight>.")
    return rest.strip(), tuple(_read_mention(_normalize(inside)) for inside in TAG.findall(prompt))


async def add_usual_loras(wanted: Sequence[Mention], library: Library) -> tuple[Mention, ...]:
    """Also the LoRAs that every picture here has, unless they are named with a weight or 0."""
    usual = {mention.name: mention for mention in await library.usual_loras()}
    named = {mention.name for mention in wanted}
    wanted = [mention for mention in wanted if mention.weight != 0 or mention.name not in usual]
    others = [mention for name, mention in usual.items() if name not in named]
    return (*wanted, *others[: max(0, ADAPTERS_AT_ONCE - len(wanted))])


async def resolve(wanted: Sequence[Mention], library: Library) -> tuple[tuple[Lora, AdapterUse], ...]:
    """The mentioned LoRAs with their use in a picture. Raises InvalidRequest with a similar name."""
    mix = [(await _find(mention.name, library), mention.weight) for mention in wanted]
    check_tokens([lora for lora, _ in mix])
    return tuple(
        (
            lora,
            AdapterUse(name=lora.name, sha256=lora.sha256, weight=lora.hint if weight is None else weight),
        )
        for lora, weight in mix
    )


async def _find(name: str, library: Library) -> Lora:
    lora = await library.find(name)
    if lora is None:
        names = await library.names()
        raise InvalidRequest(f"There is no LoRA {shorten(name)!r}. {_suggest(name, names)}")
    return lora


def check_tokens(mix: Sequence[Lora]) -> None:
    """Raise InvalidRequest when more than one LoRA brings new tokens, which clash."""
    bring = [lora.name for lora in mix if lora.tokens]
    if len(bring) > 1:
        raise InvalidRequest(
            f"{join_list(bring)} each bring a new token. A picture can have only one such LoRA. "
            "Leave out the others."
        )


def add_phrases(prompt: str, mix: Sequence[Lora]) -> str:
    """The prompt with the phrase of each LoRA whose trigger it lacks."""
    for lora in mix:
        trigger, _, _ = lora.phrase.partition(" ")
        if trigger and not re.search(rf"(?<![\w-]){re.escape(trigger)}(?![\w-])", prompt, re.IGNORECASE):
            prompt = f"{prompt}, {lora.phrase}" if prompt else lora.phrase
    return prompt


def printable(file: str) -> str:
    """A file's name without unprintable characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in file)


def lora_of(view: LoraView) -> Lora:
    """A LoRA that was trained here, as a library gives it."""
    return Lora(
        name=view.name,
        sha256=view.sha256,
        phrase=view.phrase,
        hint=view.hint,
        tokens=view.tokens,
        preset=view.preset,
        paint=view.paint,
    )


def _normalize(text: str) -> str:
    """The text in usual letters, with decimal points and no spaces around colons."""
    return COLON.sub(":", COMMA.sub(r"\1.\2", normalize(text)))


def _read_mention(text: str) -> Mention:
    name, colon, weight = (part.strip() for part in text.partition(":"))
    name = name.lower()
    if not ADAPTER_NAME.fullmatch(name):
        raise InvalidRequest(f"{shorten(text)!r} is not a LoRA. Write a name and a weight, such as ink:0.8.")
    return Mention(name, _read_weight(name, weight) if colon else None)


def _read_weight(name: str, text: str) -> float:
    subject = f"The weight of LoRA {name}"
    try:
        weight = float(text)
    except ValueError:
        check_number(subject, shorten(text), *ADAPTER_WEIGHT)
        raise
    check_number(subject, weight, *ADAPTER_WEIGHT)
    return weight


def _suggest(name: str, names: Collection[str]) -> str:
    if not names:
        return "No LoRA is here yet."
    meant = closest(name, names)
    return f"Did you mean {meant}?" if meant else f"The LoRAs are {join_list(sorted(names)[:20])}."
