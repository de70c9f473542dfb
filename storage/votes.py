"""Votes for LoRAs: how many people of a space starred a picture made with each."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import distinct, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from storage.adapters import LoraView
from storage.pictures import HASHES_PER_QUERY
from storage.tables import Job, LoraVote, Picture


async def add_likes(session: AsyncSession, space_id: int, loras: Sequence[LoraView]) -> list[LoraView]:
    """The LoRAs with their likes in this space, one for each person."""
    likes: dict[str, int] = {}
    hashes = sorted({lora.sha256 for lora in loras})
    for first in range(0, len(hashes), HASHES_PER_QUERY):
        some = hashes[first : first + HASHES_PER_QUERY]
        people = (
            select(LoraVote.sha256, func.count(distinct(LoraVote.person_id)))
            .join(Picture, Picture.id == LoraVote.picture_id)
            .join(Job, Job.number == Picture.job_number)
            .where(LoraVote.space_id == space_id, LoraVote.sha256.in_(some))
            .where(Job.deleted_at.is_(None), Job.private.is_(False))
            .group_by(LoraVote.sha256)
        )
        for sha256, count in await session.execute(people):
            likes[sha256] = count
    return [replace(lora, likes=likes[lora.sha256]) if lora.sha256 in likes else lora for lora in loras]
