"""Prompt weights of other programs, which are painted as plain words here."""

import re
from collections.abc import Iterator

from engine.messages import Paint

# https://github.com/AUTOMATIC1111/stable-diffusion-webui/wiki/Features: attention, prompt editing, BREAK
MARKS = re.compile(
    r"(?<!\\)\([^()\n]{1,200}:\s*[-+]?[\d.]+\s*\)"
    r"|(?<!\\)\(\([^()\n]{1,200}\)\)"
    r"|(?<!\\)\[[^\[\]\n]{1,200}\]"
    r"|(?<!\w)BREAK(?!\w)"
)
LONGEST = 30  # characters of one that are repeated
SHOWN = 3


def weights_hint(paint: Paint) -> str:
    """A hint about weight syntax that was painted as words; "" where there is none."""
    marks = list(dict.fromkeys(_marks(paint)))
    if not marks:
        return ""
    more = " and more" if len(marks) > SHOWN else ""
    return f"Painted as plain words, for weights are not understood here: {', '.join(marks[:SHOWN])}{more}."


def _marks(paint: Paint) -> Iterator[str]:
    for text in (paint.prompt, paint.negative_prompt):
        for mark in MARKS.finditer(text):
            yield mark[0] if len(mark[0]) <= LONGEST else f"{mark[0][: LONGEST - 1]}…"
