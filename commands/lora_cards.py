"""Cards of LoRAs, as values that each chat draws in its own way."""

from collections.abc import Sequence
from dataclasses import dataclass

from commands.lora import ACCESS_TEXT, example_command
from commands.lora_search import bar
from commands.syntax.numbers import pluralize
from engine.messages import Sha256
from storage.adapters import LoraView


@dataclass(frozen=True, kw_only=True)
class LoraCard:
    """One LoRA. `facts` are names and values for people; `likeness` is of 0 to 1, the best of those shown."""

    name: str
    phrase: str
    facts: tuple[tuple[str, str], ...]
    line: str  # the command that paints with it
    thumbnail: Sha256 | None
    likeness: float | None = None

    @property
    def words(self) -> str:
        """The facts in one line."""
        return " · ".join(f"{name} {value}" for name, value in self.facts)


def lora_cards(loras: Sequence[LoraView]) -> list[LoraCard]:
    """The cards of these LoRAs, in their order."""
    best = max((lora.likeness for lora in loras if lora.likeness is not None), default=0.0)
    return [_card(lora, best) for lora in loras]


def _card(lora: LoraView, best: float) -> LoraCard:
    share = None if lora.likeness is None else max(0.0, lora.likeness) / (best or 1.0)
    facts = (
        ("match", "" if lora.likeness is None else f"{bar(share or 0.0)} {lora.likeness:.1f}"),
        ("weight", f"{lora.hint:g}"),
        ("used", pluralize(lora.uses, "time")),
        ("likes", str(lora.likes)),
        ("for", ACCESS_TEXT[lora.access]),
        ("by", lora.person),
    )
    return LoraCard(
        name=lora.name,
        phrase=lora.phrase,
        facts=tuple((name, value) for name, value in facts if value),
        line=example_command(lora),
        thumbnail=lora.thumbnail,
        likeness=share,
    )
