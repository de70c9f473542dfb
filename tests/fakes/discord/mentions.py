"""Whom a message notifies: what its text names, of that what the sender allowed."""

import re
from typing import Any

EVERYONE = re.compile(r"@(everyone|here)")
USER = re.compile(r"<@!?(\d+)>")
ROLE = re.compile(r"<@&(\d+)>")


def mentions_of(content: str, allowed: dict[str, Any] | None) -> list[str]:
    """The word "everyone" and the ids of people and roles; without `allowed` all that are named."""
    named = {
        "everyone": ["everyone"] if EVERYONE.search(content) else [],
        "users": USER.findall(content),
        "roles": ROLE.findall(content),
    }
    if allowed is None:
        return [name for names in named.values() for name in names]
    kinds = allowed.get("parse", [])
    return [
        name
        for kind, names in named.items()
        for name in names
        if kind in kinds or name in allowed.get(kind, [])
    ]
