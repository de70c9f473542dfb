"""Rows of LoRAs: who may use them, their names and triggers, and how they are deleted."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, Literal

from sqlalchemy import (
    JSON,
    ColumnElement,
    CompoundSelect,
    Row,
    Select,
    and_,
    case,
    exists,
    func,
    or_,
    select,
    type_coerce,
    union,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from engine.messages import AdapterUse, JobId, Sha256
from storage import job_conditions
from storage.lora_approval import Approval, initial_approval
from storage.pictures import find_unneeded
from storage.tables import Adapter, Checkpoint, Job, Person, Training

Access = Literal["me", "space", "everybody"]
Info = Literal["all", "no curves", "none"]


@dataclass(frozen=True, kw_only=True)
class LoraView:
    """A LoRA that was trained, brought or merged here and is not deleted.

    `info` says how it was made: "settings", "pictures", "steps", "best", "seconds", "losses" and
    "validation" (lists of step and value); "imported" or "merged" of one that was not trained here. `hint`
    is the weight that suits it, `uses` how many jobs use it, `thumbnail` a PNG in the store, and
    `sheet` another one: what a merge paints beside the mix that it replaces. Where they were asked for,
    `likes` is how many people like it, `likeness` 100 times CLIP's cosine of its picture and some words.
    """

    id: int
    name: str
    sha256: Sha256
    person: str  # its owner's name
    person_id: int | None
    person_key: str | None  # how their chat calls them
    space_id: int
    trigger: str
    phrase: str
    preset: str
    hint: float
    access: str
    thumbnail: Sha256 | None
    tokens: int
    uses: int
    created_at: float
    job: JobId | None  # that made it
    sheet: Sha256 | None = None
    info: Mapping[str, Any] = field(default_factory=dict)
    likes: int = 0
    likeness: float | None = None
    approval: Approval = ""
    reason: str = ""  # why an admin refused it
    least: float | None = None  # weights at which it may be used
    most: float | None = None
    usual: float | None = None  # the weight that every new picture of its space has it at
    paint: str = ""  # the paint settings that suit it, as words of /imagine


JOINED: Mapping[str, ColumnElement[Any]] = {
    "person": func.coalesce(Person.name, "").label("person"),
    "person_key": Person.key.label("person_key"),
    "job": Job.id.label("job"),
    "approval": Adapter.standing.label("approval"),
}
INFO: Mapping[Info, Sequence[ColumnElement[Any]]] = {
    "all": [Adapter.info.label("info")],
    "no curves": [
        type_coerce(func.json_remove(Adapter.info, "$.losses", "$.validation"), JSON).label("info")
    ],
    "none": [],
}
NOT_STORED = ("likes", "likeness")
FIELDS = tuple(field.name for field in fields(LoraView) if field.name not in NOT_STORED)


@dataclass(frozen=True, kw_only=True)
class NewLora:
    """A LoRA that no training made, before its row is written; its files are in the store."""

    name: str
    sha256: Sha256
    phrase: str
    preset: str  # "imported", "merged"
    thumbnail: Sha256
    tokens: int
    info: Mapping[str, Any]
    sheet: Sha256 | None = None


async def add(session: AsyncSession, space_id: int, person_id: int, new: NewLora, now: float) -> None:
    """Write down a LoRA that no training made, for this person in this space. The name must be free."""
    session.add(
        Adapter(
            space_id=space_id,
            person_id=person_id,
            name=new.name,
            sha256=new.sha256,
            trigger=new.phrase.partition(" ")[0],
            phrase=new.phrase,
            preset=new.preset,
            access="me",
            thumbnail=new.thumbnail,
            sheet=new.sheet,
            tokens=new.tokens,
            info=dict(new.info),
            standing=await initial_approval(session, space_id),
            created_at=now,
        )
    )
    await session.flush()


async def count_use(session: AsyncSession, use: AdapterUse, now: float) -> None:
    """Count one more job that uses this file under this name."""
    query = (
        select(Adapter)
        .where(
            Adapter.sha256 == use.sha256,
            Adapter.deleted_at.is_(None),
            or_(Adapter.name == use.name, Adapter.space_id.is_not(None)),
        )
        .order_by(Adapter.id)
        .limit(1)
    )
    row = await session.scalar(query)
    if row is None:
        session.add(Adapter(name=use.name, sha256=use.sha256, uses=1, created_at=now))
    else:
        row.uses += 1
    await session.flush()


async def list_usable(
    session: AsyncSession, space_id: int, person_id: int, name: str | None = None, *, info: Info = "all"
) -> list[LoraView]:
    """The LoRAs that this person may use here, newest first; the space's own hide others of their names.

    `name`: only the one of this name. `info`: how much is told of how they were made, which takes most of the
    time where they are many.
    """
    query = _views(info).where(Adapter.id.in_(_usable(space_id, person_id, name)))
    newest = await _read(session, query.order_by(Adapter.id.desc()))
    own = {lora.name for lora in newest if lora.space_id == space_id}
    first: dict[str, LoraView] = {}
    for lora in newest:
        if lora.space_id == space_id or lora.name not in own:
            first.setdefault(lora.name, lora)
    return list(first.values())


async def list_of_space(session: AsyncSession, space_id: int, name: str | None = None) -> list[LoraView]:
    """All LoRAs of the space, whoever may use them, newest first; `name`: only the one of this name."""
    query = _views("all").where(Adapter.space_id == space_id, Adapter.deleted_at.is_(None))
    if name is not None:
        query = query.where(Adapter.name == name)
    return await _read(session, query.order_by(Adapter.id.desc()))


async def completion_hints(
    session: AsyncSession, space_id: int, person_id: int
) -> list[tuple[str, float, str]]:
    """Name, usual weight and trigger of the LoRAs that this person may use here, for completions."""
    query = select(Adapter.name, Adapter.hint, Adapter.trigger).where(
        Adapter.id.in_(_usable(space_id, person_id))
    )
    rows = await session.execute(query.order_by(_is_elsewhere(space_id), Adapter.id.desc()))
    by_name: dict[str, tuple[str, float, str]] = {}
    for name, hint, trigger in rows:
        by_name.setdefault(name, (name, hint, trigger))
    return list(by_name.values())


async def find_usable(session: AsyncSession, space_id: int, person_id: int, name: str) -> LoraView | None:
    """The LoRA that this person means by a name here, if they may use it."""
    return next(iter(await list_usable(session, space_id, person_id, name)), None)


async def forbidden_names(
    session: AsyncSession, space_id: int, person_id: int, hashes: Collection[Sha256]
) -> list[str]:
    """The names of those of these files that were trained here and that this person may not use now."""
    allowed = select(Adapter.sha256).where(
        Adapter.sha256.in_(hashes),
        Adapter.deleted_at.is_(None),
        or_(Adapter.space_id.is_(None), _may_use(space_id, person_id)),
    )
    others = select(Adapter.name).where(
        Adapter.sha256.in_(hashes), Adapter.space_id.is_not(None), Adapter.sha256.not_in(allowed)
    )
    return list(dict.fromkeys(await session.scalars(others.order_by(Adapter.id))))


async def is_name_taken(session: AsyncSession, space_id: int, name: str) -> bool:
    """Whether a LoRA of the space has this name, or will have it once its training ends."""
    living = exists().where(Adapter.space_id == space_id, Adapter.name == name, Adapter.deleted_at.is_(None))
    coming = exists().where(Training.name == name, *_is_open_training(space_id))
    return bool(await session.scalar(select(or_(living, coming))))


async def triggers(session: AsyncSession, space_id: int) -> set[str]:
    """The triggers of the space's LoRAs, and of those that are being trained."""
    living = select(Adapter.trigger).where(
        Adapter.space_id == space_id, Adapter.deleted_at.is_(None), Adapter.trigger != ""
    )
    coming = select(Training.trigger).where(*_is_open_training(space_id))
    return set(await session.scalars(living)) | set(await session.scalars(coming))


async def free_name(session: AsyncSession, space_id: int, name: str) -> str:
    """The name, or the first of name-2, name-3 and so on that no living LoRA of the space has."""
    taken = set(
        await session.scalars(
            select(Adapter.name).where(Adapter.space_id == space_id, Adapter.deleted_at.is_(None))
        )
    )
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name[: 32 - len(f'-{number}')]}-{number}"
    return free


async def rename(session: AsyncSession, id: int, name: str) -> None:
    """Rename a LoRA. The name must be free."""
    row = await session.get_one(Adapter, id, with_for_update=True)
    row.name = name
    await _touch_card(session, row)


async def save_paint_settings(session: AsyncSession, id: int, words: str) -> None:
    """Keep the paint settings that suit a LoRA, as words of /imagine; "" for none."""
    await session.execute(update(Adapter).where(Adapter.id == id).values(paint=words))


async def share(session: AsyncSession, id: int, access: Access) -> None:
    """Set who may use a LoRA."""
    await session.execute(update(Adapter).where(Adapter.id == id).values(access=access))


async def delete(session: AsyncSession, id: int, now: float) -> list[Sha256]:
    """Delete a LoRA. Returns the files that nothing needs any more.

    Those of the checkpoints that it could have been chosen from go, too.
    """
    row = await session.get_one(Adapter, id, with_for_update=True)
    row.deleted_at = row.deleted_at or now
    files = [row.sha256, row.thumbnail, row.sheet]
    row.thumbnail = row.sheet = row.info = None
    if row.job_number is not None:
        of_its_job = Checkpoint.job_number == row.job_number
        files += await session.scalars(select(Checkpoint.sha256).where(of_its_job))
        await session.execute(update(Checkpoint).where(of_its_job).values(sha256=None, candidate=False))
    await _touch_card(session, row)
    return await find_unneeded(session, [Sha256(sha256) for sha256 in files if sha256])


async def _touch_card(session: AsyncSession, row: Adapter) -> None:
    """Have the card of the training that made it drawn again."""
    await session.flush()
    made_it = update(Job).where(Job.number == row.job_number)
    await session.execute(made_it.values(revision=Job.revision + 1))


def _is_open_training(space_id: int) -> tuple[ColumnElement[bool], ...]:
    """Conditions for a training of this space that has not ended."""
    return (
        Training.job_number == Job.number,
        job_conditions.of_space(space_id),
        *job_conditions.is_open_training(),
    )


def _usable(space_id: int, person_id: int, name: str | None = None) -> CompoundSelect[int]:
    """The ids of what this person may use here: of the space and shared by others, each by its own index."""
    may_use = (_may_use(space_id, person_id), *(() if name is None else (Adapter.name == name,)))
    here = select(Adapter.id).where(Adapter.space_id == space_id, *may_use)
    shared = Adapter.space_id.is_not(None), Adapter.access == "everybody", Adapter.standing == ""
    return union(here, select(Adapter.id).where(*shared, *may_use))


def _is_elsewhere(space_id: int) -> ColumnElement[int]:
    """0 for what is of this space."""
    return case((Adapter.space_id == space_id, 0), else_=1)


def _may_use(space_id: int, person_id: int) -> ColumnElement[bool]:
    here = and_(
        Adapter.space_id == space_id,
        or_(Adapter.person_id == person_id, and_(Adapter.access == "space", Adapter.standing == "")),
    )
    shared = and_(Adapter.space_id.is_not(None), Adapter.access == "everybody", Adapter.standing == "")
    return and_(Adapter.deleted_at.is_(None), Adapter.standing != "retired", or_(here, shared))


@cache
def _views(info: Info) -> Select[Any]:
    """Columns that are called as the fields of LoraView are: it is made of many rows at a time."""
    plain = [getattr(Adapter, name).label(name) for name in FIELDS if name not in (*JOINED, "info")]
    return (
        select(*plain, *JOINED.values(), *INFO[info])
        .select_from(Adapter)
        .outerjoin(Person, Person.id == Adapter.person_id)
        .outerjoin(Job, and_(Job.number == Adapter.job_number, Job.deleted_at.is_(None)))
        .where(Adapter.space_id.is_not(None))
    )


async def _read(session: AsyncSession, query: Select[Any]) -> list[LoraView]:
    """The LoRAs that such a query finds."""
    rows = await (await session.connection()).execute(query)
    names = tuple(rows.keys())
    return [_read_row(names, row) for row in rows.all()]


def _read_row(names: Sequence[str], row: Row[Any]) -> LoraView:
    """The LoRA of a row; a frozen class's own constructor takes four times as long, and there are many."""
    lora = object.__new__(LoraView)
    values = vars(lora)
    values.update(zip(names, row, strict=True))
    values["info"] = values.get("info") or {}
    return lora
