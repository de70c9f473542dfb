"""All commands, in the order in which /help lists them."""

from collections.abc import Awaitable, Mapping
from types import MappingProxyType
from typing import Annotated, get_args, get_type_hints

from commands.actions import ACTIONS, TRAINING_ACTIONS
from commands.admin.audit import admin_audit
from commands.admin.limits import admin_limits
from commands.admin.loras import admin_loras
from commands.admin.people import admin_people
from commands.admin.queue import admin_queue
from commands.admin.reports import admin_reports
from commands.admin.rules import admin_rules
from commands.admin.stats import admin_stats
from commands.answers import Answer, CreateJob, Form, RunTask, ShowCard, Text
from commands.blend import blend
from commands.cancel import cancel
from commands.compare import compare
from commands.context import ChatContext
from commands.describe import describe
from commands.edit import edit
from commands.extend import extend
from commands.gallery import gallery
from commands.help import overview, usage
from commands.imagine import imagine
from commands.lora import lora, loras
from commands.lora_import import lora_import, lora_merge
from commands.me import me
from commands.privacy import privacy, privacy_delete, privacy_export
from commands.queue import queue
from commands.report import report
from commands.settings import settings
from commands.show import show
from commands.syntax.parser import closest, join_list, shorten
from commands.syntax.spec import Command, Option, command
from commands.train import train
from commands.training_runs import training
from commands.upscale import upscale
from commands.verify import verify
from engine.messages import InvalidRequest

AnyCommand = Command[..., Awaitable[Answer]]


def find(name: str) -> AnyCommand:
    """The command of this name, with or without its slash. Raises InvalidRequest with a similar name."""
    wanted = " ".join(name.strip().removeprefix("/").lower().split())
    if wanted in COMMANDS:
        return COMMANDS[wanted]
    if wanted in GROUPS:
        raise InvalidRequest(
            f"Say which one: {join_list([f'/{command.name}' for command in members(wanted)], 'or')}."
        )
    meant = closest(wanted, COMMANDS)
    hint = f"Did you mean /{meant}?" if meant else "/help lists all commands."
    raise InvalidRequest(f"There is no command /{shorten(wanted)}. {hint}")


def members(group: str) -> list[AnyCommand]:
    """The commands of two words that start with this one."""
    return [command for command in COMMANDS.values() if command.group == group]


@command
async def help(
    context: ChatContext,
    command: Annotated[
        AnyCommand | None,
        Option("The command to explain", kind="command", read=find, otherwise="all of them"),
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
                "Commands:",
                overview(other for other in COMMANDS.values() if context.admin or not other.admin),
                "Buttons under a picture:",
                *buttons,
                "Buttons under a training:",
                *of_trainings,
                "/help imagine lists its options, such as /imagine a red fox --steps 20 --size 3:2.",
                "/imagine also takes a whole recipe, as A1111 copies it.",
                "Pictures carry an invisible mark and signed credentials, by which /verify knows them again, "
                "unless the operator has switched that off.",
            ]
        )
    )


_commands: dict[str, AnyCommand] = {
    one.name: one
    for one in (
        imagine,
        edit,
        extend,
        upscale,
        blend,
        describe,
        train,
        training,
        loras,
        lora,
        lora_import,
        lora_merge,
        compare,
        verify,
        queue,
        cancel,
        show,
        gallery,
        report,
        settings,
        me,
        privacy,
        privacy_export,
        privacy_delete,
        help,
        admin_people,
        admin_reports,
        admin_loras,
        admin_queue,
        admin_limits,
        admin_rules,
        admin_audit,
        admin_stats,
    )
}
COMMANDS: Mapping[str, AnyCommand] = MappingProxyType(_commands)

GROUPS: Mapping[str, str] = MappingProxyType(
    {
        "lora": "Show, import and merge LoRAs.",
        "privacy": "See, export or delete what is stored about you.",
        "admin": "For admins: people, reports, LoRAs, queue, limits, rules, audit and statistics.",
    }
)  # first words of two, each with what its commands are for


def posting_names() -> frozenset[str]:
    """The names of the commands that may post a card."""
    return frozenset(name for name, command in COMMANDS.items() if posts(command))


def posts(command: AnyCommand) -> bool:
    """Whether the command may post a card."""
    return not possible_answers(command).isdisjoint({CreateJob, ShowCard})


def opens_form(command: AnyCommand) -> bool:
    """Whether the command may answer with a form."""
    return Form in possible_answers(command)


def runs_task(command: AnyCommand) -> bool:
    """Whether the command's answer may wait for the engine."""
    return RunTask in possible_answers(command)


def possible_answers(command: AnyCommand) -> frozenset[type]:
    """The types of the command's answers, from its handler's signature."""
    hint = get_type_hints(command.run)["return"]
    return frozenset(get_args(hint) or (hint,))
