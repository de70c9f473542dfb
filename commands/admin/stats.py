"""/admin stats: work by day and person, failures and refusals of a space."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Annotated

from commands.answers import StatisticsChart
from commands.context import ChatContext
from commands.help import align
from commands.syntax.numbers import duration, pluralize
from commands.syntax.spec import Option, admin_command
from storage import reports
from storage.limits import DAY, day_of
from storage.member_stats import MemberStats
from storage.statistics import DayShare, Statistics, statistics

WIDE = 20  # characters of the longest bar
SHOWN = 15  # people, reasons
NAMED = 4  # people of a day
REPORT_STATES = ("open", "kept", "hidden", "deleted")


@admin_command
async def admin_stats(
    context: ChatContext, days: Annotated[int, Option("Number of days", 1, 90)] = 14
) -> StatisticsChart:
    """Show what was painted, trained, refused and failed here, by day and person."""
    last = round(day_of(context.now) / DAY)
    stats = await statistics(context.session, context.space.id, last, days, SHOWN)
    numbers = await reports.count(context.session, context.space.id, (last - days + 1) * DAY)
    return StatisticsChart(statistics=stats, text="\n".join([*_lines(stats), *_of_reports(numbers)]))


def _of_reports(numbers: Mapping[str, int]) -> list[str]:
    parts = [f"{numbers[state]} {state}" for state in REPORT_STATES if numbers.get(state)]
    return [f"Reported pictures: {', '.join(parts)}."] if parts else []


def _lines(stats: Statistics) -> list[str]:
    lines = [f"The last {pluralize(stats.days, 'day')} here (UTC):", *_by_day(stats.shares)]
    lines += ["By person:", *_by_person(stats.people)]
    if stats.failures:
        lines += ["Why jobs failed:", *align([(str(count), why) for why, count in stats.failures])]
    if stats.refusals:
        lines += ["What was refused:", *align([(str(n), f"{who}: {why}") for who, why, n in stats.refusals])]
    return lines


def _by_day(shares: Sequence[DayShare]) -> list[str]:
    """A bar for each day with any work, and who did it."""
    days = [(day, list(of_day)) for day, of_day in groupby(shares, key=lambda share: share.day)]
    most = max((_seconds(of_day) for _, of_day in days), default=0.0) or 1.0
    rows = [(f"{datetime.fromtimestamp(day * DAY, UTC):%m-%d}", _bar(of_day, most)) for day, of_day in days]
    return align(rows) or ["  nothing was painted"]


def _bar(shares: Sequence[DayShare], most: float) -> str:
    bar = "█" * max(1, round(_seconds(shares) / most * WIDE))
    parts = [f"{duration(_seconds(shares))} of engine time", _work_text(shares)]
    return f"{bar:{WIDE}} {', '.join(parts)} ({', '.join(_busiest(shares))})"


def _busiest(shares: Sequence[DayShare]) -> list[str]:
    """The busiest people of a day, with how much each made."""
    names = [f"{share.person} {share.pictures + share.trainings}" for share in shares[:NAMED]]
    return names if len(shares) <= NAMED else [*names, f"{len(shares) - NAMED} others"]


def _work_text(shares: Sequence[DayShare]) -> str:
    trainings = sum(share.trainings for share in shares)
    text = pluralize(sum(share.pictures for share in shares), "picture")
    return f"{text}, {pluralize(trainings, 'training')}" if trainings else text


def _seconds(shares: Sequence[DayShare]) -> float:
    return sum(share.seconds for share in shares)


def _by_person(people: Sequence[MemberStats]) -> list[str]:
    return align([(member.name, _row(member)) for member in people]) or ["  nobody"]


def _row(member: MemberStats) -> str:
    parts = (
        f"{duration(member.seconds)} of engine time",
        pluralize(member.paintings, "painting"),
        pluralize(member.trainings, "training"),
        f"{member.failed} failed",
    )
    return ", ".join(parts)
