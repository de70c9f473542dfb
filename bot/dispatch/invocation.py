"""What somebody asks for, read: a line, a form that was filled in, a button, a reaction."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from commands import actions, forms, reactions, registry, settings, text_command
from commands.answers import Answer
from commands.context import ChatContext
from commands.display_names import whole
from commands.imagine import imagine
from commands.job_lookup import job_here
from commands.pasted_recipe import form_of
from commands.permissions import check_may
from commands.syntax.lora_syntax import NO_LORAS, LoraUse, lora_names
from commands.syntax.spec import Command
from engine.messages import JobId

Handler = Callable[[ChatContext], Awaitable[Answer]]


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What is to be done, and its name; `about` is the job whose card they touched, if they did.

    `loras` is what the handler will ask of the library of LoRAs: nothing for buttons and reactions, since the
    row of their job has it all. Nobody's own defaults mention any.
    """

    name: str
    handler: Handler
    about: JobId | None = None
    loras: LoraUse = NO_LORAS


def said(words: str) -> Ask:
    """A command as somebody wrote it. Raises InvalidRequest."""
    whole(words)
    command, values = text_command.read(words)
    return _ask(command, values)


def filled(name: str, texts: Mapping[str, str], origin: JobId | None) -> Ask:
    """A command whose form somebody filled in, from a button of this job. Raises InvalidRequest."""
    whole(name, *texts, *texts.values())
    command = registry.find(name)
    return _ask(command, forms.values(command, texts), origin)


def recipe(words: str) -> Ask:
    """A recipe that a picture carries, for the form that paints the same. Raises InvalidRequest."""
    whole(words)

    async def handle(context: ChatContext) -> Answer:
        return await form_of(context, words)

    return Ask(name=imagine.name, handler=handle, loras=LoraUse(folder=True))


def pressed(button: str) -> Ask:
    """A button under a card. Raises InvalidRequest."""
    whole(button)
    action, job, picture = actions.read_button(button)

    async def handle(context: ChatContext) -> Answer:
        return await actions.press(context, await job_here(context, job), action, picture)

    return Ask(name=action, handler=handle, about=job)


def reacted(job: JobId, action: str, added: bool) -> Ask:
    """An emoji under the card of this job, or one that was taken back."""

    async def handle(context: ChatContext) -> Answer:
        return await reactions.react(context, await job_here(context, job), action, added=added)

    return Ask(name=action, handler=handle, about=job)


def _ask(command: Command[..., Any], values: Mapping[str, Any], about: JobId | None = None) -> Ask:
    async def handle(context: ChatContext) -> Answer:
        check_may(context, command)
        full = settings.with_defaults(context.person.settings, command, values)
        answer: Answer = await command(context, **full)
        return answer

    use = LoraUse(names=lora_names(tuple(values.values())), folder=command.lists_folder)
    return Ask(name=command.name, handler=handle, about=about, loras=use)
