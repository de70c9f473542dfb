"""Captions of a draft's pictures: asked of the captioner, and written down."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from engine.messages import Manifest, Sha256
from storage.pictures import find_unneeded
from storage.tables import Job, Training


async def ask_description(session: AsyncSession, number: int) -> list[Sha256]:
    """Have the draft's pictures inspected once more, and described.

    Returns the files that nothing needs any more: the sheet of its report.
    """
    job, row = await session.get_one(Job, number), await session.get_one(Training, number)
    before = [Sha256(row.sheet)] if row.sheet else []
    job.request = {**job.request, "describe": True}
    job.revision += 1
    row.sheet, row.report = None, None
    await session.flush()
    return await find_unneeded(session, before)


async def save_captions(
    session: AsyncSession, number: int, captions: Sequence[str], manifest: Manifest | None
) -> list[Sha256]:
    """Give the draft's pictures without a caption these captions, in their order.

    manifest: of the same pictures with these captions, stored already, where the request has one. Returns the
    files that nothing needs any more: the new one, when the draft was deleted or started meanwhile.
    """
    job, row = await session.get_one(Job, number), await session.get(Training, number)
    if row is None or job.state != "draft":
        return [] if manifest is None else await find_unneeded(session, [manifest.sha256])
    request = {**job.request, "describe": False}
    before: list[Sha256] = []
    if manifest is not None:
        before = [Sha256(row.manifest)] if row.manifest else []
        request["manifest"], row.manifest = vars(manifest), manifest.sha256
    else:
        request["examples"] = [
            {**example, "caption": example.get("caption") or caption}
            for example, caption in zip(request["examples"], captions, strict=True)
        ]
    job.request = request
    await session.flush()
    return await find_unneeded(session, before)
