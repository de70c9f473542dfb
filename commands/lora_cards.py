"""LoRAs as cards: what each chat shows of one in its own way."""

from collections.abc import Sequence
from dataclasses import dataclass

from commands.lora import SHARED, line
from commands.lora_search import meter
from commands.syntax.numbers import counted
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
        """The facts in a line."""
        return " · ".join(f"{name} {value}" for name, value in self.facts)


def lora_cards(loras: Sequence[LoraView]) -> list[LoraCard]:
    """The cards of these LoRAs, in their order."""
    best = max((one.likeness for one in loras if one.likeness is not None), default=0.0)
    return [_card(one, best) for one in loras]


def _card(one: LoraView, best: float) -> LoraCard:
    share = None if one.likeness is None else max(0.0, one.likeness) / (best or 1.0)
    facts = (
        ("like it", "" if one.likeness is None else f"{meter(share or 0.0)} {one.likeness:.1f}"),
        ("weight", f"{one.hint:g}"),
        ("used", counted(one.uses, "time")),
        ("likes", str(one.likes)),
        ("for", SHARED[one.access]),
        ("by", one.person),
    )
    return LoraCard(
        name=one.name,
        phrase=one.phrase,
        facts=tuple((name, value) for name, value in facts if value),
        line=line(one),
        thumbnail=one.thumbnail,
        likeness=share,
    )
