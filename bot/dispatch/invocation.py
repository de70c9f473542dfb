"""Reads a line of text, a form, a recipe, a button or a reaction as what is to run."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from commands import actions, forms, reactions, registry, text_command
from commands.answers import Answer
from commands.context import ChatContext
from commands.display_names import check_storable
from commands.imagine import imagine
from commands.job_lookup import find_job
from commands.paint_settings import complete_values
from commands.pasted_recipe import form_of
from commands.permissions import check_allowed
from commands.sent_files import check_sent
from commands.syntax.lora_syntax import NO_LORAS, LoraUse, lora_names
from commands.syntax.spec import Command
from engine.messages import Example, JobId

Run = Callable[[ChatContext], Awaitable[Answer]]


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """What is to run, and its name; `about` is the job whose card it came from, if any.

    `admin`: it may change what the admins of a space have set.

    `loras` is what it will ask of the library of LoRAs: nothing for buttons and reactions, since the row of
    their job has it all. Nobody's own defaults mention any. `pictures` are to train on.
    """

    name: str
    run: Run
    about: JobId | None = None
    admin: bool = False
    loras: LoraUse = NO_LORAS
    pictures: tuple[Example, ...] = ()


def from_text(words: str) -> Invocation:
    """A command as it was typed. Raises InvalidRequest."""
    check_storable(words)
    command, values = text_command.read_line(words)
    return _run_command(command, values)


def from_form(name: str, texts: Mapping[str, str], origin: JobId | None) -> Invocation:
    """A command from a submitted form, which a button of this job opened. Raises InvalidRequest."""
    check_storable(name, *texts, *texts.values())
    command = registry.find(name)
    return _run_command(command, forms.read_form(command, texts), origin)


def from_recipe(words: str) -> Invocation:
    """A recipe from a picture's file, for the form that paints the same. Raises InvalidRequest."""
    check_storable(words)

    async def run(context: ChatContext) -> Answer:
        return await form_of(context, words)

    return Invocation(name=imagine.name, run=run, loras=LoraUse(folder=True))


def from_button(button: str) -> Invocation:
    """A button under a card. Raises InvalidRequest."""
    check_storable(button)
    action, job, picture = actions.read_button(button)

    async def run(context: ChatContext) -> Answer:
        return await actions.press(context, await find_job(context, job), action, picture)

    return Invocation(name=action, run=run, about=job)


def from_reaction(job: JobId, action: str, added: bool) -> Invocation:
    """An emoji added under the card of this job, or taken back."""

    async def run(context: ChatContext) -> Answer:
        return await reactions.react(context, await find_job(context, job), action, added=added)

    return Invocation(name=action, run=run, about=job)


def _run_command(
    command: Command[..., Any], values: Mapping[str, Any], about: JobId | None = None
) -> Invocation:
    """The command with these values, and the person's own defaults for the others."""

    async def run(context: ChatContext) -> Answer:
        check_allowed(context, command)
        await check_sent(context, command, values)
        full = await complete_values(context, command, values)
        answer: Answer = await command(context, **full)
        return answer

    use = LoraUse(names=lora_names(tuple(values.values())), folder=command.lists_folder)
    several = [parameter.name for parameter in command.files if parameter.kind == "pictures"]
    pictures = tuple(picture for name in several for picture in values.get(name, ()))
    return Invocation(
        name=command.name, run=run, about=about, admin=command.admin, loras=use, pictures=pictures
    )
