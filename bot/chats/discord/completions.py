"""Completions while somebody types: LoRAs with the weights that suit them, sizes, commands."""

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


def completion_for(parameter: Parameter) -> Suggest | None:
    """How a parameter is completed; None where only its person can know."""
    match parameter.kind:
        case "loras":
            return _complete_loras
        case "lora":
            return _complete_lora
        case "size":
            return _complete_from(NAMED_SIZES)
        case "command":
            return _complete_from(COMMANDS)
        case _:
            return None


async def _complete_loras(interaction: Interaction, words: str) -> Suggested:
    loras = await _find_loras(interaction, words)
    return [Choice(name=label[:LONGEST], value=value) for value, label in loras if len(value) <= LONGEST]


async def _complete_lora(interaction: Interaction, words: str) -> Suggested:
    """Complete one LoRA, without a weight."""
    loras = await _find_loras(interaction, words)
    return [Choice(name=label[:LONGEST], value=value.partition(":")[0]) for value, label in loras]


async def _find_loras(interaction: Interaction, words: str) -> list[tuple[str, str]]:
    interactions = interaction.client.interactions  # type: ignore[attr-defined]
    loras = await interactions.dispatch.complete_loras(interactions.caller_of(interaction), words, limit=MOST)
    return [(lora.value, lora.label) for lora in loras]


def _complete_from(names: Iterable[str]) -> Suggest:
    async def suggest(interaction: Interaction, words: str) -> Suggested:
        typed = words.strip().lower()
        near = sorted((name for name in names if typed in name), key=lambda name: not name.startswith(typed))
        return [Choice(name=name, value=name) for name in near[:MOST]]

    return suggest
