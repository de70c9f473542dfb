"""/admin stats: what a space does with the bot, by day and by person; what fails, and what is refused."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from commands.answers import Said
from commands.context import ChatContext
from commands.help import aligned
from commands.spec import Option, admin_command
from commands.words import counted, duration
from storage import crowd, keeping
from storage.crowd import Day, Done
from storage.limits import DAY, day_of

WIDE = 20  # characters of the longest bar
SHOWN = 15  # people, reasons


@admin_command
async def admin_stats(
    context: ChatContext, days: Annotated[int, Option("of so many days", 1, 90)] = 14
) -> Said:
    """Show what was painted and trained here by day and person, what failed, and what was refused."""
    since = day_of(context.now) - (days - 1) * DAY
    session, space = context.session, context.space.id
    lines = [f"the last {counted(days, 'day')} here (UTC):"]
    lines += _by_day(await crowd.days(session, space, since))
    lines += ["by person:", *_by_person(await crowd.everybody(session, space, since, limit=SHOWN))]
    if failures := (await crowd.failures(session, space, since))[:SHOWN]:
        lines += ["why jobs failed:", *aligned([(str(count), why) for why, count in failures])]
    if refusals := (await keeping.refusals(session, space, since))[:SHOWN]:
        lines += ["what was refused:", *aligned([(str(n), f"{who}: {why}") for who, why, n in refusals])]
    return Said(text="\n".join(lines))


def _by_day(days: Sequence[Day]) -> list[str]:
    """A bar for each day on which anything was done."""
    if not days:
        return ["  nothing was painted"]
    most = max(day.seconds for day in days) or 1.0
    return aligned([(f"{datetime.fromtimestamp(day.day * DAY, UTC):%m-%d}", _bar(day, most)) for day in days])


def _bar(day: Day, most: float) -> str:
    bar = "█" * max(1, round(day.seconds / most * WIDE))
    trained = f", {counted(day.trainings, 'training')}" if day.trainings else ""
    painted = counted(day.jobs - day.trainings, "painting")
    return f"{bar:{WIDE}} {duration(day.seconds)} of the engine, {painted}{trained}"


def _by_person(people: Sequence[Done]) -> list[str]:
    return aligned([(one.name, _did(one)) for one in people]) or ["  nobody"]


def _did(one: Done) -> str:
    parts = (
        f"{duration(one.seconds)} of the engine",
        counted(one.paintings, "painting"),
        counted(one.trainings, "training"),
        f"{one.failed} failed",
    )
    return ", ".join(parts)
