"""Comparisons of a LoRA with the base model: CLIP's scores, and how many people starred the sheet."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from engine.messages import ClipScore, JobId, Paint, Sha256
from storage.job_conditions import of_space
from storage.pictures import STAR
from storage.tables import Adapter, Comparison, Job, Picture, Vote

MOST = 3  # of a LoRA, the newest


@dataclass(frozen=True, kw_only=True)
class ComparisonView:
    """A comparison that everybody in its space may see; `stars` counts those who starred its sheet."""

    job: JobId
    prompt: str
    scores: tuple[ClipScore, ...]
    stars: int


async def save(session: AsyncSession, number: int, request: Paint, scores: Sequence[ClipScore]) -> None:
    """Store CLIP's scores of a job that compared a LoRA; its row has the sheet already."""
    values = {"scores": [[score.name, score.clip] for score in scores]}
    if await session.get(Comparison, number) is None:
        session.add(Comparison(job_number=number, sha256=request.adapters[0].sha256, scores=values))
        await session.flush()


async def of_lora(session: AsyncSession, space_id: int, sha256: Sha256) -> list[ComparisonView]:
    """The newest comparisons in this space, newest first, without those of direct messages."""
    stars = (
        select(func.count())
        .select_from(Vote)
        .join(Picture, Picture.id == Vote.picture_id)
        .where(Picture.job_number == Job.number, Vote.emoji == STAR)
        .scalar_subquery()
    )
    query = (
        select(Comparison, Job.id, Job.request, stars)
        .join(Job, Job.number == Comparison.job_number)
        .where(
            Comparison.sha256 == sha256,
            of_space(space_id),
            Job.deleted_at.is_(None),
            Job.private.is_(False),
            exists().where(Adapter.sha256 == sha256, Adapter.deleted_at.is_(None)),
        )
        .order_by(Comparison.job_number.desc())
        .limit(MOST)
    )
    return [
        ComparisonView(
            job=JobId(job),
            prompt=str(request.get("prompt", "")),
            scores=tuple(ClipScore(name=name, clip=clip) for name, clip in row.scores["scores"]),
            stars=count,
        )
        for row, job, request, count in await session.execute(query)
    ]
