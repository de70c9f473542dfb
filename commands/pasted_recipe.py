"""Recipes that are pasted whole in place of a prompt: the text that A1111 writes into PNGs, and our JSON."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from commands.answers import Form
from commands.context import ChatContext, Context
from commands.syntax.lora_syntax import Mention
from commands.syntax.parser import short
from commands.syntax.samplers import sampler
from commands.syntax.values import written_value
from engine.messages import ADAPTER_NAME, REFINER, InvalidRequest
from storage import adapters
from storage.adapters import LoraView

NOTHING = '""'  # as forms write an empty text that is meant
LONGEST = 40_000  # characters: a prompt and a negative one, twice
NEGATIVE = "Negative prompt:"
SHIELD = "\u2060"  # what engine/sdxl/png_file.py puts before a prompt that begins so
AVOIDED = re.compile(rf"(?:^|\s){NEGATIVE}\s*")
BEGIN = re.compile(r"(?:^|\s)(?=Steps:\s*\d+\s*,)")
PAIR = re.compile(r'\s*([A-Za-z][\w \-/().+]*):\s*("(?:\\.|[^"\\])*"|[^,]*)(?:,|$)')
FEWEST = 3  # settings: what has less may be a sentence
FLAG = re.compile(r"\s(?=--[A-Za-z])")
TAG = re.compile(r"\s*<(lora|lyco|hypernet):([^<>:]+)((?::[^<>:]*)*)>", re.IGNORECASE)
FIELDS = {
    "Steps": "steps",
    "CFG scale": "cfg",
    "Seed": "seed",
    "Size": "size",
    "Variation seed": "variation_seed",
    "Variation seed strength": "variation",
}  # by which A1111's settings are fields of ours
OF_A_FILE = frozenset(
    {"Model hash", "VAE hash", "Version", "Hashes", "Lora hashes", "TI hashes", "Created Date", "App"}
)  # what made a picture, and not how
USUAL = frozenset({"", "automatic", "uniform", "simple", "normal"})  # schedules that a sampler has anyway
OURS = {
    "prompt": "prompt",
    "negative_prompt": "no",
    "steps": "steps",
    "guidance_scale": "cfg",
    "seed": "seed",
    "sampler": "sampler",
    "refiner": "refiner",
    "variation": "variation",
    "variation_seed": "variation_seed",
}  # by which our own recipe's values are fields of the form


@dataclass(frozen=True, kw_only=True)
class PastedLora:
    """A LoRA as somebody else calls it; `sha256` is what its file's hash begins with, where that is told."""

    name: str
    weight: float | None
    sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class Pasted:
    """`texts` are fields of /imagine's form; `unknown` is what nothing here does, as it was written."""

    texts: Mapping[str, str]
    loras: tuple[PastedLora, ...] = ()
    unknown: tuple[str, ...] = ()
    model: str = ""

    @property
    def lora_names(self) -> Sequence[str]:
        """What the recipe calls its LoRAs."""
        return [lora.name for lora in self.loras]


NONE = Pasted(texts={})


def pasted(text: str) -> Pasted | None:
    """The recipe that this text is; None for words."""
    text = text.strip()
    if len(text) > LONGEST:
        return None
    if text.startswith("{"):
        return _ours(text)
    return _of_a1111(text) if "Steps:" in text else None


def apart(text: str) -> tuple[str, str]:
    """A pasted recipe, and the flags that somebody wrote after it."""
    text = text.strip()
    begin = text.rfind("}") if text.startswith("{") else _begin(text)
    flags = FLAG.search(text, begin) if begin is not None else None
    return (text[: flags.start()], text[flags.end() :]) if flags else (text, "")


async def found_here(
    loras: Sequence[PastedLora], context: Context
) -> tuple[tuple[Mention, ...], tuple[str, ...]]:
    """Those that can be used here, by hash, by name or by their file's, and the names of the others."""
    if not loras:
        return (), ()
    names = await context.library.names()
    lying = await context.library.lying()
    trained: Sequence[LoraView] = ()
    if isinstance(context, ChatContext):
        trained = await adapters.list_usable(context.session, context.space.id, context.person.id)
    mentions: list[Mention] = []
    missing: list[str] = []
    for one in loras:
        same = next((lora.name for lora in trained if one.sha256 and _is(lora, one.sha256)), "")
        own = one.name.lower()
        name = same or (own if own in names else lying.name_of(own) or "")
        if name in names:
            mentions.append(Mention(name, one.weight))
        else:
            missing.append(one.name)
    return tuple(mentions), tuple(missing)


def _is(lora: LoraView, begin: str) -> bool:
    """Whether this begins the hash of its file, or, as A1111 and Civitai have it, of its numbers alone."""
    return lora.sha256.startswith(begin) or str(lora.info.get("numbers", "")).startswith(begin)


async def form_of(context: Context, text: str) -> Form:
    """The form of /imagine with a recipe in it, and what of that is not known here."""
    told = pasted(text)
    if told is None:
        raise InvalidRequest("this picture carries no recipe that is known here.")
    mentions, missing = await found_here(told.loras, context)
    texts = {**told.texts, "lora": written_value(mentions), "no": told.texts.get("no") or NOTHING}
    return Form(command="imagine", values=texts, text=left_out(told, missing, context.model))


def left_out(told: Pasted, missing: Iterable[str], model: str) -> str:
    """What of a recipe is not known here, for the person who pasted it; empty if all is."""
    rest = [*told.unknown, *(f"the LoRA {short(name)}" for name in missing)]
    lines = [f"Left out, for it is not known here: {'; '.join(rest)}."] if rest else []
    if told.model and told.model != model:
        lines.append(f"It was painted with another model, {short(told.model)}.")
    return "\n".join(lines)


def _begin(text: str) -> int | None:
    """Where the settings of A1111 begin: with the last line that does so, or, where lines were lost, word."""
    places = [place.end() for place in BEGIN.finditer(text)]
    at_lines = [place for place in places if text[:place].rstrip(" \t").endswith("\n") or place == 0]
    chosen = (at_lines or places)[-1:]
    return chosen[0] if chosen and len(PAIR.findall(text[chosen[0] :])) >= FEWEST else None


def _of_a1111(text: str) -> Pasted | None:
    begin = _begin(text)
    if begin is None:
        return None
    prompt, avoided = _prompts(text[:begin])
    settings = {name.strip(): _plain(value) for name, value in PAIR.findall(text[begin:])}
    hashes = dict(_hashes(settings.get("Lora hashes", "")))
    prompt, avoided, loras, others = _without_tags(prompt, avoided, hashes)
    texts = {"prompt": prompt, "no": avoided, **_fields(settings)}
    chosen, unknown = _sampler(settings)
    known = {*FIELDS, "Sampler", "Schedule type", "Model", "Refiner switch at", *OF_A_FILE}
    return Pasted(
        texts=texts | chosen,
        loras=loras,
        unknown=(
            *others,
            *unknown,
            *(f"{name}: {short(value)}" for name, value in settings.items() if name not in known),
        ),
        model=settings.get("Model", ""),
    )


def _prompts(text: str) -> tuple[str, str]:
    """What to paint and what to avoid; where there are lines, the second begins with one."""
    lines = text.rstrip(" \t").split("\n")
    at = next((n for n, line in enumerate(lines) if line.strip().startswith(NEGATIVE)), None)
    if at is not None:
        avoided = "\n".join(lines[at:]).strip().removeprefix(NEGATIVE)
        prompt = "\n".join(lines[:at])
    else:
        found = AVOIDED.search(text) if len(lines) == 1 else None  # the settings stand in the same line
        prompt, avoided = (text[: found.start()], text[found.end() :]) if found else (text, "")
    prompt = prompt.strip()
    return prompt.removeprefix(SHIELD) if prompt.startswith(SHIELD + NEGATIVE) else prompt, avoided.strip()


def _plain(value: str) -> str:
    """A value without the quotes in which A1111 puts one that has commas."""
    value = value.strip()
    if value.startswith('"'):
        with suppress(ValueError):
            return str(json.loads(value))
    return value


def _fields(settings: Mapping[str, str]) -> dict[str, str]:
    """Fields of the form, as far as A1111's settings are called by one name."""
    texts = {field: settings[name] for name, field in FIELDS.items() if settings.get(name)}
    if texts.get("seed", "").startswith("-"):  # any will do
        del texts["seed"]
    if "variation" not in texts or float_of(texts["variation"]) == 0:
        texts.pop("variation", None)
        texts.pop("variation_seed", None)
    switch = float_of(settings.get("Refiner switch at", ""))
    if switch is not None and 0 < 1 - switch <= REFINER[1]:
        texts["refiner"] = written_value(round(1 - switch, 6))
    return texts


def float_of(text: str) -> float | None:
    """The number that this is, if it is one."""
    try:
        return float(text)
    except ValueError:
        return None


def _sampler(settings: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The sampler of ours that A1111 calls so, with its schedule, and what of both is not known."""
    name, schedule = settings.get("Sampler", ""), settings.get("Schedule type", "")
    if not name:
        return {}, ()
    told = (f"Schedule type: {schedule}",)
    for spelled, missing in ((f"{name} {schedule}", ()), (name, told)):
        with suppress(InvalidRequest):
            return {"sampler": sampler(spelled).value}, () if schedule.lower() in USUAL else missing
    return {}, (f"Sampler: {short(name)}", *(told if schedule.lower() not in USUAL else ()))


def _hashes(text: str) -> Iterator[tuple[str, str]]:
    """The names and hashes of "ink: ab12, maria: cd34"."""
    for part in text.split(","):
        name, colon, sha256 = part.rpartition(":")
        if colon and re.fullmatch(r"[0-9a-f]{8,64}", sha256.strip(), re.ASCII):
            yield name.strip(), sha256.strip()


def _without_tags(
    prompt: str, avoided: str, hashes: Mapping[str, str]
) -> tuple[str, str, tuple[PastedLora, ...], tuple[str, ...]]:
    """Both prompts without tags, the LoRAs that those name, and what else they name."""
    loras: dict[str, PastedLora] = {}
    others: list[str] = []
    for tag in TAG.finditer(prompt):
        kind, name, weights = tag[1].lower(), tag[2].strip(), tag[3].split(":")[1:]
        if kind == "hypernet":
            others.append(tag[0].strip())
            continue
        weight = float_of(weights[0]) if weights else None
        loras[name] = PastedLora(name=name, weight=weight, sha256=hashes.get(name, ""))
    others += [tag[0].strip() for tag in TAG.finditer(avoided)]
    return TAG.sub("", prompt).strip(), TAG.sub("", avoided).strip(), tuple(loras.values()), tuple(others)


def _ours(text: str) -> Pasted | None:
    """The recipe that lies in our own PNGs, as JSON; whatever is not as it should be is refused later."""
    try:
        told: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict) or not {"prompt", "steps", "seed"} <= told.keys():
        return None
    texts = {field: _text(told[name]) for name, field in OURS.items() if name in told}
    if {"width", "height"} <= told.keys():
        texts["size"] = f"{_text(told['width'])}x{_text(told['height'])}"
    if not told.get("variation"):
        texts.pop("variation_seed", None)
    return Pasted(
        texts=texts, loras=tuple(_adapters(told.get("adapters"))), model=_text(told.get("model", ""))
    )


def _text(value: object) -> str:
    return written_value(value) if isinstance(value, str | int | float) else ""


def _adapters(told: Any) -> Iterator[PastedLora]:
    for one in told if isinstance(told, list) else ():
        name, weight, sha256 = (
            one.get(key) if isinstance(one, dict) else None for key in ("name", "weight", "sha256")
        )
        if isinstance(name, str) and ADAPTER_NAME.fullmatch(name):
            known = isinstance(weight, int | float) and not isinstance(weight, bool)
            yield PastedLora(name=name, weight=weight if known else None, sha256=str(sha256 or ""))
