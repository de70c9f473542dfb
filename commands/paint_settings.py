"""Paint settings that suit a LoRA: kept with it, and used where nothing else is said with it."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from commands.context import ChatContext, Context
from commands.hints import next_hint
from commands.imagine import imagine
from commands.settings import with_defaults
from commands.syntax.lora_syntax import Lora, Mention, extract_tags
from commands.syntax.parser import UNPACKED, join_list, parse
from commands.syntax.quotes import split
from commands.syntax.samplers import check_steps
from commands.syntax.spec import Command, Parameter
from engine.messages import InvalidRequest, JobId, Paint
from storage import people

KEPT = ("no", "steps", "cfg", "size", "sampler", "refiner")
PROMPT = imagine.parameters[0].name
HINTS = "hints"  # the key of a person's settings with the hints that they have seen


def _parameters() -> tuple[Parameter, ...]:
    """Those of /imagine that can be kept; the words without a flag go before every prompt."""
    prompt, *others = imagine.parameters
    words = replace(prompt, required=False, option=replace(prompt.option, unpack=None, unless=""))
    return (words, *(parameter for parameter in others if parameter.name in KEPT))


PARAMETERS = _parameters()


def read_paint_settings(text: str) -> str:
    """The text, if it says settings as a line of /imagine does: "a photo of --steps 30 --cfg 5".

    Its words go before every prompt. Raises InvalidRequest.
    """
    values = _values(text)
    names = {"no": "negative_prompt", "cfg": "guidance_scale"}
    changes = {names.get(name, name): value for name, value in values.items() if name != PROMPT}
    Paint(job=JobId("settings"), prompt=values.get(PROMPT) or "anything", seed=0, **changes)
    return text.strip()


def read_kept(text: str) -> str:
    """Paint settings to keep; "" where they say "none". Raises InvalidRequest."""
    return "" if text.strip().lower() == "none" else read_paint_settings(text)


async def complete_values(
    context: ChatContext, command: Command[..., Any], values: Mapping[str, Any]
) -> dict[str, Any]:
    """The values given for a command, over those that suit its LoRAs, over the person's defaults.

    A recipe that was pasted says all, so nothing is added to one. Raises InvalidRequest.
    """
    if command.name != imagine.name or UNPACKED in values:
        return with_defaults(context.person.settings, command, values)
    loras = await _find_loras(context, values)
    suited, names = suited_values(loras, values, refines=context.refines)
    full = with_defaults(context.person.settings, command, suited | dict(values))
    if not _has_steps_enough(full):  # the command refuses what was said, and nothing else
        full, names = with_defaults(context.person.settings, command, values), []
    if PROMPT in full:
        full[PROMPT] = add_prefixes(full[PROMPT], loras)
    full["note"] = " ".join(filter(None, (_settings_note(names), await _hint(context, full, loras))))
    return full


def suited_values(
    loras: Iterable[Lora], values: Mapping[str, Any], *, refines: bool
) -> tuple[dict[str, Any], list[str]]:
    """What suits these LoRAs and was not said, of the first that has it, and the names of those it is of.

    refines: whether the model has a refiner, without which nothing can be left to it.
    """
    suited: dict[str, Any] = {}
    names = []
    for lora in loras:
        own = {
            name: value
            for name, value in _kept_values(lora).items()
            if name not in (PROMPT, *suited, *values) and (refines or name != "refiner")
        }
        suited |= own
        if own:
            names.append(lora.name)
    return suited, names


def add_prefixes(prompt: str, loras: Iterable[Lora]) -> str:
    """The prompt after the words that suit each LoRA, where it lacks them."""
    for lora in loras:
        words = _kept_values(lora).get(PROMPT, "")
        if words and words.lower() not in prompt.lower():
            prompt = f"{words} {prompt}"
    return prompt


def _values(text: str) -> dict[str, Any]:
    return parse(split(text), PARAMETERS)


def _kept_values(lora: Lora) -> dict[str, Any]:
    """The LoRA's settings as values of /imagine; none where another version would read them."""
    with suppress(InvalidRequest):
        return _values(lora.paint) if lora.paint else {}
    return {}


async def _find_loras(context: Context, values: Mapping[str, Any]) -> list[Lora]:
    """The LoRAs that these values name, in their order; the command itself says which are not there."""
    mentions: tuple[Mention, ...] = ()
    with suppress(InvalidRequest):
        _, inside = extract_tags(values.get(PROMPT, ""))
        mentions = (*inside, *values.get("lora", ()))
    loras = []
    for name in dict.fromkeys(mention.name for mention in mentions):
        with suppress(InvalidRequest):
            lora = await context.library.find(name)
            loras += [] if lora is None else [lora]
    return loras


def _has_steps_enough(values: Mapping[str, Any]) -> bool:
    """Whether the sampler and the refiner can do with these steps."""
    steps, refiner = values.get("steps", Paint.steps), values.get("refiner", Paint.refiner)
    with suppress(InvalidRequest):
        check_steps(values.get("sampler", Paint.sampler), steps)
        return not refiner or refiner * steps >= 1
    return False


def _settings_note(names: list[str]) -> str:
    return f"Painted with the settings of {join_list(names)}." if names else ""


async def _hint(context: ChatContext, values: Mapping[str, Any], loras: list[Lora]) -> str:
    """A hint that this person has not seen yet, or ""."""
    seen = context.person.settings.get(HINTS, "").split()
    hint = next_hint(values, loras, seen)
    if hint is None:
        return ""
    kept = {**context.person.settings, HINTS: " ".join([*seen, hint.name])}
    await people.save_settings(context.session, context.person.id, kept)
    return hint.text
