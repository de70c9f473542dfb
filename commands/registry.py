"""All that people can say, in the order in which they learn it; /help reads it out."""

from collections.abc import Awaitable, Mapping
from types import MappingProxyType
from typing import Annotated, get_args, get_type_hints

from commands.actions import ACTIONS, TRAINING_ACTIONS
from commands.admin.audit import admin_audit
from commands.admin.limits import admin_limits
from commands.admin.loras import admin_loras
from commands.admin.people import admin_people
from commands.admin.queue import admin_queue
from commands.admin.rules import admin_rules
from commands.admin.stats import admin_stats
from commands.answers import Answer, CreateJob, Form, RunTask, ShowCard, Text
from commands.cancel import cancel
from commands.compare import compare
from commands.context import ChatContext
from commands.gallery import gallery
from commands.help import overview, usage
from commands.imagine import imagine
from commands.lora import lora, loras
from commands.lora_import import lora_import, lora_merge
from commands.me import me
from commands.privacy import privacy, privacy_delete, privacy_export
from commands.queue import queue
from commands.settings import settings
from commands.show import show
from commands.syntax.parser import listed, near, short
from commands.syntax.spec import Command, Option, command
from commands.train import train
from commands.training_runs import training
from engine.messages import InvalidRequest

Known = Command[..., Awaitable[Answer]]


def find(name: str) -> Known:
    """The command of this name, with or without its slash. Raises InvalidRequest, suggesting a near one."""
    wanted = " ".join(name.strip().removeprefix("/").lower().split())
    if wanted in COMMANDS:
        return COMMANDS[wanted]
    if wanted in GROUPS:
        raise InvalidRequest(f"say what: {listed([f'/{one.name}' for one in members(wanted)], 'or')}.")
    meant = near(wanted, COMMANDS)
    hint = f"did you mean /{meant}?" if meant else "/help tells them all."
    raise InvalidRequest(f"there is no command /{short(wanted)}: {hint}")


def members(group: str) -> list[Known]:
    """The commands of two words that begin with this one."""
    return [one for one in COMMANDS.values() if one.group == group]


@command
async def help(
    context: ChatContext,
    command: Annotated[
        Known | None, Option("the command to explain", kind="command", read=find, otherwise="all of them")
    ] = None,
) -> Text:
    """Explain all commands, or one with its options."""
    if command is not None:
        return Text(text=usage(command, prefix="/"))
    buttons, of_trainings = (
        [f"  {action.emoji}  {action.help}" for action in actions] for actions in (ACTIONS, TRAINING_ACTIONS)
    )
    return Text(
        text="\n".join(
            [
                "What you can say:",
                overview(one for one in COMMANDS.values() if context.admin or not one.admin),
                "What you can press under a picture:",
                *buttons,
                "What you can press under a training:",
                *of_trainings,
                "/help imagine tells the options, such as /imagine a red fox --steps 20 --size 3:2",
                "/imagine takes a whole recipe, too, as A1111 and its readers copy it.",
            ]
        )
    )


_commands: dict[str, Known] = {
    one.name: one
    for one in (
        imagine,
        train,
        training,
        loras,
        lora,
        lora_import,
        lora_merge,
        compare,
        queue,
        cancel,
        show,
        gallery,
        settings,
        me,
        privacy,
        privacy_export,
        privacy_delete,
        help,
        admin_people,
        admin_loras,
        admin_queue,
        admin_limits,
        admin_rules,
        admin_audit,
        admin_stats,
    )
}
COMMANDS: Mapping[str, Known] = MappingProxyType(_commands)

GROUPS: Mapping[str, str] = MappingProxyType(
    {
        "lora": "LoRAs: how they were made, those from elsewhere, several in one.",
        "privacy": "What is stored about you, to see, to take along or to delete.",
        "admin": "For admins: people, LoRAs, the queue, limits, rules, what was changed and done here.",
    }
)  # first words of two, each with what its commands are for


def posting() -> frozenset[str]:
    """The names of the commands that may end in a card, which everybody in the channel sees."""
    return frozenset(name for name, one in COMMANDS.items() if posts(one))


def posts(command: Known) -> bool:
    """Whether it may end in a card, which everybody in the channel sees."""
    return not answers(command).isdisjoint({CreateJob, ShowCard})


def opens_form(command: Known) -> bool:
    """Whether it may answer with a form."""
    return Form in answers(command)


def runs_task(command: Known) -> bool:
    """Whether its answer may wait for the engine."""
    return RunTask in answers(command)


def answers(command: Known) -> frozenset[type]:
    """What it may answer with, as the signature of its handler says."""
    told = get_type_hints(command.run)["return"]
    return frozenset(get_args(told) or (told,))
