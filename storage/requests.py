"""A request as the database keeps it: JSON, every value written out, so that no later default changes it."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from engine.messages import AdapterUse, JobId, Paint, Ratio, Sampler, Size

KNOWN = {field.name for field in fields(Paint)} - {"job"}


def to_json(paint: Paint) -> dict[str, Any]:
    """The request without its job's id, which the row has already."""
    values = asdict(paint)
    del values["job"]
    return values | {"sampler": str(paint.sampler), "adapters": [asdict(use) for use in paint.adapters]}


def from_json(job: JobId, values: Mapping[str, Any]) -> Paint:
    """The request again; keys that this version does not know are left out.

    Raises InvalidRequest when the engine of today refuses what was allowed once.
    """
    known = {name: value for name, value in values.items() if name in KNOWN}
    if "sampler" in known:
        known["sampler"] = Sampler(known["sampler"])
    if "adapters" in known:
        known["adapters"] = tuple(AdapterUse(**use) for use in known["adapters"])
    if "size" in known:
        known["size"] = Ratio(**known["size"]) if "across" in known["size"] else Size(**known["size"])
    return Paint(job=job, **known)
