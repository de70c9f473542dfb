"""/admin limits: limits per person, per role and for everybody together."""

import re
from dataclasses import asdict, replace
from typing import Annotated

from commands.admin.records import audit_subject, find_person, record
from commands.answers import SizedText, Text
from commands.context import ChatContext
from commands.help import align
from commands.limits import files_of, usage_of
from commands.limits import reset_time as reset_at
from commands.syntax.parser import shorten
from commands.syntax.spec import Option, admin_command
from engine.messages import InvalidRequest
from storage import limits, space_settings
from storage.limits import Limits, Usage, limits_to_json
from storage.tables import Person

NONE = ("none", "off", "-")
MOST = 10_000_000
ROLE = re.compile(r"[0-9]{15,20}", re.ASCII)
UNLIMITED = -1  # a handler's value for "none"
WORDS = {
    "seconds": "Engine time today",
    "trainings": "Trainings today",
    "queued": "Jobs in line",
    "pictures": "Pictures",
    "megabytes": "Files",
    "total": "Engine time today, everybody",
}
UNITS = {"seconds": "s", "total": "s", "megabytes": "MB"}


def read_amount(text: str) -> int:
    """A whole number, or none. Raises InvalidRequest."""
    if text.strip().lower() in NONE:
        return UNLIMITED
    digits = text.strip()
    if not digits.isascii() or not digits.isdigit() or int(digits[:12]) > MOST:
        raise InvalidRequest(f"A limit must be from 0 to {MOST:,}, or none, not {shorten(text)!r}.")
    return int(digits)


def read_role_id(text: str) -> str:
    """The id of a role of Discord, from it or from a mention. Raises InvalidRequest."""
    digits = text.strip().removeprefix("<@&").removesuffix(">")
    if not ROLE.fullmatch(digits):
        raise InvalidRequest(f"--role must be a mention of a role or its id, not {shorten(text)!r}.")
    return digits


@admin_command
async def admin_limits(
    context: ChatContext,
    who: Annotated[str, Option("One person, by name or key", otherwise="everybody here")] = "",
    role: Annotated[
        str,
        Option("Everybody with this Discord role, a mention or an id", read=read_role_id, otherwise="no"),
    ] = "",
    seconds: Annotated[
        int | None,
        Option("Engine seconds per person and day, or none", read=read_amount, otherwise="unchanged"),
    ] = None,
    trainings: Annotated[
        int | None, Option("Trainings per person and day, or none", read=read_amount, otherwise="unchanged")
    ] = None,
    queued: Annotated[
        int | None, Option("Jobs per person that may wait, or none", read=read_amount, otherwise="unchanged")
    ] = None,
    pictures: Annotated[
        int | None, Option("Pictures per person, or none", read=read_amount, otherwise="unchanged")
    ] = None,
    megabytes: Annotated[
        int | None,
        Option("Megabytes of files per person, or none", read=read_amount, otherwise="unchanged"),
    ] = None,
    total: Annotated[
        int | None,
        Option(
            "Engine seconds a day for everybody together, or none", read=read_amount, otherwise="unchanged"
        ),
    ] = None,
    reset: Annotated[bool, Option("Start the day again now")] = False,
) -> Text | SizedText:
    """Show or change how much people may use, where failed and cancelled jobs do not count."""
    options = {
        "seconds": seconds,
        "trainings": trainings,
        "queued": queued,
        "pictures": pictures,
        "megabytes": megabytes,
        "total": total,
    }
    changes = {name: limit for name, limit in options.items() if limit is not None}
    if who and total is not None:
        raise InvalidRequest("--total is for everybody together. Leave out the name.")
    if role:
        if who or total is not None or reset:
            raise InvalidRequest(
                "--role goes only with --seconds, --trainings, --queued, --pictures and --megabytes."
            )
        return await _change_role(context, role, changes)
    person = await find_person(context, who) if who else None
    before = context.space_settings.usual
    if person is not None:
        before = await space_settings.own_limits(context.session, context.space.id, person.key)
    if changes:
        before = await _change(context, person, before, changes)
    if reset:
        await _reset(context, person)
    return await _show(context, person, before)


async def _change_role(context: ChatContext, role: str, changes: dict[str, int]) -> Text:
    """Change the limits of a role; "none" takes a limit away."""
    if context.space.chat != "discord":
        raise InvalidRequest("Roles are only on Discord. Give a name or a key here.")
    by_role = await space_settings.role_limits(context.session, context.space.id)
    before = by_role.get(role, Limits())
    after = replace(before, **_to_limits(changes))
    if changes:
        await space_settings.set_role_limits(context.session, context.space.id, role, after)
        await record(context, "limits", f"role {role}", limits_to_json(before), limits_to_json(after))
    rows = [(WORDS[name], _row(name, limit, None)) for name, limit in limits_to_json(after).items()]
    return Text(text="\n".join([f"Limits of the role {role}:", *(align(rows) or ["  as for everybody"])]))


def _to_limits(changes: dict[str, int]) -> dict[str, int | None]:
    return {name: None if limit == UNLIMITED else limit for name, limit in changes.items()}


async def _change(
    context: ChatContext, person: Person | None, before: Limits, changes: dict[str, int]
) -> Limits:
    """Change the limits of a person or of everybody; "none" takes a limit away."""
    after = replace(before, **_to_limits(changes))
    await space_settings.set_limits(context.session, context.space.id, person.key if person else None, after)
    subject = audit_subject(person) if person else "everybody"
    await record(context, "limits", subject, limits_to_json(before), limits_to_json(after))
    return after


async def _reset(context: ChatContext, person: Person | None) -> None:
    used = await usage_of(context, (person or context.person).id)
    await limits.reset(context.session, context.space.id, person.id if person else None, context.now)
    before = {"seconds": round(used.seconds if person else used.total, 1)}
    await record(context, "reset", audit_subject(person) if person else "everybody", before, {"seconds": 0})


async def _show(context: ChatContext, person: Person | None, own: Limits) -> Text | SizedText:
    if person is None:
        return await _show_usual(context, own)
    most, used = own.over(context.space_settings.usual), await usage_of(context, person.id)

    def write(megabytes: float) -> str:
        rows = [
            (WORDS[name], _row(name, limit, replace(used, megabytes=megabytes)))
            for name, limit in asdict(most).items()
            if limit is not None or name != "total"
        ]
        return "\n".join([f"Limits of {person.name} here:", *align(rows), _day(context)])

    return SizedText(files=await files_of(context, person.id), write=write)


async def _show_usual(context: ChatContext, usual: Limits) -> Text:
    rows = [(WORDS[name], _row(name, limit, None)) for name, limit in asdict(usual).items()]
    by_role = await space_settings.role_limits(context.session, context.space.id)
    rows += [(f"role {role}", _limits_text(limits)) for role, limits in by_role.items() if limits.any]
    head = "Limits of each person here:"
    return Text(text="\n".join([head, *align(rows), _day(context)]))


def _day(context: ChatContext) -> str:
    return f"The next day starts at {reset_at(context.now)}."


def _limits_text(most: Limits) -> str:
    return ", ".join(
        f"{WORDS[name]} {amount_text(name, limit)}" for name, limit in limits_to_json(most).items()
    )


def _row(name: str, most: int | None, used: Usage | None) -> str:
    limit = "no limit" if most is None else amount_text(name, most)
    return limit if used is None else usage_text(name, asdict(used)[name], most)


def amount_text(name: str, amount: float) -> str:
    """An amount with its unit: "8 s", "12 MB", "3"."""
    return f"{round(amount):,} {UNITS[name]}" if name in UNITS else f"{round(amount):,}"


def usage_text(name: str, used: float, most: int | None) -> str:
    """What is used, and of how much: "8 s (no limit)", "8 s of 100 s, 92 s left"."""
    if most is None:
        return f"{amount_text(name, used)} (no limit)"
    left = amount_text(name, max(0, round(most - used)))
    return f"{amount_text(name, used)} of {amount_text(name, most)}, {left} left"
