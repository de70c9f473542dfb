"""What admins' commands share: people by name or key, and the record of a change."""

from collections.abc import Mapping
from typing import Any

from commands.context import ChatContext
from commands.syntax.parser import join_list, shorten
from engine.messages import InvalidRequest
from storage import audit, member_stats
from storage.tables import Person


async def find_person(context: ChatContext, words: str) -> Person:
    """The person of this space whom these words mean. Raises InvalidRequest."""
    name = words.strip().removeprefix("<@").removesuffix(">").removeprefix("!").removeprefix("@")
    people = await member_stats.find_people(context.session, context.space.id, context.space.chat, name)
    if len(people) == 1:
        return people[0]
    if not people:
        raise InvalidRequest(f"Nobody here is called {shorten(words)!r}. /admin people lists everybody.")
    keys = join_list([person.key for person in people], "or")
    raise InvalidRequest(f"{len(people)} people are called {shorten(words)!r}. Give the key, {keys}.")


async def record(
    context: ChatContext,
    action: str,
    subject: str,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
) -> None:
    """Record what an admin changed, on what, and how that was before and after."""
    await audit.record(
        context.session,
        space_id=context.space.id,
        person_id=context.person.id,
        action=action,
        subject=subject,
        before=before,
        after=after,
        now=context.now,
    )


def audit_subject(person: Person) -> str:
    """A person in the audit log: by the chat's key, since names can be deleted."""
    return f"person {person.key}"
