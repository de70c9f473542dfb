"""Rules of a space: words that no prompt may have, and what every picture avoids."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from engine.messages import FlaggedPolicy


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Words, or patterns between slashes, in small letters.

    `refuse`: not anywhere; `adult`: only where the chat keeps a channel for adults; `negative`: what every
    picture avoids; `approve`: new LoRAs are their owners' alone until an admin has said yes; `filtered`: what
    becomes elsewhere of pictures that the safety check flags.
    """

    refuse: tuple[str, ...] = ()
    adult: tuple[str, ...] = ()
    negative: str = ""
    approve: bool = False
    filtered: FlaggedPolicy = FlaggedPolicy.REFUSE


NO_RULES = Rules()


def rules_from_json(values: Mapping[str, Any]) -> Rules:
    """Rules from the JSON of a row."""
    return Rules(
        refuse=tuple(values.get("refuse", ())),
        adult=tuple(values.get("adult", ())),
        negative=str(values.get("negative", "")),
        approve=bool(values.get("approve", False)),
        filtered=FlaggedPolicy(values.get("filtered", FlaggedPolicy.REFUSE)),
    )


def rules_to_json(rules: Rules) -> dict[str, Any]:
    """Rules as JSON for a row."""
    values = {
        name: list(value) if isinstance(value, tuple) else value for name, value in asdict(rules).items()
    }
    return values | {"filtered": str(rules.filtered)}
