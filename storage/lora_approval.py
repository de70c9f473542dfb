"""What admins decide about LoRAs: approval, weight bounds, owners, and LoRAs in every picture."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import bindparam, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from engine.messages import Sha256
from storage.rules import rules_from_json
from storage.tables import Adapter, SpaceConfig

Approval = Literal["", "waiting", "refused", "retired"]
"""Of a LoRA: as its owner shares it; its owner's alone until an admin says yes, or no; nobody's any more."""

# Made once: it is asked with every picture.
USUAL_LORAS = (
    select(Adapter.name, Adapter.usual)
    .where(
        Adapter.space_id == bindparam("space"),
        Adapter.deleted_at.is_(None),
        Adapter.standing == "",
        Adapter.access != "me",
        Adapter.usual.is_not(None),
    )
    .order_by(Adapter.id)
)


@dataclass(frozen=True, kw_only=True)
class WeightBounds:
    """The weights at which a LoRA may be used; None is any."""

    name: str
    sha256: Sha256
    least: float | None
    most: float | None

    def contains(self, weight: float) -> bool:
        """Whether this weight is within them; to leave it out always is."""
        above = self.least is None or weight >= self.least
        return weight == 0 or (above and (self.most is None or weight <= self.most))


async def initial_approval(session: AsyncSession, space_id: int | None) -> Approval:
    """The approval of a new LoRA: where admins want to see LoRAs first, it waits for them."""
    rules = await session.scalar(select(SpaceConfig.rules).where(SpaceConfig.space_id == space_id))
    return "waiting" if rules_from_json(rules or {}).approve else ""


async def set_approval(session: AsyncSession, id: int, approval: Approval, reason: str = "") -> None:
    """Set the approval of a LoRA."""
    await session.execute(update(Adapter).where(Adapter.id == id).values(standing=approval, reason=reason))


async def set_weight_bounds(session: AsyncSession, id: int, least: float | None, most: float | None) -> None:
    """Set the weights at which a LoRA may be used."""
    await session.execute(update(Adapter).where(Adapter.id == id).values(least=least, most=most))


async def set_usual_weight(session: AsyncSession, id: int, weight: float | None) -> None:
    """Put a LoRA into every new picture of its space at this weight; None: into none."""
    await session.execute(update(Adapter).where(Adapter.id == id).values(usual=weight))


async def set_owner(session: AsyncSession, id: int, person_id: int) -> None:
    """Set the owner of a LoRA."""
    await session.execute(update(Adapter).where(Adapter.id == id).values(person_id=person_id))


async def weight_bounds(
    session: AsyncSession, space_id: int, hashes: Collection[Sha256]
) -> list[WeightBounds]:
    """The weight bounds of these files: of this space's LoRAs, else of one shared with everybody.

    What another space says of the same file is nothing to a space that has it itself.
    """
    query = select(Adapter).where(
        Adapter.sha256.in_(hashes),
        Adapter.deleted_at.is_(None),
        or_(Adapter.space_id == space_id, Adapter.access == "everybody"),
        Adapter.space_id.is_not(None),
    )
    rows = list(await session.scalars(query.order_by(Adapter.id)))
    own = {row.sha256 for row in rows if row.space_id == space_id}
    return [
        WeightBounds(name=row.name, sha256=Sha256(row.sha256), least=row.least, most=row.most)
        for row in rows
        if row.space_id == space_id or row.sha256 not in own
    ]


async def usual_loras(session: AsyncSession, space_id: int) -> Sequence[tuple[str, float]]:
    """Name and weight of the LoRAs that every new picture of the space has."""
    connection = await session.connection()
    rows = await connection.execute(USUAL_LORAS, {"space": space_id})
    return [(name, weight or 0.0) for name, weight in rows]


async def names_of_retired(session: AsyncSession, space_id: int) -> set[str]:
    """The names of the LoRAs of the space that are not used any more."""
    query = select(Adapter.name).where(
        Adapter.space_id == space_id, Adapter.deleted_at.is_(None), Adapter.standing == "retired"
    )
    return set(await session.scalars(query))
