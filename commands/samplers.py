"""A sampler by nearly any of its names: "DPM++ 2M Karras", dpmpp_2m_karras, "euler ancestral"."""

import re

from commands.parse import listed, short
from engine.messages import InvalidRequest, Sampler


def sampler(text: str) -> Sampler:
    """The sampler that these words mean. Raises InvalidRequest, which names the known ones."""
    for known in Sampler:
        if _letters(known) == _letters(text):
            return known
    raise InvalidRequest(f"there is no sampler {short(text)!r}: the known ones are {listed(list(Sampler))}.")


def _letters(name: str) -> str:
    """What is left when spelling is ignored: "++" is often written pp, "a" stands for ancestral."""
    plain = name.lower().replace("++", "").replace("dpmpp", "dpm").replace("ancestral", "a")
    return re.sub(r"[^a-z0-9]", "", plain)
