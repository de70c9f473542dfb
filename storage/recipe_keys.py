"""Recipes as hashes, by which pictures that were painted before are found again."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from engine.messages import JobId, Paint, Sha256
from storage.job_conditions import of_space
from storage.jobs import FinishedPicture
from storage.provenance import read_marks
from storage.requests import to_json
from storage.tables import Job, Picture

NAMES = frozenset({"note", "name", "job", "place", "change", "repeats"})
"""What a request says of things that stands for no pixel: LoRAs and pictures are known by their files."""


@dataclass(frozen=True, kw_only=True)
class PaintedBefore:
    """A job that painted the same, and its pictures."""

    job: JobId
    pictures: tuple[FinishedPicture, ...]


def recipe_key(request: Paint, engine: str) -> str | None:
    """The hash of all that decides about the pixels; `engine` is the model and the settings that paint.

    None of a comparison, whose sheet has names on it.
    """
    if request.variants:
        return None
    recipe = json.dumps([engine, _without_names(to_json(request))], sort_keys=True)
    return hashlib.sha256(recipe.encode()).hexdigest()


async def find_painted(
    session: AsyncSession, key: str, *, space_id: int, person_id: int, adult: bool
) -> PaintedBefore | None:
    """The newest job of the space with this key that the person could see where they ask.

    Others' private jobs are none, and those of channels for adults only where `adult`. Neither are deleted
    jobs, and those with a picture that was flagged or hidden: they have no key.
    """
    seen = or_(Job.person_id == person_id, Job.private.is_(False))
    query = select(Job.number, Job.id).where(
        Job.recipe == key, of_space(space_id), seen, Job.deleted_at.is_(None)
    )
    if not adult:
        query = query.where(Job.adult.is_(False))
    job = (await session.execute(query.order_by(Job.number.desc()).limit(1))).first()
    if job is None:
        return None
    marks = await read_marks(session, job.number)
    rows = await session.scalars(
        select(Picture).where(Picture.job_number == job.number).order_by(Picture.place)
    )
    pictures = tuple(
        FinishedPicture(
            place=row.place,
            sha256=Sha256(row.sha256),
            seed=row.seed,
            width=row.width,
            height=row.height,
            marks=marks.get(row.place),
        )
        for row in rows
    )
    return PaintedBefore(job=JobId(job.id), pictures=pictures) if pictures else None


def _without_names(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_names(item) for name, item in value.items() if name not in NAMES}
    return [_without_names(item) for item in value] if isinstance(value, list) else value
