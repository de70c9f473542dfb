"""Checks of a person's limits: waiting jobs, engine time, trainings, pictures and files."""

from collections.abc import Iterator
from dataclasses import replace

from commands.context import ChatContext
from commands.permissions import NotAllowed
from commands.syntax.numbers import duration, pluralize
from engine.messages import InvalidRequest, JobRequest, Paint, Sha256, Train
from storage import limits
from storage.limits import DAY, Usage, day_of

MEGABYTES = "limit of megabytes"  # what refusals for them are counted as
ROOM = "Delete some of your jobs or LoRAs first. What you sent and do not use goes after a day."
TOGETHER = "Everybody here together has {} s of {} s a day left."
MEGABYTE = 1e6  # bytes, as file managers and the chats count them


def check_room(context: ChatContext) -> None:
    """Raise InvalidRequest when the person has as many jobs waiting as one may have."""
    if context.person.queued >= context.per_person:
        raise InvalidRequest(
            f"You have {context.person.queued} jobs in line. At most {context.per_person} may wait. "
            "Try again when one is done, or /cancel one."
        )


async def check_limits(context: ChatContext, request: JobRequest | None, expected: float) -> None:
    """Raise NotAllowed, with the time of reset, when this would exceed a limit of the space.

    request: the new job, None for what the engine does at once. expected: its engine seconds.
    """
    if context.space_settings.limits.any:
        most = context.space_settings.limits
        used = await usage_of(context, context.person.id, pictures=most.pictures is not None)
        used = replace(used, megabytes=context.megabytes)
        for text, why in _find_exceeded(context, used, request, expected):
            raise NotAllowed(text, why)


async def usage_of(context: ChatContext, person_id: int, *, pictures: bool = True) -> Usage:
    """What this person uses here, but for megabytes, which no row has. Pictures are counted only where that
    is asked for: it looks at all that they have."""
    return await limits.usage(context.session, context.space.id, person_id, context.now, pictures=pictures)


async def files_of(context: ChatContext, person_id: int) -> frozenset[Sha256]:
    """The stored files of this person here."""
    return frozenset(await limits.files(context.session, context.space.id, person_id))


def too_large_text(most: int | None, megabytes: float, more: float = 0.0) -> str:
    """The refusal of so many more megabytes for somebody who has these; "" when they fit."""
    if most is None or (megabytes < most and megabytes + more <= most):
        return ""
    adds = f"This has {more:,.1f} MB. " if more else ""
    return f"{adds}You have {megabytes:,.1f} MB here. At most {most:,} MB are allowed."


def reset_time(now: float) -> str:
    """When the next day starts."""
    return f"00:00 UTC, in {duration(day_of(now) + DAY - now)}"


def _find_exceeded(
    context: ChatContext, used: Usage, request: JobRequest | None, expected: float
) -> Iterator[tuple[str, str]]:
    """Each limit that this would exceed: the refusal, and the reason to count."""
    most, anew = context.space_settings.limits, f"The next day starts at {reset_time(context.now)}."
    pictures = request.count if isinstance(request, Paint) else 0
    if request is not None and most.queued is not None and used.queued >= most.queued:
        text = f"You have {pluralize(used.queued, 'job')} in line here. At most {most.queued} may wait."
        yield f"{text} Try again when one is done, or /cancel one.", "limit of jobs in line"
    if most.pictures is not None and pictures and used.pictures + pictures > most.pictures:
        text = f"You have {pluralize(used.pictures, 'picture')} here. At most {most.pictures} are allowed."
        yield f"{text} Delete some of your jobs first.", "limit of pictures"
    if text := too_large_text(most.megabytes, used.megabytes):
        yield f"{text} {ROOM}", MEGABYTES
    if most.trainings is not None and isinstance(request, Train) and used.trainings >= most.trainings:
        a_day = pluralize(most.trainings, "training")
        yield f"You have used {used.trainings} of your {a_day} a day here. {anew}", "limit of trainings"
    for seconds, spent, rest, why in (
        (most.seconds, used.seconds, "You have {} s of your {} s a day left.", "limit of engine time"),
        (most.total, used.total, TOGETHER, "limit of the space's engine time"),
    ):
        if seconds is not None and spent + expected > seconds:
            left = rest.format(f"{max(0.0, seconds - spent):,.0f}", f"{seconds:,}")
            yield f"This takes about {duration(expected)} of engine time. {left} {anew}", why
