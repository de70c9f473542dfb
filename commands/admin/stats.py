"""/admin stats: what a space does with the bot, by day and by person; what fails, and what is refused."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Annotated

from commands.answers import StatisticsChart
from commands.context import ChatContext
from commands.help import aligned
from commands.syntax.numbers import counted, duration
from commands.syntax.spec import Option, admin_command
from storage.limits import DAY, day_of
from storage.member_stats import MemberStats
from storage.statistics import DayShare, Statistics, statistics

WIDE = 20  # characters of the longest bar
SHOWN = 15  # people, reasons
NAMED = 4  # people of a day


@admin_command
async def admin_stats(
    context: ChatContext, days: Annotated[int, Option("of so many days", 1, 90)] = 14
) -> StatisticsChart:
    """Show what was painted and trained here by day and person, what failed, and what was refused."""
    last = round(day_of(context.now) / DAY)
    told = await statistics(context.session, context.space.id, last, days, SHOWN)
    return StatisticsChart(statistics=told, text="\n".join(_lines(told)))


def _lines(told: Statistics) -> list[str]:
    lines = [f"the last {counted(told.days, 'day')} here (UTC):", *_by_day(told.shares)]
    lines += ["by person:", *_by_person(told.people)]
    if told.failures:
        lines += ["why jobs failed:", *aligned([(str(count), why) for why, count in told.failures])]
    if told.refusals:
        lines += ["what was refused:", *aligned([(str(n), f"{who}: {why}") for who, why, n in told.refusals])]
    return lines


def _by_day(shares: Sequence[DayShare]) -> list[str]:
    """A bar for each day on which anything was done, and who did it."""
    days = [(day, list(ones)) for day, ones in groupby(shares, key=lambda one: one.day)]
    most = max((_seconds(ones) for _, ones in days), default=0.0) or 1.0
    rows = [(f"{datetime.fromtimestamp(day * DAY, UTC):%m-%d}", _bar(ones, most)) for day, ones in days]
    return aligned(rows) or ["  nothing was painted"]


def _bar(ones: Sequence[DayShare], most: float) -> str:
    bar = "█" * max(1, round(_seconds(ones) / most * WIDE))
    parts = [f"{duration(_seconds(ones))} of the engine", _made(ones)]
    return f"{bar:{WIDE}} {', '.join(parts)} ({', '.join(_named(ones))})"


def _named(ones: Sequence[DayShare]) -> list[str]:
    """The busiest of a day, with what they had done."""
    named = [f"{one.person} {one.pictures + one.trainings}" for one in ones[:NAMED]]
    return named if len(ones) <= NAMED else [*named, f"{len(ones) - NAMED} others"]


def _made(ones: Sequence[DayShare]) -> str:
    trainings = sum(one.trainings for one in ones)
    made = counted(sum(one.pictures for one in ones), "picture")
    return f"{made}, {counted(trainings, 'training')}" if trainings else made


def _seconds(ones: Sequence[DayShare]) -> float:
    return sum(one.seconds for one in ones)


def _by_person(people: Sequence[MemberStats]) -> list[str]:
    return aligned([(one.name, _did(one)) for one in people]) or ["  nobody"]


def _did(one: MemberStats) -> str:
    parts = (
        f"{duration(one.seconds)} of the engine",
        counted(one.paintings, "painting"),
        counted(one.trainings, "training"),
        f"{one.failed} failed",
    )
    return ", ".join(parts)
