"""Training presets from presets.toml, and the settings that follow from one."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_type_hints

from commands.syntax.parser import closest, join_list, shorten
from engine.messages import (
    LOW_RANK,
    TRIGGER,
    AdapterKind,
    InvalidRequest,
    Optimizer,
    PartNumber,
    TrainingSettings,
    fill_template,
)

SMALL = "demo"  # the model that ships, for which presets have settings of their own
FILE = Path(__file__).with_name("presets.toml")
RATES = ("learning_rate", "text_learning_rate", "token_learning_rate")
PLACE = "{pattern}"  # of a word for the pattern of a thing
PATTERN = "ukj"  # the word for a pattern that nobody named
PRODIGY_RATE = 1.0  # it finds the rate itself, and takes this as a factor (Mishchenko & Defazio 2023)


@dataclass(frozen=True, kw_only=True)
class Preset:
    """What suits one kind of thing. `settings` and `small` are fields of TrainingSettings.

    `wanted` is how many pictures it works best with, from and to; `template` the caption of pictures that
    have none; `prompts` are painted at every checkpoint. Both have {trigger}, {subject} and {pattern} in
    them. `paint` are paint settings that the LoRA keeps, as words of /imagine. Each picture is worth
    `steps_per_picture`, within `least` and `most` steps in all, unless settings say otherwise. What begins
    with `small` is for the model that ships, where `small` goes over `settings`.
    """

    name: str
    help: str
    wanted: tuple[int, int]
    template: str
    prompts: tuple[str, ...]
    steps_per_picture: int
    least: int
    most: int
    settings: Mapping[str, Any]
    small: Mapping[str, Any]
    small_template: str
    small_prompts: tuple[str, ...]
    paint: str = ""
    small_paint: str = ""

    @property
    def epochs(self) -> int:
        """How often each picture is shown; 0 where the preset counts steps."""
        return int(self.settings.get("epochs", 0))

    def captions(self, *, small: bool = False, pattern: str = "") -> str:
        """The caption template for pictures without one. pattern: the word for a pattern, if it has one."""
        return (self.small_template if small else self.template).replace(PLACE, pattern or PATTERN)

    def find_pattern(self, template: str) -> str:
        """The word for a pattern with which this is the caption template; "" where it is another one."""
        before, _, after = self.template.partition(PLACE)
        word = template.removeprefix(before).removesuffix(after)
        return word if self.captions(pattern=word) == template != before + after else ""

    def samples(
        self, trigger: str, subject: str, *, small: bool = False, pattern: str = ""
    ) -> tuple[str, ...]:
        """The sample prompts for this trigger and class word."""
        prompts = self.small_prompts if small else self.prompts
        usable = [prompt for prompt in prompts if subject or "{trigger}" in prompt]
        return tuple(
            fill_template(prompt.replace(PLACE, pattern or PATTERN), trigger, subject) for prompt in usable
        )


@cache
def presets() -> Mapping[str, Preset]:
    """All presets by name, in the order of their file."""
    tables = tomllib.loads(FILE.read_text("utf-8"))
    small = {"small_template": tables["small"]["template"], "small_prompts": tables.pop("small")["prompts"]}
    return MappingProxyType({name: _read_preset(name, table | small) for name, table in tables.items()})


def find_preset(name: str) -> Preset:
    """The preset of this name. Raises InvalidRequest with a similar name or all names."""
    all_presets = presets()
    plain = name.strip().lower().replace("_", "-").replace(" ", "-")
    if plain in all_presets:
        return all_presets[plain]
    meant = closest(plain, all_presets)
    hint = f"Did you mean {meant}?" if meant else f"The presets are {join_list(list(all_presets))}."
    raise InvalidRequest(f"There is no preset {shorten(name)!r}. {hint}")


def read_pattern(text: str) -> str:
    """A word for a pattern. Raises InvalidRequest."""
    word = text.strip().lower()
    if not TRIGGER.fullmatch(word):
        raise InvalidRequest(
            f"--pattern must be one word of 2 to 24 of a-z, 0-9, - and _, not {shorten(text)!r}."
        )
    return word


def training_settings(
    preset: Preset, pictures: int, overrides: Mapping[str, Any], *, small: bool = False
) -> TrainingSettings:
    """The preset's settings for so many pictures, with somebody's changes.

    `overrides` are fields of TrainingSettings. What hangs together follows: alpha goes with the rank, steps
    that are given end the counting in epochs, and Prodigy gets the learning rates that it is made for.
    Raises InvalidRequest with one sentence.
    """
    chosen = {**preset.settings, **(preset.small if small else {})}
    chosen = _adjust_dependents(chosen, overrides) | dict(overrides)
    if "steps" not in chosen and not chosen.get("epochs"):
        chosen["steps"] = min(max(preset.steps_per_picture * pictures, preset.least), preset.most)
    return TrainingSettings(**chosen)


def _adjust_dependents(chosen: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The preset's values, adjusted where they depend on what somebody changed."""
    followed = dict(chosen)
    if overrides.get("rank"):
        usual = chosen.get("alpha", TrainingSettings.alpha) / (chosen.get("rank", TrainingSettings.rank) or 1)
        followed["alpha"] = usual * overrides["rank"]
    kind = overrides.get("kind", AdapterKind.LORA)
    if kind not in LOW_RANK:
        followed |= {"dropout": 0.0, "dora": False}
    if overrides.get("dora") or kind is AdapterKind.DORA:
        followed["convolutions"] = False  # it learns linear layers only
    if "steps" in overrides:
        followed["epochs"] = 0
    if overrides.get("optimizer") == Optimizer.PRODIGY:
        followed |= dict.fromkeys(RATES, PRODIGY_RATE)
    return followed


def _read_preset(name: str, table: Mapping[str, Any]) -> Preset:
    values = {**table, "settings": _read_settings(table["settings"]), "small": _read_settings(table["small"])}
    values |= {name: tuple(table[name]) for name in ("wanted", "prompts", "small_prompts")}
    return Preset(name=name, **values)


def _read_settings(table: Mapping[str, Any]) -> Mapping[str, Any]:
    """Fields of TrainingSettings from TOML, in their own types."""
    kinds = get_type_hints(TrainingSettings)
    return MappingProxyType({name: _to_type(kinds[name], value) for name, value in table.items()})


def _to_type(kind: Any, value: Any) -> Any:
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return kind(value)
    if isinstance(value, dict):
        return tuple(PartNumber(part=part, number=number) for part, number in value.items())
    return tuple(value) if isinstance(value, list) else value
