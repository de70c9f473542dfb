"""What Discord shows while somebody types: LoRAs with the weights that suit them, sizes, commands."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from discord.app_commands import Choice

from bot.chats.discord.pending import Interaction
from commands.registry import COMMANDS
from commands.syntax.sizes import NAMED_SIZES
from commands.syntax.spec import Parameter

MOST = 25  # suggestions that Discord shows
LONGEST = 100  # characters of a suggestion

Suggested = list[Choice[Any]]
Suggest = Callable[[Interaction, str], Awaitable[Suggested]]


def suggestions(parameter: Parameter) -> Suggest | None:
    """How a parameter is completed; None where only its person can know."""
    match parameter.kind:
        case "loras":
            return _loras
        case "lora":
            return _names
        case "size":
            return _among(NAMED_SIZES)
        case "command":
            return _among(COMMANDS)
        case _:
            return None


async def _loras(interaction: Interaction, words: str) -> Suggested:
    suggestions = await _usable(interaction, words)
    return [
        Choice(name=label[:LONGEST], value=value) for value, label in suggestions if len(value) <= LONGEST
    ]


async def _names(interaction: Interaction, words: str) -> Suggested:
    """One LoRA, without a weight."""
    suggestions = await _usable(interaction, words)
    return [Choice(name=label[:LONGEST], value=value.partition(":")[0]) for value, label in suggestions]


async def _usable(interaction: Interaction, words: str) -> list[tuple[str, str]]:
    interactions = interaction.client.interactions  # type: ignore[attr-defined]
    suggestions = await interactions.dispatch.loras(interactions.caller_of(interaction), words, limit=MOST)
    return [(suggestion.value, suggestion.label) for suggestion in suggestions]


def _among(names: Iterable[str]) -> Suggest:
    async def suggest(interaction: Interaction, words: str) -> Suggested:
        typed = words.strip().lower()
        near = sorted((name for name in names if typed in name), key=lambda name: not name.startswith(typed))
        return [Choice(name=name, value=name) for name in near[:MOST]]

    return suggest
