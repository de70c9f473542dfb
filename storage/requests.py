"""Requests as JSON for the database, with every value written out."""

from collections.abc import Mapping
from dataclasses import is_dataclass
from enum import StrEnum
from typing import Any, Literal

from engine.messages import (
    AdapterKind,
    AdapterUse,
    Example,
    Finish,
    FlaggedPolicy,
    Ingredient,
    JobId,
    JobRequest,
    Manifest,
    Margins,
    Optimizer,
    Paint,
    PartNumber,
    Prior,
    Ratio,
    Region,
    Sampler,
    Schedule,
    Size,
    Source,
    Train,
    TrainingPrecision,
    TrainingSettings,
    Variant,
    example_from_json,
    example_to_json,
)

Kind = Literal["paint", "train"]
PLAIN = frozenset({str, int, float, bool, type(None)})  # what most values are

CHOICES = {
    "kind": AdapterKind,
    "optimizer": Optimizer,
    "schedule": Schedule,
    "precision": TrainingPrecision,
    "prior": Prior,
}  # of TrainingSettings


def kind(request: JobRequest) -> Kind:
    """The kind of a request's row."""
    return "train" if isinstance(request, Train) else "paint"


def to_json(request: JobRequest) -> dict[str, Any]:
    """The request as JSON, without its job's id, which the row has."""
    return {name: _to_plain(value) for name, value in vars(request).items() if name != "job"}


def from_json(job: JobId, values: Mapping[str, Any]) -> JobRequest:
    """The request from its JSON; keys that this version does not know are ignored.

    Raises InvalidRequest when the engine of today refuses what was allowed once.
    """
    return _train(job, values) if "examples" in values else _paint(job, values)


def count_pictures(values: Mapping[str, Any]) -> int:
    """How many pictures the training of this JSON has."""
    manifest = values.get("manifest") or {}
    return int(manifest.get("pictures", 0)) or len(values.get("examples", ()))


def settings_from_json(values: Mapping[str, Any]) -> TrainingSettings:
    """Training settings from a request's JSON. Raises InvalidRequest."""
    settings = _pick_fields(TrainingSettings, values)
    settings |= {name: choice(settings[name]) for name, choice in CHOICES.items() if name in settings}
    for name in ("ranks", "alphas", "learning_rates"):
        if name in settings:
            settings[name] = tuple(PartNumber(**number) for number in settings[name])
    for name in ("blocks", "crop"):
        if name in settings:
            settings[name] = tuple(settings[name])
    return TrainingSettings(**settings)


def _paint(job: JobId, values: Mapping[str, Any]) -> Paint:
    arguments = _pick_fields(Paint, values)
    if "sampler" in arguments:
        arguments["sampler"] = Sampler(arguments["sampler"])
    if "adapters" in arguments:
        arguments["adapters"] = tuple(AdapterUse(**use) for use in arguments["adapters"])
    if "flagged" in arguments:
        arguments["flagged"] = FlaggedPolicy(arguments["flagged"])
    if "variants" in arguments:
        arguments["variants"] = tuple(_variant(variant) for variant in arguments["variants"])
    if arguments.get("source") is not None:
        arguments["source"] = _source(arguments["source"])
    if "blend" in arguments:
        arguments["blend"] = tuple(Ingredient(**part) for part in arguments["blend"])
    if "finish" in arguments:
        arguments["finish"] = Finish(**_pick_fields(Finish, arguments["finish"]))
    if "size" in arguments:
        arguments["size"] = (
            Ratio(**arguments["size"]) if "across" in arguments["size"] else Size(**arguments["size"])
        )
    return Paint(**arguments | {"job": job})


def _source(values: Mapping[str, Any]) -> Source:
    arguments = _pick_fields(Source, values)
    if "margins" in arguments:
        arguments["margins"] = Margins(**arguments["margins"])
    if "regions" in arguments:
        arguments["regions"] = tuple(Region(**region) for region in arguments["regions"])
    return Source(**arguments)


def _variant(values: Mapping[str, Any]) -> Variant:
    arguments = _pick_fields(Variant, values)
    arguments["adapters"] = tuple(AdapterUse(**use) for use in arguments.get("adapters", ()))
    return Variant(**arguments)


def _train(job: JobId, values: Mapping[str, Any]) -> Train:
    arguments = _pick_fields(Train, values)
    arguments["examples"] = tuple(example_from_json(example) for example in arguments["examples"])
    if arguments.get("manifest"):
        arguments["manifest"] = Manifest(**_pick_fields(Manifest, arguments["manifest"]))
    if arguments.get("start") is not None:
        arguments["start"] = AdapterUse(**arguments["start"])
    if "settings" in arguments:
        arguments["settings"] = settings_from_json(arguments["settings"])
    if "flagged" in arguments:
        arguments["flagged"] = FlaggedPolicy(arguments["flagged"])
    for name in ("wanted", "prompts"):
        if name in arguments:
            arguments[name] = tuple(arguments[name])
    return Train(**arguments | {"job": job})


def _to_plain(value: Any) -> Any:
    """A value as JSON; `dataclasses.asdict` would copy all of it first."""
    if type(value) in PLAIN:
        return value
    if isinstance(value, tuple):
        return [_to_plain(item) for item in value]
    if isinstance(value, StrEnum):
        return str(value)
    if isinstance(value, Example):
        return example_to_json(value)
    if is_dataclass(value):
        return {name: _to_plain(field) for name, field in vars(value).items()}
    return value


def _pick_fields(kind: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the values that are fields of this class."""
    names = kind.__dataclass_fields__  # what fields() makes a tuple of at every call
    return {name: value for name, value in values.items() if name in names}
