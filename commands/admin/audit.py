"""/admin audit: the audit log of a space."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from commands.answers import Text
from commands.context import ChatContext
from commands.help import align
from commands.syntax.parser import shorten
from commands.syntax.spec import Option, admin_command
from storage import audit, member_stats
from storage.audit import AuditEntry

SHOWN = 25


@admin_command
async def admin_audit(
    context: ChatContext,
    words: Annotated[str, Option("Only entries with these words, such as block", otherwise="all of it")] = "",
    count: Annotated[int, Option("Number of entries", 1, 100)] = SHOWN,
) -> Text:
    """Show what admins changed here, newest first."""
    entries = await audit.recent(context.session, context.space.id)
    keys = [entry.subject.removeprefix("person ") for entry in entries if entry.subject.startswith("person ")]
    names = await member_stats.names_by_key(context.session, context.space.id, keys)
    lines = [_row(entry, names) for entry in entries]
    wanted = words.lower().split()
    rows = [(at, text) for at, text in lines if all(word in text.lower() for word in wanted)][:count]
    if not rows:
        return Text(text="No admin has changed anything here.")
    return Text(text="\n".join(["Changes by admins here, newest first (UTC):", *align(rows)]))


def _row(entry: AuditEntry, names: Mapping[str, str]) -> tuple[str, str]:
    at = datetime.fromtimestamp(entry.at, UTC)
    key = entry.subject.removeprefix("person ")
    subject = names.get(key, entry.subject) if key != entry.subject else entry.subject
    who = entry.person or "somebody who left"
    return f"{at:%Y-%m-%d %H:%M}", f"{who}: {entry.action} {subject}, {_change(entry.before, entry.after)}"


def _change(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    """Only what differs: "blocked: False -> True"."""
    was, now = before or {}, after or {}
    names = [name for name in {**was, **now} if was.get(name) != now.get(name)]
    return "; ".join(
        f"{name}: {_value_text(was.get(name))} -> {_value_text(now.get(name))}" for name in names
    )


def _value_text(value: object) -> str:
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    return "nothing" if value in (None, "", []) else shorten(str(value))
