"""Checks before a new job: blocked people, rules, weights, the queue's state and limits."""

from dataclasses import dataclass

from commands.answers import CreateJob
from commands.content_rules import apply_rules, check_rules
from commands.context import ChatContext
from commands.limits import check_limits, check_room
from commands.lora import check_weight
from commands.loras_in_use import check_adapters
from commands.permissions import NotAllowed
from engine.messages import JobRequest, Paint
from storage.lora_approval import weight_bounds
from storage.recipe_keys import PaintedBefore, find_painted, recipe_key
from storage.space_settings import SpaceSettings
from storage.views import JobView

# What the blocked may still do: know what holds, end and delete what is theirs, have all of it forgotten.
ALWAYS = frozenset({"help", "me", "queue", "cancel", "stop", "delete"})
PRIVACY = "privacy"
DRAINING = "An admin has closed the queue. Nothing new is accepted until they resume it."


def check_not_blocked(settings: SpaceSettings, name: str) -> None:
    """Raise NotAllowed when this person is blocked and the command is not open to everybody."""
    if settings.blocked and name not in ALWAYS and name.partition(" ")[0] != PRIVACY:
        raise NotAllowed("An admin has blocked you here. Ask one of them about it.", "blocked")


@dataclass(frozen=True, kw_only=True)
class Admission:
    """A request as it may be created, its expected engine seconds, and who painted the same before."""

    request: JobRequest
    expected: float = 0.0
    before: PaintedBefore | None = None


async def admit(context: ChatContext, answer: CreateJob) -> Admission:
    """The request as it may be created. What was painted before needs no engine, and no place in the queue.

    Raises InvalidRequest, with nothing stored. A draft is asked for room again when it is started.
    """
    request = apply_rules(context.space_settings.rules, answer.request, adult=context.adult)
    check_rules(context.space_settings.rules, request, answer.examples, adult=context.adult)
    await _check_loras(context, request)
    _check_not_draining(context)
    expected, before = 0.0, None
    if isinstance(request, Paint):
        before = None if answer.fresh else await _find_painted(context, request)
        if before is None:
            check_room(context)
            expected = context.estimates.seconds(request)
    await check_limits(context, request, expected)
    return Admission(request=request, expected=expected, before=before)


async def admit_draft(context: ChatContext, view: JobView) -> float:
    """The expected engine seconds of a draft that is to start. Raises InvalidRequest."""
    _check_not_draining(context)
    expected = view.training.estimate_seconds if view.training is not None else 0.0
    if view.request is not None:
        await check_limits(context, view.request, expected)
    return expected


async def _find_painted(context: ChatContext, request: Paint) -> PaintedBefore | None:
    key = recipe_key(request, context.engine)
    if key is None:
        return None
    return await find_painted(
        context.session,
        key,
        space_id=context.space.id,
        person_id=context.person.id,
        adult=context.adult,
    )


async def _check_loras(context: ChatContext, request: JobRequest) -> None:
    """Raise InvalidRequest when a LoRA is not theirs to use, or its weight is not one that admins allow.

    Whoever goes on from somebody's picture has its recipe, with LoRAs that may be private.
    """
    if not isinstance(request, Paint) or not request.adapters:
        return
    wanted = [*request.adapters, *(use for bounds in request.variants for use in bounds.adapters)]
    await check_adapters(context, wanted)
    hashes = {use.sha256 for use in wanted}
    for bounds in await weight_bounds(context.session, context.space.id, hashes):
        for use in wanted:
            if use.sha256 == bounds.sha256:
                check_weight(bounds, use.weight)


def _check_not_draining(context: ChatContext) -> None:
    if context.space_settings.queue == "draining":
        raise NotAllowed(DRAINING, "queue run empty")
