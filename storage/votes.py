"""Votes for LoRAs: how many people of a space starred a picture made with each."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from storage.adapters import LoraView
from storage.job_conditions import of_space
from storage.pictures import STAR
from storage.tables import Job, Picture, Vote


async def add_likes(session: AsyncSession, space_id: int, loras: Sequence[LoraView]) -> list[LoraView]:
    """The LoRAs with their likes in this space, one for each person."""
    if not loras:
        return []
    query = (
        select(Vote.person_id, Job.request)
        .join(Picture, Picture.id == Vote.picture_id)
        .join(Job, Job.number == Picture.job_number)
        .where(Vote.emoji == STAR, of_space(space_id), Job.deleted_at.is_(None), Job.private.is_(False))
    )
    people: defaultdict[str, set[int]] = defaultdict(set)
    for person, request in await session.execute(query):
        for use in request.get("adapters", ()):
            people[use["sha256"]].add(person)
    return [replace(lora, likes=len(people[lora.sha256])) for lora in loras]
