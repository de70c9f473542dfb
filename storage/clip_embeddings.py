"""CLIP embeddings of LoRAs' pictures, stored in the LoRAs' rows."""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from engine.messages import SearchCandidate
from storage.adapters import LoraView
from storage.tables import Adapter

KEY = "clip"  # in the adapter's info


def face(lora: LoraView, words: str) -> SearchCandidate:
    """What CLIP compares of a LoRA. The embedding is there if it was made of the same picture or words."""
    stored: Mapping[str, Any] = lora.info.get(KEY) or {}
    if stored.get("of") != (lora.thumbnail or words):
        return SearchCandidate(picture=lora.thumbnail, words=words)
    vector = b64decode(stored["vector"])
    return SearchCandidate(picture=lora.thumbnail, words=words, clip=stored["by"], vector=vector)


async def save(session: AsyncSession, lora: LoraView, seen: SearchCandidate) -> None:
    """Store the embedding with the LoRA, unless that was deleted meanwhile."""
    embedding = {"of": seen.picture or seen.words, "by": seen.clip, "vector": b64encode(seen.vector).decode()}
    row = await session.get(Adapter, lora.id, with_for_update=True)
    if row is not None and row.deleted_at is None and seen.vector and lora.info.get(KEY) != embedding:
        row.info = {**(row.info or {}), KEY: embedding}
        await session.flush()
