"""Recipes that are pasted in place of a prompt: A1111's text, and our own JSON."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from commands.answers import Form
from commands.context import ChatContext, Context
from commands.syntax.lora_syntax import Mention
from commands.syntax.parser import shorten
from commands.syntax.samplers import read_sampler
from commands.syntax.values import value_text
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
    "Fast": "fast",
    "Hires upscale": "hires",
}  # by which A1111's settings are fields of ours
OF_A_FILE = frozenset(
    {"Model hash", "VAE hash", "Version", "Hashes", "Lora hashes", "TI hashes", "Created Date", "App"}
)  # what made a picture, and not how
HIRES_DETAILS = ("Hires steps", "Hires upscaler", "Denoising strength")  # which follow from our own way
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
    "fast": "fast",
    "hires": "hires",
}  # by which our own recipe's values are fields of the form


@dataclass(frozen=True, kw_only=True)
class PastedLora:
    """A LoRA of a pasted recipe; `sha256` is the start of its file's hash, where the recipe has one."""

    name: str
    weight: float | None
    sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class PastedRecipe:
    """A recipe. `texts` are fields of /imagine's form; `unknown` is what is not supported, as written."""

    texts: Mapping[str, str]
    loras: tuple[PastedLora, ...] = ()
    unknown: tuple[str, ...] = ()
    model: str = ""

    @property
    def lora_names(self) -> Sequence[str]:
        """The recipe's names of its LoRAs."""
        return [lora.name for lora in self.loras]


NO_RECIPE = PastedRecipe(texts={})


def read_recipe(text: str) -> PastedRecipe | None:
    """The recipe in this text; None for ordinary words."""
    text = text.strip()
    if len(text) > LONGEST:
        return None
    if text.startswith("{"):
        return _read_json(text)
    return _read_a1111(text) if "Steps:" in text else None


def split_flags(text: str) -> tuple[str, str]:
    """A pasted recipe and the flags written after it."""
    text = text.strip()
    begin = text.rfind("}") if text.startswith("{") else _find_settings(text)
    flags = FLAG.search(text, begin) if begin is not None else None
    return (text[: flags.start()], text[flags.end() :]) if flags else (text, "")


async def find_loras(
    loras: Sequence[PastedLora], context: Context
) -> tuple[tuple[Mention, ...], tuple[str, ...]]:
    """Those that can be used here, found by hash or name, and the names of the others."""
    if not loras:
        return (), ()
    names = await context.library.names()
    folder = await context.library.list_files()
    trained: Sequence[LoraView] = ()
    if isinstance(context, ChatContext):
        space, person = context.space.id, context.person.id
        trained = await adapters.list_usable(context.session, space, person, info="no curves")
    mentions: list[Mention] = []
    missing: list[str] = []
    for pasted_lora in loras:
        same = next(
            (lora.name for lora in trained if pasted_lora.sha256 and _has_hash(lora, pasted_lora.sha256)), ""
        )
        own = pasted_lora.name.lower()
        name = same or (own if own in names else folder.name_of(own) or "")
        if name in names:
            mentions.append(Mention(name, pasted_lora.weight))
        else:
            missing.append(pasted_lora.name)
    return tuple(mentions), tuple(missing)


def _has_hash(lora: LoraView, begin: str) -> bool:
    """Whether this starts the hash of the LoRA's file, or of its tensors alone as A1111 has it."""
    return lora.sha256.startswith(begin) or str(lora.info.get("numbers", "")).startswith(begin)


async def form_of(context: Context, text: str) -> Form:
    """The form of /imagine filled from a recipe, with a text about what was left out."""
    recipe = read_recipe(text)
    if recipe is None:
        raise InvalidRequest("This picture carries no recipe that is known here.")
    mentions, missing = await find_loras(recipe.loras, context)
    texts = {**recipe.texts, "lora": value_text(mentions), "no": recipe.texts.get("no") or NOTHING}
    return Form(command="imagine", values=texts, text=omissions_text(recipe, missing, context.model))


def omissions_text(recipe: PastedRecipe, missing: Iterable[str], model: str) -> str:
    """What of a recipe is not known here, for the person who pasted it; "" if all is."""
    rest = [*recipe.unknown, *(f"the LoRA {shorten(name)}" for name in missing)]
    lines = [f"Left out, because it is not known here: {', '.join(rest)}."] if rest else []
    if recipe.model and recipe.model != model:
        lines.append(f"It was painted with another model, {shorten(recipe.model)}.")
    return "\n".join(lines)


def _find_settings(text: str) -> int | None:
    """Where A1111's settings start: at the last line that starts so, or word if line breaks were lost."""
    places = [place.end() for place in BEGIN.finditer(text)]
    at_lines = [place for place in places if text[:place].rstrip(" \t").endswith("\n") or place == 0]
    chosen = (at_lines or places)[-1:]
    return chosen[0] if chosen and len(PAIR.findall(text[chosen[0] :])) >= FEWEST else None


def _read_a1111(text: str) -> PastedRecipe | None:
    begin = _find_settings(text)
    if begin is None:
        return None
    prompt, avoided = _split_prompts(text[:begin])
    settings = {name.strip(): _unquote(value) for name, value in PAIR.findall(text[begin:])}
    hashes = dict(_read_hashes(settings.get("Lora hashes", "")))
    prompt, avoided, loras, others = _extract_tags(prompt, avoided, hashes)
    texts = {"prompt": prompt, "no": avoided, **_fields(settings)}
    chosen, unknown = _read_sampler(settings)
    hires = HIRES_DETAILS if "Hires upscale" in settings else ()
    understood = {*hires, *FIELDS, "Sampler", "Schedule type", "Model", "Refiner switch at", *OF_A_FILE}
    return PastedRecipe(
        texts=texts | chosen,
        loras=loras,
        unknown=(
            *others,
            *unknown,
            *(f"{name}: {shorten(value)}" for name, value in settings.items() if name not in understood),
        ),
        model=settings.get("Model", ""),
    )


def _split_prompts(text: str) -> tuple[str, str]:
    """The prompt and the negative prompt, which starts a line of its own where there are lines."""
    lines = text.rstrip(" \t").split("\n")
    at = next((n for n, line in enumerate(lines) if line.strip().startswith(NEGATIVE)), None)
    if at is not None:
        avoided = "\n".join(lines[at:]).strip().removeprefix(NEGATIVE)
        prompt = "\n".join(lines[:at])
    else:
        match = AVOIDED.search(text) if len(lines) == 1 else None  # the settings stand in the same line
        prompt, avoided = (text[: match.start()], text[match.end() :]) if match else (text, "")
    prompt = prompt.strip()
    return prompt.removeprefix(SHIELD) if prompt.startswith(SHIELD + NEGATIVE) else prompt, avoided.strip()


def _unquote(value: str) -> str:
    """A value without the quotes that A1111 puts around one with commas."""
    value = value.strip()
    if value.startswith('"'):
        with suppress(ValueError):
            return str(json.loads(value))
    return value


def _fields(settings: Mapping[str, str]) -> dict[str, str]:
    """Fields of the form from those settings of A1111 that map to one field each."""
    texts = {field: settings[name] for name, field in FIELDS.items() if settings.get(name)}
    if texts.get("seed", "").startswith("-"):  # any will do
        del texts["seed"]
    if "variation" not in texts or read_float(texts["variation"]) == 0:
        texts.pop("variation", None)
        texts.pop("variation_seed", None)
    switch = read_float(settings.get("Refiner switch at", ""))
    if switch is not None and 0 < 1 - switch <= REFINER[1]:
        texts["refiner"] = value_text(round(1 - switch, 6))
    return texts


def read_float(text: str) -> float | None:
    """The number that this text is, or None."""
    try:
        return float(text)
    except ValueError:
        return None


def _read_sampler(settings: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Our sampler for A1111's name and schedule, and what of both is unknown."""
    name, schedule = settings.get("Sampler", ""), settings.get("Schedule type", "")
    if not name:
        return {}, ()
    unknown = (f"Schedule type: {schedule}",)
    for spelled, missing in ((f"{name} {schedule}", ()), (name, unknown)):
        with suppress(InvalidRequest):
            return {"sampler": read_sampler(spelled).value}, () if schedule.lower() in USUAL else missing
    return {}, (f"Sampler: {shorten(name)}", *(unknown if schedule.lower() not in USUAL else ()))


def _read_hashes(text: str) -> Iterator[tuple[str, str]]:
    """The names and hashes of "ink: ab12, maria: cd34"."""
    for part in text.split(","):
        name, colon, sha256 = part.rpartition(":")
        if colon and re.fullmatch(r"[0-9a-f]{8,64}", sha256.strip(), re.ASCII):
            yield name.strip(), sha256.strip()


def _extract_tags(
    prompt: str, avoided: str, hashes: Mapping[str, str]
) -> tuple[str, str, tuple[PastedLora, ...], tuple[str, ...]]:
    """Both prompts without tags, the LoRAs in those tags, and the other tags."""
    loras: dict[str, PastedLora] = {}
    others: list[str] = []
    for tag in TAG.finditer(prompt):
        kind, name, weights = tag[1].lower(), tag[2].strip(), tag[3].split(":")[1:]
        if kind == "hypernet":
            others.append(tag[0].strip())
            continue
        weight = read_float(weights[0]) if weights else None
        loras[name] = PastedLora(name=name, weight=weight, sha256=hashes.get(name, ""))
    others += [tag[0].strip() for tag in TAG.finditer(avoided)]
    return TAG.sub("", prompt).strip(), TAG.sub("", avoided).strip(), tuple(loras.values()), tuple(others)


def _read_json(text: str) -> PastedRecipe | None:
    """The recipe of our own PNGs; wrong values are refused later, as a form's are."""
    try:
        values: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, dict) or not {"prompt", "steps", "seed"} <= values.keys():
        return None
    texts = {field: _text(values[name]) for name, field in OURS.items() if name in values}
    if {"width", "height"} <= values.keys():
        texts["size"] = f"{_text(values['width'])}x{_text(values['height'])}"
    if not values.get("variation"):
        texts.pop("variation_seed", None)
    return PastedRecipe(
        texts=texts,
        loras=tuple(_read_adapters(values.get("adapters"))),
        unknown=("the picture that it started from",) if values.get("source") else (),
        model=_text(values.get("model", "")),
    )


def _text(value: object) -> str:
    return value_text(value) if isinstance(value, str | int | float) else ""


def _read_adapters(entries: Any) -> Iterator[PastedLora]:
    for entry in entries if isinstance(entries, list) else ():
        name, weight, sha256 = (
            entry.get(key) if isinstance(entry, dict) else None for key in ("name", "weight", "sha256")
        )
        if isinstance(name, str) and ADAPTER_NAME.fullmatch(name):
            is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
            yield PastedLora(name=name, weight=weight if is_number else None, sha256=str(sha256 or ""))
