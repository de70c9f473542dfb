"""What the keepers of a space have set there: rules, limits, whether its queue moves, who is blocked."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal

from sqlalchemy import bindparam, delete, exists, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from storage.limits import NO_LIMITS, Limits, limits_from, limits_to, standing
from storage.rules import NO_RULES, Rules, rules_from, rules_to
from storage.tables import Adapter, Keeping, Person, Refusal, Space, Standing

QueueState = Literal["", "paused", "draining"]
ROLES = "roles"  # among a space's limits: those of a role, by role
LONG = 90 * 86400.0  # seconds for which it is known what was refused

# Made once: it is asked with everything that anybody says.
KEPT = (
    select(
        Keeping.rules,
        Keeping.limits,
        Keeping.queue,
        Standing.blocked_at,
        Standing.limits,
        exists().where(Adapter.space_id == Space.id, Adapter.usual.is_not(None)),
    )
    .select_from(Space)
    .outerjoin(Keeping, Keeping.space_id == Space.id)
    .outerjoin(Standing, (Standing.space_id == Space.id) & (Standing.key == bindparam("key")))
    .where(Space.id == bindparam("space"))
)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What holds for one person in one space. `limits` are theirs, `usual` everybody's.

    `mixed`: whether there may be LoRAs that every picture here has.
    """

    rules: Rules = NO_RULES
    limits: Limits = NO_LIMITS
    usual: Limits = NO_LIMITS
    queue: QueueState = ""
    blocked: bool = False
    mixed: bool = False


NOTHING = Kept()


async def kept(session: AsyncSession, space_id: int, key: str, roles: Collection[str] = ()) -> Kept:
    """What holds here for the person whom the chat calls so, who has these roles.

    Their own limits go before those of their roles, of which the widest hold, and those before the usual.
    """
    connection = await session.connection()
    row = (await connection.execute(KEPT, {"space": space_id, "key": key})).one_or_none()
    if row is None or (row[0] is None and row[4] is None and not row[5]):
        return NOTHING
    rules, limits, queue, blocked_at, own, mixed = row
    usual = limits_from(limits or {})
    return Kept(
        rules=rules_from(rules or {}),
        limits=limits_from(own or {}).over(_of_roles(limits or {}, roles).over(usual)),
        usual=usual,
        queue=queue or "",
        blocked=blocked_at is not None,
        mixed=mixed,
    )


async def rule(session: AsyncSession, space_id: int, rules: Rules) -> None:
    """Let these be the rules of the space."""
    (await _keeping(session, space_id)).rules = rules_to(rules)
    await session.flush()


async def limit(session: AsyncSession, space_id: int, key: str | None, limits: Limits) -> None:
    """Let these be the limits of this person, or of everybody who has none of their own."""
    row = await _keeping(session, space_id) if key is None else await standing(session, space_id, key)
    of_roles = row.limits.get(ROLES)
    row.limits = limits_to(limits) | ({ROLES: of_roles} if of_roles else {})
    await session.flush()


async def limit_role(session: AsyncSession, space_id: int, role: str, limits: Limits) -> None:
    """Let these be the limits of everybody who has this role."""
    row = await _keeping(session, space_id)
    row.limits = row.limits | {ROLES: row.limits.get(ROLES, {}) | {role: limits_to(limits)}}
    await session.flush()


async def role_limits(session: AsyncSession, space_id: int) -> dict[str, Limits]:
    """What is limited for those who have a role, by role."""
    row = await session.get(Keeping, space_id)
    found = row.limits.get(ROLES, {}) if row else {}
    return {role: limits_from(one) for role, one in found.items() if one}


def _of_roles(limits: Mapping[str, Any], roles: Collection[str]) -> Limits:
    """The widest that one of these roles has."""
    theirs = [limits_from(one) for role, one in limits.get(ROLES, {}).items() if role in roles and one]
    return reduce(Limits.best, theirs, NO_LIMITS)


async def own_limits(session: AsyncSession, space_id: int, key: str) -> Limits:
    """What is limited for this person alone."""
    row = await session.get(Standing, (space_id, key))
    return limits_from(row.limits) if row else Limits()


async def hold(session: AsyncSession, space_id: int, queue: QueueState) -> None:
    """Let the queue of the space stand still, take nothing new, or move again."""
    (await _keeping(session, space_id)).queue = queue
    await session.flush()


async def block(session: AsyncSession, space_id: int, key: str, at: float | None) -> None:
    """Let this person do nothing here from now on; with None, let them again."""
    (await standing(session, space_id, key)).blocked_at = at
    await session.flush()


async def blocked(session: AsyncSession, space_id: int) -> set[str]:
    """The keys of those who are blocked here."""
    found = select(Standing.key).where(Standing.space_id == space_id, Standing.blocked_at.is_not(None))
    return set(await session.scalars(found))


async def blocked_anywhere(session: AsyncSession, chat: str, key: str) -> bool:
    """Whether any space of this chat has blocked this person."""
    found = select(Standing.key).join(Space, Space.id == Standing.space_id)
    found = found.where(Space.chat == chat, Standing.key == key, Standing.blocked_at.is_not(None))
    return await session.scalar(found.limit(1)) is not None


async def refused(session: AsyncSession, space_id: int, person_id: int, why: str, now: float) -> None:
    """Somebody asked for what is not allowed here; why, without their words."""
    await session.execute(delete(Refusal).where(Refusal.space_id == space_id, Refusal.at < now - LONG))
    row = {"at": now, "space_id": space_id, "person_id": person_id, "why": why}
    await session.execute(insert(Refusal).values(row))


async def refusals(session: AsyncSession, space_id: int, since: float) -> list[tuple[str, str, int]]:
    """Who was refused since then, why and how often; the most first."""
    often = func.count()
    found = (
        select(func.coalesce(Person.name, "somebody"), Refusal.why, often)
        .select_from(Refusal)
        .outerjoin(Person, Person.id == Refusal.person_id)
        .where(Refusal.space_id == space_id, Refusal.at >= since)
        .group_by(Refusal.person_id, Person.name, Refusal.why)
        .order_by(often.desc(), Refusal.why)
    )
    return [(name, why, count) for name, why, count in await session.execute(found)]


async def _keeping(session: AsyncSession, space_id: int) -> Keeping:
    row = await session.get(Keeping, space_id)
    if row is None:
        row = Keeping(space_id=space_id, rules={}, limits={}, queue="")
        session.add(row)
        await session.flush()
    return row
