"""/admin people: who is in a space and what they use, blocking, and cancelling their jobs."""

from typing import Annotated

from commands.admin.records import audit_subject, find_person, record
from commands.answers import CancelJob, Text, UpdateCards
from commands.cancel import cancel_job
from commands.context import ChatContext
from commands.help import align
from commands.job_lookup import find_job, read_job_id
from commands.syntax.numbers import duration, pluralize
from commands.syntax.spec import Option, admin_command
from engine.messages import InvalidRequest, JobId
from storage import member_stats, space_settings
from storage.member_stats import MemberStats
from storage.tables import Person

DAYS = 7
SHOWN = 60  # people in the list


@admin_command
async def admin_people(
    context: ChatContext,
    who: Annotated[str, Option("A name or a key", otherwise="everybody")] = "",
    block: Annotated[bool, Option("Block them here")] = False,
    unblock: Annotated[bool, Option("Unblock them")] = False,
    cancel: Annotated[
        JobId | None, Option("Cancel this job, such as k3f9qa", read=read_job_id, otherwise="none")
    ] = None,
) -> Text | UpdateCards | CancelJob:
    """List who is here and what they use, block or unblock somebody, or cancel a job."""
    if sum((block, unblock, cancel is not None)) > 1:
        raise InvalidRequest("Use only one of --block, --unblock and --cancel.")
    if cancel is not None:
        return await cancel_job(context, await find_job(context, cancel))
    if not block and not unblock:
        return await _list(context, await find_person(context, who) if who else None)
    if not who:
        raise InvalidRequest(f"Say whom to {'block' if block else 'unblock'}, by name or key.")
    person = await find_person(context, who)
    return await (block_person(context, person) if block else _unblock(context, person))


async def block_person(context: ChatContext, person: Person) -> Text:
    """Block this person here. Raises InvalidRequest."""
    blocked = await space_settings.list_blocked(context.session, context.space.id)
    if person.key in blocked:
        raise InvalidRequest(f"{person.name} is already blocked here.")
    if person.id == context.person.id:
        raise InvalidRequest("You cannot block yourself. Another admin can.")
    named = context.admins.named.get(context.space.chat, ())
    mine = {name for name in (person.key, person.name) if name in named}
    if mine and not {name for name in named if name not in blocked} - mine:
        raise InvalidRequest(f"{person.name} is the last admin in config.toml and cannot be blocked.")
    await space_settings.set_blocked(context.session, context.space.id, person.key, context.now)
    await record(context, "block", audit_subject(person), {"blocked": False}, {"blocked": True})
    return Text(text=f"{person.name} is blocked here. What they have in line still runs. --cancel ends it.")


async def _unblock(context: ChatContext, person: Person) -> Text:
    if person.key not in await space_settings.list_blocked(context.session, context.space.id):
        raise InvalidRequest(f"{person.name} is not blocked here.")
    await space_settings.set_blocked(context.session, context.space.id, person.key, None)
    await record(context, "unblock", audit_subject(person), {"blocked": True}, {"blocked": False})
    return Text(text=f"{person.name} is no longer blocked.")


async def _list(context: ChatContext, person: Person | None) -> Text:
    blocked = await space_settings.list_blocked(context.session, context.space.id)
    since = 0.0 if person else context.now - DAYS * member_stats.DAY
    members = await member_stats.member_stats(
        context.session, context.space.id, since, person.id if person else None, SHOWN
    )
    rows = align([(member.name, _row(member, member.key in blocked)) for member in members])
    names = await member_stats.names_by_key(context.session, context.space.id, blocked)
    away = (
        sorted(names.get(key, key) for key in blocked - {member.key for member in members})
        if not person
        else []
    )
    head = f"{person.name}, in all:" if person else f"Active in the last {DAYS} days:"
    also = [f"Also blocked: {', '.join(away)}"] if away else []
    return Text(text="\n".join([head, *(rows or ["  nobody"]), *also]))


def _row(member: MemberStats, blocked: bool) -> str:
    parts = (
        pluralize(member.paintings, "painting"),
        pluralize(member.trainings, "training") if member.trainings else "",
        f"{member.failed} failed" if member.failed else "",
        f"{member.cancelled} cancelled" if member.cancelled else "",
        f"{member.open} not ended" if member.open else "",
        f"{pluralize(member.sent, 'file')} sent" if member.sent else "",
        f"{duration(member.seconds)} of engine time" if member.seconds else "",
        "blocked" if blocked else "",
    )
    return f"{', '.join(filter(None, parts))} (key {member.key})"
