"""How much one person may ask for, and how much a whole space."""

from collections.abc import Iterator
from dataclasses import replace

from commands.context import ChatContext
from commands.permissions import Refused
from commands.syntax.numbers import duration, pluralize
from engine.messages import InvalidRequest, JobRequest, Paint, Sha256, Train
from storage import limits
from storage.limits import DAY, Usage, day_of

MEGABYTES = "limit of megabytes"  # what refusals for them are counted as
ROOM = "delete some of your jobs or LoRAs first; what you sent and do not use goes after a day."
MEGABYTE = 1e6  # bytes, as file managers and the chats count them


def check_room(context: ChatContext) -> None:
    """Raise InvalidRequest with one sentence when the person has as many jobs waiting as one may have."""
    if context.person.queued >= context.per_person:
        raise InvalidRequest(
            f"you have {context.person.queued} jobs in line, and at most {context.per_person} may wait: "
            "try again when one is done, or /cancel one."
        )


async def check_limits(context: ChatContext, request: JobRequest | None, expected: float) -> None:
    """Raise Refused, with the time of reset, when the limits of the space leave no room for this.

    request: what is to be filed, None for what the engine does at once. expected: its engine seconds.
    """
    if context.space_settings.limits.any:
        most = context.space_settings.limits
        used = await usage_of(context, context.person.id, pictures=most.pictures is not None)
        used = replace(used, megabytes=context.megabytes)
        for text, why in _find_exceeded(context, used, request, expected):
            raise Refused(text, why)


async def usage_of(context: ChatContext, person_id: int, *, pictures: bool = True) -> Usage:
    """What this person uses here, but for megabytes, which no row tells. Pictures are counted only where that
    is asked for: it looks at all that they have."""
    return await limits.usage(context.session, context.space.id, person_id, context.now, pictures=pictures)


async def files_of(context: ChatContext, person_id: int) -> frozenset[Sha256]:
    """The stored files that this person keeps here."""
    return frozenset(await limits.files(context.session, context.space.id, person_id))


def too_large_text(most: int | None, megabytes: float, more: float = 0.0) -> str:
    """Why somebody who keeps so many megabytes may keep none more, or not so many; "" when they may."""
    if most is None or (megabytes < most and megabytes + more <= most):
        return ""
    adds = f"this has {more:,.1f} MB, " if more else ""
    return f"{adds}you keep {megabytes:,.1f} MB here, and {most:,} are allowed"


def reset_time(now: float) -> str:
    """When the day begins anew."""
    return f"00:00 UTC, in {duration(day_of(now) + DAY - now)}"


def _find_exceeded(
    context: ChatContext, used: Usage, request: JobRequest | None, expected: float
) -> Iterator[tuple[str, str]]:
    """Each limit that this would go beyond: what to say, and what to count it as."""
    most, anew = context.space_settings.limits, f"the day begins anew at {reset_time(context.now)}."
    pictures = request.count if isinstance(request, Paint) else 0
    if request is not None and most.queued is not None and used.queued >= most.queued:
        text = f"you have {pluralize(used.queued, 'job')} in line here, and {most.queued} may wait"
        yield f"{text}: try again when one is done, or /cancel one.", "limit of jobs in line"
    if most.pictures is not None and pictures and used.pictures + pictures > most.pictures:
        text = f"you keep {pluralize(used.pictures, 'picture')} here, and {most.pictures} are allowed"
        yield f"{text}: delete some of your jobs first.", "limit of pictures"
    if text := too_large_text(most.megabytes, used.megabytes):
        yield f"{text}: {ROOM}", MEGABYTES
    if most.trainings is not None and isinstance(request, Train) and used.trainings >= most.trainings:
        a_day = pluralize(most.trainings, "training")
        text = f"you have had {used.trainings} of the {a_day} that you have a day"
        yield f"{text} here: {anew}", "limit of trainings"
    for seconds, spent, whose, why in (
        (most.seconds, used.seconds, "you have", "limit of engine time"),
        (most.total, used.total, "all here have together", "limit of the space's engine time"),
    ):
        if seconds is not None and spent + expected > seconds:
            left = max(0.0, seconds - spent)
            text = f"this takes about {duration(expected)} of the engine, and {left:.0f} s are left of the"
            yield f"{text} {seconds} s that {whose} a day: {anew}", why
