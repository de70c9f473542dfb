"""Requests as text: as a command, as the fields of a form, and as a recipe to read."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from commands.blend import blend
from commands.compare import compare, refiner_of, weights_of
from commands.edit import edit
from commands.extend import CHANGES, Way, extend
from commands.imagine import imagine
from commands.settings import REMEMBERED_OPTIONS
from commands.syntax.flags import read_flag
from commands.syntax.lora_syntax import Mention
from commands.syntax.numbers import duration
from commands.syntax.parser import join_words
from commands.syntax.picture_reference import PictureReference
from commands.syntax.places import Places
from commands.syntax.quotes import CLOSING, EQUALS, Quotation, quote, split
from commands.syntax.spec import Command
from commands.syntax.values import value_text
from commands.training_options import differences
from commands.upscale import upscale
from engine.messages import (
    Ingredient,
    InvalidRequest,
    JobId,
    Paint,
    Source,
    Train,
    TrainingSettings,
    picture_seeds,
)
from storage.adapters import LoraView
from storage.requests import settings_from_json

USUAL = (
    "steps",
    "cfg",
    "seed",
    "size",
    "sampler",
    "times",
)  # a recipe names them even where they are the defaults


def command_text(paint: Paint) -> str:
    """The command that paints the same again, whoever enters it.

    It has the prompt, the seed, all that somebody may have other defaults for, and what else was asked for.
    """
    command = command_of(paint)
    first, *flagged = command.parameters
    values = _values(paint)
    flags = [
        f"{parameter.flags[0]} {_quote_value(value_text(values[parameter.name]))}"
        for parameter in flagged
        if parameter.name in REMEMBERED_OPTIONS or values[parameter.name] != parameter.default
    ]
    return " ".join([f"/{command.name}", _quote_words(value_text(values[first.name])), *flags])


def form_texts(paint: Paint, command: Command[..., Any] | None = None) -> dict[str, str]:
    """The text of each field for this request, of the form of this command or of the one that made it."""
    names = {parameter.name for parameter in (command or command_of(paint)).parameters}
    return {name: value_text(value) for name, value in _values(paint).items() if name in names}


def command_of(paint: Paint) -> Command[..., Any]:
    """The command that makes such a request."""
    if paint.variants:
        return compare
    if not paint.denoises:
        return upscale
    if paint.blend:
        return blend
    if paint.source is None:
        return imagine
    if paint.source.is_extended:
        return extend
    return edit if paint.source.is_partial else imagine


def single_picture(paint: Paint, place: int) -> Paint:
    """The request that paints only its picture at this place, from 1 to 4."""
    seed, variation_seed = picture_seeds(paint, place)
    return replace(paint, seed=seed, variation_seed=variation_seed, count=1)


def fields(paint: Paint, seed: int) -> tuple[tuple[str, str], ...]:
    """The recipe of the picture with this seed, without its prompt: labels and values."""
    values = _values(paint) | {"seed": seed}
    return tuple(
        (parameter.label, value_text(values[parameter.name]))
        for parameter in command_of(paint).parameters
        if parameter.name in USUAL or values[parameter.name] != parameter.default
        if parameter.name != "prompt" and parameter.kind not in ("image", "picture")
    )


def reference_to(paint: Paint) -> PictureReference | None:
    """What it starts from, as people say it; what somebody sent is known by the job that started from it."""
    if paint.source is None:
        return None
    if paint.source.job:
        return PictureReference(job=JobId(paint.source.job), place=paint.source.place)
    return PictureReference(job=paint.job, place=0)


def training_fields(request: Train) -> tuple[tuple[str, str], ...]:
    """The recipe of a training: labels and values."""
    settings = request.settings
    length = {"epochs": settings.epochs} if settings.epochs else {"steps": settings.steps}
    return _recipe(request.preset, request.pictures, length, settings)


def lora_fields(view: LoraView) -> tuple[tuple[str, str], ...]:
    """How a LoRA was made, as far as it is known: labels and values."""
    with suppress(InvalidRequest, KeyError, ValueError):  # another version may have made it
        settings, length = settings_from_json(view.info["settings"]), {"steps": view.info["steps"]}
        recipe = _recipe(view.preset, view.info["pictures"], length, settings)
        return (*recipe, ("best step", str(view.info["best"])), ("time", duration(view.info["seconds"])))
    origin = view.info.get("imported") or view.info.get("merged") or {}
    rows = ((name.replace("_", " "), _value_text(value)) for name, value in origin.items())
    made = (("made", view.preset),) if view.preset else ()
    return (*made, *((name, text) for name, text in rows if text))


def _value_text(value: object) -> str:
    """A stored value as text, whole numbers with commas."""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else value_text(value)


def _recipe(
    preset: str, pictures: int, length: Mapping[str, int], settings: TrainingSettings
) -> tuple[tuple[str, str], ...]:
    """The main settings, and the others that differ from the usual ones."""
    values = {
        "preset": preset,
        "pictures": pictures,
        **length,
        "rank": settings.rank,
        "alpha": settings.alpha,
        "lr": settings.learning_rate,
        **differences(settings, replace(TrainingSettings(), steps=settings.steps, epochs=settings.epochs)),
    }
    return tuple(
        (name.replace("_", "-"), text) for name, value in values.items() if (text := value_text(value))
    )


def _values(paint: Paint) -> dict[str, Any]:
    """The request as values of /imagine."""
    return {
        "prompt": paint.prompt,
        "no": paint.negative_prompt,
        "lora": tuple(Mention(use.name, use.weight) for use in paint.adapters),
        "steps": paint.steps,
        "cfg": paint.guidance_scale,
        "seed": paint.seed,
        "size": paint.size,
        "sampler": paint.sampler,
        "count": paint.count,
        "refiner": refiner_of(paint) if paint.variants else paint.refiner,
        "weights": weights_of(paint),
        "variation": paint.variation,
        "variation_seed": paint.variation_seed if paint.variation else None,
        "fast": paint.fast,
        "fresh": False,
        "hires": paint.hires,
        "detail": paint.finish.detail,
        "detail_strength": paint.finish.detail_strength,
        "times": str(paint.finish.enlarge),
        "refine": paint.finish.refine,
        "image": reference_to(paint),
        **({"strength": Source.strength} if paint.source is None else _source_values(paint.source)),
        **(_blend_values(paint) if paint.blend else {}),
    }


def _blend_values(paint: Paint) -> dict[str, Any]:
    """What is blended, as values of the command that does it."""
    names = [parameter.name for parameter in blend.parameters if parameter.kind == "image"]
    references = [_reference_to_ingredient(ingredient) for ingredient in paint.blend]
    weights = tuple(ingredient.weight for ingredient in paint.blend)
    return {
        **dict.fromkeys(names),
        **dict(zip(names, references, strict=False)),
        "weights": weights if len(set(weights)) > 1 else (),
        "strength": paint.blend_strength,
    }


def _reference_to_ingredient(ingredient: Ingredient) -> PictureReference:
    if ingredient.job:
        return PictureReference(job=JobId(ingredient.job), place=ingredient.place)
    return PictureReference(sha256=ingredient.sha256)


def _source_values(source: Source) -> dict[str, Any]:
    """What is done to the picture that it starts from, as values of the command that does it."""
    return {
        "strength": source.strength,
        "place": Places(text=source.area, regions=source.regions) if source.regions else None,
        "where": source.where,
        "mask": source.mask,
        "invert": source.invert,
        "grow": source.grow,
        "feather": source.feather,
        "to": next((way for way, change in CHANGES.items() if change == source.change), Way.LEFT),
        "by": source.share,
    }


def _quote_words(text: str) -> str:
    """Words without a flag, in quotes where they would be read as something else."""
    words = split(text)
    return text if join_words(words) == text and not any(map(_needs_quotes, words)) else quote(text)


def _quote_value(text: str) -> str:
    """The value of a flag, in quotes where it would be read as something else."""
    return quote(text) if split(text) != [text] or _needs_quotes(text) or text.endswith(",") else text


def _needs_quotes(word: str) -> bool:
    """Whether a word starts like a flag or a quotation."""
    if isinstance(word, Quotation):
        return False
    return word == "--" or word.startswith(tuple(CLOSING)) or bool(read_flag(word) or EQUALS.match(word))
