"""Settings of a space: rules, limits, the queue's state, blocked people, and refusals."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal

from sqlalchemy import bindparam, delete, exists, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from storage.limits import NO_LIMITS, Limits, get_member, limits_from_json, limits_to_json
from storage.rules import NO_RULES, Rules, rules_from_json, rules_to_json
from storage.tables import Adapter, Member, Person, Refusal, Space, SpaceConfig

QueueState = Literal["", "paused", "draining"]
ROLES = "roles"  # among a space's limits: those of a role, by role
REFUSAL_AGE = 90 * 86400.0  # seconds for which it is known what was refused

# Made once: it is asked with everything that anybody says.
SETTINGS = (
    select(
        SpaceConfig.rules,
        SpaceConfig.limits,
        SpaceConfig.queue,
        Member.blocked_at,
        Member.limits,
        exists().where(Adapter.space_id == Space.id, Adapter.usual.is_not(None)),
    )
    .select_from(Space)
    .outerjoin(SpaceConfig, SpaceConfig.space_id == Space.id)
    .outerjoin(Member, (Member.space_id == Space.id) & (Member.key == bindparam("key")))
    .where(Space.id == bindparam("space"))
)


@dataclass(frozen=True, kw_only=True)
class SpaceSettings:
    """What holds for one person in one space. `limits` are theirs, `usual` everybody's.

    `mixed`: whether there may be LoRAs that every picture here has.
    """

    rules: Rules = NO_RULES
    limits: Limits = NO_LIMITS
    usual: Limits = NO_LIMITS
    queue: QueueState = ""
    blocked: bool = False
    mixed: bool = False


DEFAULTS = SpaceSettings()


async def effective_settings(
    session: AsyncSession, space_id: int, key: str, roles: Collection[str] = ()
) -> SpaceSettings:
    """The settings that hold here for the person with this key and these roles.

    Their own limits go before those of their roles, of which the widest hold, and those before the usual.
    """
    connection = await session.connection()
    row = (await connection.execute(SETTINGS, {"space": space_id, "key": key})).one_or_none()
    if row is None or (row[0] is None and row[4] is None and not row[5]):
        return DEFAULTS
    rules, limits, queue, blocked_at, own, mixed = row
    usual = limits_from_json(limits or {})
    return SpaceSettings(
        rules=rules_from_json(rules or {}),
        limits=limits_from_json(own or {}).over(_widest_of_roles(limits or {}, roles).over(usual)),
        usual=usual,
        queue=queue or "",
        blocked=blocked_at is not None,
        mixed=mixed,
    )


async def limits_files(session: AsyncSession, space_id: int) -> bool:
    """Whether anybody here has a limit of megabytes: only then need their files be weighed."""
    config = select(SpaceConfig.limits).where(SpaceConfig.space_id == space_id)
    limits = await session.scalar(config) or {}
    own = exists().where(Member.space_id == space_id, Member.limits["megabytes"].as_integer().is_not(None))
    return any("megabytes" in usual for usual in (limits, *limits.get(ROLES, {}).values())) or bool(
        await session.scalar(select(own))
    )


async def set_rules(session: AsyncSession, space_id: int, rules: Rules) -> None:
    """Set the rules of the space."""
    (await _get_config(session, space_id)).rules = rules_to_json(rules)
    await session.flush()


async def set_limits(session: AsyncSession, space_id: int, key: str | None, limits: Limits) -> None:
    """Set the limits of this person, or of everybody without limits of their own."""
    row = await _get_config(session, space_id) if key is None else await get_member(session, space_id, key)
    of_roles = row.limits.get(ROLES)
    row.limits = limits_to_json(limits) | ({ROLES: of_roles} if of_roles else {})
    await session.flush()


async def set_role_limits(session: AsyncSession, space_id: int, role: str, limits: Limits) -> None:
    """Set the limits of everybody with this role."""
    row = await _get_config(session, space_id)
    row.limits = row.limits | {ROLES: row.limits.get(ROLES, {}) | {role: limits_to_json(limits)}}
    await session.flush()


async def role_limits(session: AsyncSession, space_id: int) -> dict[str, Limits]:
    """The limits of roles that have any, by role."""
    row = await session.get(SpaceConfig, space_id)
    by_role = row.limits.get(ROLES, {}) if row else {}
    return {role: limits_from_json(values) for role, values in by_role.items() if values}


def _widest_of_roles(limits: Mapping[str, Any], roles: Collection[str]) -> Limits:
    """The widest limits that one of these roles has."""
    theirs = [
        limits_from_json(values) for role, values in limits.get(ROLES, {}).items() if role in roles and values
    ]
    return reduce(Limits.best, theirs, NO_LIMITS)


async def own_limits(session: AsyncSession, space_id: int, key: str) -> Limits:
    """The limits of this person alone."""
    row = await session.get(Member, (space_id, key))
    return limits_from_json(row.limits) if row else Limits()


async def set_queue_state(session: AsyncSession, space_id: int, queue: QueueState) -> None:
    """Pause the queue of the space, close it, or let it run."""
    (await _get_config(session, space_id)).queue = queue
    await session.flush()


async def set_blocked(session: AsyncSession, space_id: int, key: str, at: float | None) -> None:
    """Block this person here from this time on; None unblocks them."""
    (await get_member(session, space_id, key)).blocked_at = at
    await session.flush()


async def list_blocked(session: AsyncSession, space_id: int) -> set[str]:
    """The keys of those who are blocked here."""
    query = select(Member.key).where(Member.space_id == space_id, Member.blocked_at.is_not(None))
    return set(await session.scalars(query))


async def is_blocked_anywhere(session: AsyncSession, chat: str, key: str) -> bool:
    """Whether any space of this chat blocks this person."""
    query = select(Member.key).join(Space, Space.id == Member.space_id)
    query = query.where(Space.chat == chat, Member.key == key, Member.blocked_at.is_not(None))
    return await session.scalar(query.limit(1)) is not None


async def record_refusal(session: AsyncSession, space_id: int, person_id: int, why: str, now: float) -> None:
    """Count that somebody was refused and why, without their words."""
    await session.execute(delete(Refusal).where(Refusal.space_id == space_id, Refusal.at < now - REFUSAL_AGE))
    row = {"at": now, "space_id": space_id, "person_id": person_id, "why": why}
    await session.execute(insert(Refusal).values(row))


async def refusals(session: AsyncSession, space_id: int, since: float) -> list[tuple[str, str, int]]:
    """Who was refused since then, why and how often, the most frequent first."""
    often = func.count()
    query = (
        select(func.coalesce(Person.name, "somebody"), Refusal.why, often)
        .select_from(Refusal)
        .outerjoin(Person, Person.id == Refusal.person_id)
        .where(Refusal.space_id == space_id, Refusal.at >= since)
        .group_by(Refusal.person_id, Person.name, Refusal.why)
        .order_by(often.desc(), Refusal.why)
    )
    return [(name, why, count) for name, why, count in await session.execute(query)]


async def _get_config(session: AsyncSession, space_id: int) -> SpaceConfig:
    row = await session.get(SpaceConfig, space_id)
    if row is None:
        row = SpaceConfig(space_id=space_id, rules={}, limits={}, queue="")
        session.add(row)
        await session.flush()
    return row
