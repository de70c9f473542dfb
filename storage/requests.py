"""A request as the database keeps it: JSON, every value written out, so that no later default changes it."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import StrEnum
from typing import Any, Literal

from engine.messages import (
    AdapterUse,
    Example,
    Flagged,
    JobId,
    Optimizer,
    Paint,
    Prior,
    Ratio,
    Sampler,
    Schedule,
    Size,
    Train,
    TrainingPrecision,
    TrainingSettings,
    Variant,
    Work,
)

Kind = Literal["paint", "train"]

CHOICES = {
    "optimizer": Optimizer,
    "schedule": Schedule,
    "precision": TrainingPrecision,
    "prior": Prior,
}  # of TrainingSettings


def kind(request: Work) -> Kind:
    """What its row is called."""
    return "train" if isinstance(request, Train) else "paint"


def to_json(request: Work) -> dict[str, Any]:
    """The request without its job's id, which the row has already."""
    return {name: _plain(value) for name, value in vars(request).items() if name != "job"}


def from_json(job: JobId, values: Mapping[str, Any]) -> Work:
    """The request again; keys that this version does not know are left out.

    Raises InvalidRequest when the engine of today refuses what was allowed once.
    """
    return _train(job, values) if "examples" in values else _paint(job, values)


def settings_from_json(values: Mapping[str, Any]) -> TrainingSettings:
    """How to train, as a request's JSON has it. Raises InvalidRequest."""
    known = _known(TrainingSettings, values)
    known |= {name: kind(known[name]) for name, kind in CHOICES.items() if name in known}
    if "blocks" in known:
        known["blocks"] = tuple(known["blocks"])
    return TrainingSettings(**known)


def _paint(job: JobId, values: Mapping[str, Any]) -> Paint:
    known = _known(Paint, values)
    if "sampler" in known:
        known["sampler"] = Sampler(known["sampler"])
    if "adapters" in known:
        known["adapters"] = tuple(AdapterUse(**use) for use in known["adapters"])
    if "flagged" in known:
        known["flagged"] = Flagged(known["flagged"])
    if "variants" in known:
        known["variants"] = tuple(_variant(one) for one in known["variants"])
    if "size" in known:
        known["size"] = Ratio(**known["size"]) if "across" in known["size"] else Size(**known["size"])
    return Paint(**known | {"job": job})


def _variant(values: Mapping[str, Any]) -> Variant:
    known = _known(Variant, values)
    known["adapters"] = tuple(AdapterUse(**use) for use in known.get("adapters", ()))
    return Variant(**known)


def _train(job: JobId, values: Mapping[str, Any]) -> Train:
    known = _known(Train, values)
    known["examples"] = tuple(Example(**_known(Example, one)) for one in known["examples"])
    if "settings" in known:
        known["settings"] = settings_from_json(known["settings"])
    if "flagged" in known:
        known["flagged"] = Flagged(known["flagged"])
    for name in ("wanted", "prompts"):
        if name in known:
            known[name] = tuple(known[name])
    return Train(**known | {"job": job})


def _plain(value: Any) -> Any:
    """As JSON has it; `dataclasses.asdict` would copy all of it first."""
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, StrEnum):
        return str(value)
    if is_dataclass(value):
        return {name: _plain(one) for name, one in vars(value).items()}
    return value


def _known(kind: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the values that this version has a field for."""
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in values.items() if name in names}
