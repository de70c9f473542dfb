"""What the keepers of a space let nobody paint there, and what is avoided in every picture."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from engine.messages import FlaggedPolicy


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Words, or patterns between slashes, in small letters.

    `refuse`: not anywhere; `adult`: only where the chat keeps a channel for adults; `negative`: what every
    picture avoids; `approve`: new LoRAs are their owners' alone until a keeper has said yes; `filtered`: what
    becomes elsewhere of pictures that the safety check flags.
    """

    refuse: tuple[str, ...] = ()
    adult: tuple[str, ...] = ()
    negative: str = ""
    approve: bool = False
    filtered: FlaggedPolicy = FlaggedPolicy.REFUSE


NO_RULES = Rules()


def rules_from_json(values: Mapping[str, Any]) -> Rules:
    """The rules as the table has them."""
    return Rules(
        refuse=tuple(values.get("refuse", ())),
        adult=tuple(values.get("adult", ())),
        negative=str(values.get("negative", "")),
        approve=bool(values.get("approve", False)),
        filtered=FlaggedPolicy(values.get("filtered", FlaggedPolicy.REFUSE)),
    )


def rules_to_json(rules: Rules) -> dict[str, Any]:
    """The same for the table."""
    values = {
        name: list(value) if isinstance(value, tuple) else value for name, value in asdict(rules).items()
    }
    return values | {"filtered": str(rules.filtered)}
