"""/train: a training of a LoRA from pictures."""

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any, Unpack

from commands.answers import CreateJob, Form
from commands.common_words import common_words
from commands.context import ChatContext, Context
from commands.job_lookup import find_job, read_job_id
from commands.presets import PATTERN, presets, read_pattern, training_settings
from commands.presets import find_preset as named_preset
from commands.syntax.form_files import manifest_text
from commands.syntax.lora_syntax import Lora, Mention, resolve
from commands.syntax.numbers import pluralize
from commands.syntax.spec import Option, form_command, lists_folder
from commands.syntax.values import value_text
from commands.training_options import TrainingOptions, differences, overrides
from engine.messages import (
    PART_RANK,
    TRIGGER,
    AdapterUse,
    Example,
    InvalidRequest,
    JobId,
    Sha256,
    Train,
    TrainingSettings,
    check_adapter_name,
    check_integer,
    fill_template,
)
from storage import adapters, jobs, trainings

TRIGGERS = ("ohwx", "sks", "ukj", "zwx", "qvk", "xjy", "vlq", "wzk", "jqx", "kvz")  # words of no language
USUAL_PRESET = "subject"


def read_lora_name(text: str) -> str:
    """A LoRA's name. Raises InvalidRequest."""
    name = text.strip().lower()
    check_adapter_name(name)
    return name


def read_start(text: str) -> Mention:
    """A LoRA to go on from, by name. Raises InvalidRequest."""
    return Mention(read_lora_name(text))


def read_preset_name(text: str) -> str:
    """The name of a preset. Raises InvalidRequest with a similar name."""
    return named_preset(text).name


def preset_help() -> dict[str, str]:
    """The presets with a line about each."""
    return {name: preset.help for name, preset in presets().items()}


@lists_folder
@form_command("Check the pictures")
async def train(
    context: ChatContext,
    name: Annotated[str, Option("Name for the LoRA, such as maria", kind="name", read=read_lora_name)],
    pictures: Annotated[
        tuple[Example, ...],
        Option(
            "Pictures to learn from, each with a caption if you like",
            kind="pictures",
            otherwise="a form asks for them",
            needed=True,
        ),
    ] = (),
    preset: Annotated[
        str, Option("What kind of thing it is", read=read_preset_name, among=preset_help, main=True)
    ] = USUAL_PRESET,
    trigger: Annotated[
        str,
        Option(
            "Word that calls it up, one that means nothing yet",
            otherwise="ohwx or another free one",
            bare=True,
        ),
    ] = "",
    subject: Annotated[str, Option("What it is, such as woman, corgi or sweater", bare=True)] = "",
    consent: Annotated[bool, Option("You may use these pictures for this", needed=True)] = False,
    pattern: Annotated[
        str,
        Option(
            "Word for its pattern, where the preset has one",
            read=read_pattern,
            otherwise=PATTERN,
            more=True,
        ),
    ] = "",
    captions: Annotated[
        str,
        Option(
            "For pictures without one, with {trigger} and {subject}",
            otherwise="the preset's",
            long=True,
            more=True,
        ),
    ] = "",
    samples: Annotated[
        str,
        Option(
            "Up to 4 prompts for every checkpoint, split by semicolons", otherwise="the preset's", more=True
        ),
    ] = "",
    from_lora: Annotated[
        Mention | None,
        Option(
            "LoRA to go on from, whose kind, rank and trigger it keeps",
            kind="lora",
            read=read_start,
            aliases=("from",),
            more=True,
        ),
    ] = None,
    draft: Annotated[
        JobId | None, Option("The draft that this replaces", read=read_job_id, hidden=True)
    ] = None,
    **options: Unpack[TrainingOptions],
) -> CreateJob | Form:
    """Train a LoRA of a person, a thing or a style from pictures."""
    unneeded = await _delete_draft(context, draft)
    await check_free(context, name, context.space.id)
    if not pictures:
        given: dict[str, Any] = {"name": name, "preset": preset, "trigger": trigger, "subject": subject}
        given |= {
            "pattern": pattern,
            "captions": captions,
            "samples": samples,
            "from_lora": from_lora,
        }
        return Form(command=train.name, values=_value_texts({**given, **options}))
    if not consent:
        raise InvalidRequest("Confirm that you may use these pictures. Tick the box or add --consent.")
    await _check_room(context)
    start = await find_start(context, from_lora)
    trigger, subject = start_words(start, trigger.strip().lower(), subject)
    request = make_request(
        context,
        name,
        pictures,
        preset=preset,
        trigger=await _choose_trigger(context, trigger, subject, start),
        subject=subject,
        start=start,
        pattern=pattern,
        captions=captions,
        samples=samples,
        options=options,
        author=context.person.name,
    )
    return CreateJob(request=request, draft=True, replaced=draft, unneeded=unneeded, examples=pictures)


def make_request(
    context: Context,
    name: str,
    pictures: tuple[Example, ...],
    *,
    preset: str,
    trigger: str,
    subject: str,
    captions: str,
    samples: str,
    options: TrainingOptions,
    author: str,
    pattern: str = "",
    start: Lora | None = None,
) -> Train:
    """The training with the preset's settings and somebody's changes. Raises InvalidRequest."""
    chosen = named_preset(preset)
    count = len(pictures) if context.manifest is None else context.manifest.pictures
    settings = training_settings(chosen, count, overrides(options), small=context.small)
    check_integer("--rank", settings.rank, PART_RANK[0], context.largest_rank)
    check_integer("The largest of --ranks", settings.largest_rank, PART_RANK[0], context.largest_rank)
    return Train(
        job=context.job,
        name=name,
        examples=pictures if context.manifest is None else (),
        manifest=context.manifest,
        trigger=trigger,
        subject=subject,
        template=captions or chosen.captions(small=context.small, pattern=pattern),
        preset=chosen.name,
        wanted=chosen.wanted,
        settings=settings,
        prompts=tuple(fill_template(prompt, trigger, subject) for prompt in split_prompts(samples))
        or chosen.samples(trigger, subject, small=context.small, pattern=pattern),
        author=author,
        start=None if start is None else AdapterUse(name=start.name, sha256=start.sha256),
        paint=chosen.small_paint if context.small else chosen.paint,
    )


async def find_start(context: Context, mention: Mention | None) -> Lora | None:
    """The LoRA to go on from. Raises InvalidRequest where nobody here may use one of this name."""
    if mention is None:
        return None
    ((lora, _),) = await resolve([mention], context.library)
    return lora


def start_words(start: Lora | None, trigger: str, subject: str) -> tuple[str, str]:
    """The trigger and the subject: what was said, or else those of the LoRA to go on from."""
    if start is None or trigger:
        return trigger, subject
    word, _, rest = start.phrase.lower().partition(" ")
    return (word, subject or rest) if TRIGGER.fullmatch(word) else (trigger, subject)


def split_prompts(samples: str) -> list[str]:
    """The sample prompts of one text."""
    return [prompt.strip() for prompt in re.split(r"[;\n]", samples) if prompt.strip()]


def check_trigger(trigger: str, subject: str, free: str) -> None:
    """Raise InvalidRequest, with a free trigger, when this one is a common word."""
    if trigger in common_words() or trigger in subject.lower().split():
        raise InvalidRequest(
            f"The trigger {trigger!r} is an ordinary word. Choose one that means nothing yet, such as {free}."
        )


async def check_free(context: ChatContext, name: str, space_id: int) -> None:
    """Raise InvalidRequest when a LoRA here has this name or will have it."""
    taken = await adapters.is_name_taken(context.session, space_id, name)
    if taken or name in await context.library.names():
        raise InvalidRequest(f"There is already a LoRA {name} here. Choose another name.")


def form_texts(request: Train, *, small: bool) -> dict[str, str]:
    """What to write into each field of /train's form for this request; of the settings, what the preset would
    have otherwise.
    """
    usual, captions, pattern = TrainingSettings(), "", ""
    samples: tuple[str, ...] = ()
    with suppress(InvalidRequest):  # there may be no such preset any more
        chosen = named_preset(request.preset)
        usual = training_settings(chosen, request.pictures, {}, small=small)
        pattern = chosen.find_pattern(request.template)
        captions = chosen.captions(small=small, pattern=pattern)
        samples = chosen.samples(request.trigger, request.subject, small=small, pattern=pattern)
    return _value_texts(
        {
            "name": request.name,
            "pictures": request.examples if request.manifest is None else manifest_text(request.manifest),
            "preset": request.preset,
            "trigger": request.trigger,
            "subject": request.subject,
            "consent": True,
            "from_lora": None if request.start is None else Mention(request.start.name),
            "pattern": "" if pattern == PATTERN else pattern,
            "captions": "" if request.template == captions else request.template,
            "samples": "" if request.prompts == samples else "; ".join(request.prompts),
            **differences(request.settings, usual),
        }
    )


def _value_texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: value_text(value) for name, value in values.items()}


async def _delete_draft(context: ChatContext, draft: JobId | None) -> tuple[Sha256, ...]:
    """Delete the draft that is replaced. Returns its files that nothing needs. Raises InvalidRequest."""
    if draft is None:
        return ()
    view = await find_job(context, draft)
    if view.kind != "train" or view.person_id != context.person.id:
        raise InvalidRequest(f"Job {draft} is not a draft of yours.")
    if view.state != "draft":
        raise InvalidRequest(f"Job {draft} has already started. Press its pencil to train again.")
    return tuple(await jobs.delete(context.session, view.number, context.now))


async def _check_room(context: ChatContext) -> None:
    """Raise InvalidRequest when the person has as many open trainings as one may have."""
    open_ones = await trainings.count_open(context.session, context.person.id)
    if open_ones >= context.per_person:
        raise InvalidRequest(
            f"You have {pluralize(open_ones, 'open training')}. At most {context.per_person} are allowed. "
            "Delete or cancel one. /training lists them."
        )


async def _choose_trigger(context: ChatContext, trigger: str, subject: str, start: Lora | None) -> str:
    """The given trigger, or a free one. Raises InvalidRequest.

    It may be that of the LoRA to go on from, whatever word that is.
    """
    if start is not None and trigger and trigger == start.phrase.lower().partition(" ")[0]:
        return trigger
    taken = await adapters.triggers(context.session, context.space.id)
    free = next((word for word in TRIGGERS if word not in taken), "")
    if not trigger and not free:
        raise InvalidRequest("All the usual trigger words are taken here. Choose one with --trigger.")
    if not trigger:
        return free
    check_trigger(trigger, subject, free or TRIGGERS[0])
    if trigger in taken:
        raise InvalidRequest(
            f"The trigger {trigger!r} calls up another LoRA here. Choose another word"
            + (f", such as {free}." if free else ".")
        )
    return trigger
