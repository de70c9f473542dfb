"""All that people can say, in the order in which they learn it; /help reads it out."""

from collections.abc import Awaitable, Mapping
from types import MappingProxyType
from typing import Annotated

from commands.actions import ACTIONS, TRAINING_ACTIONS
from commands.answers import Answer, Said
from commands.cancel import cancel
from commands.context import ChatContext
from commands.help import overview, usage
from commands.imagine import imagine
from commands.library import lora, loras
from commands.parse import near, short
from commands.queue import queue
from commands.settings import settings
from commands.show import show
from commands.spec import Command, Option, command
from commands.train import train
from commands.training import training
from engine.messages import InvalidRequest

Known = Command[..., Awaitable[Answer]]


def find(name: str) -> Known:
    """The command of this name, with or without its slash. Raises InvalidRequest, suggesting a near one."""
    wanted = name.strip().removeprefix("/").lower()
    if wanted in COMMANDS:
        return COMMANDS[wanted]
    meant = near(wanted, COMMANDS)
    hint = f"did you mean /{meant}?" if meant else "/help tells them all."
    raise InvalidRequest(f"there is no command /{short(wanted)}: {hint}")


@command
async def help(
    context: ChatContext,
    command: Annotated[
        Known | None, Option("the command to explain", read=find, otherwise="all of them")
    ] = None,
) -> Said:
    """Explain all commands, or one with its options."""
    if command is not None:
        return Said(text=usage(command, prefix="/"))
    buttons, of_trainings = (
        [f"  {action.emoji}  {action.help}" for action in actions] for actions in (ACTIONS, TRAINING_ACTIONS)
    )
    return Said(
        text="\n".join(
            [
                "What you can say:",
                overview(COMMANDS.values()),
                "What you can press under a picture:",
                *buttons,
                "What you can press under a training:",
                *of_trainings,
                "/help imagine tells the options, such as /imagine a red fox --steps 20 --size 3:2",
            ]
        )
    )


COMMANDS: Mapping[str, Known] = MappingProxyType(
    {one.name: one for one in (imagine, train, training, loras, lora, queue, cancel, show, settings, help)}
)
