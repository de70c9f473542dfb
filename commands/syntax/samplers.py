"""Samplers by their many names, and how many steps each needs."""

import re

from commands.syntax.parser import join_list, shorten
from engine.messages import InvalidRequest, Sampler

# Below these the last steps of Karras's schedule remove nothing, and Heun's second halves overshoot
# (docs/measurements.md); instead, what does better with as few.
LEAST_STEPS = {Sampler.HEUN: (8, Sampler.EULER), Sampler.DPM_2M_KARRAS: (8, Sampler.DPM_2M)}


def read_sampler(text: str) -> Sampler:
    """The sampler of this name. Raises InvalidRequest with all names."""
    for candidate in Sampler:
        if _letters(candidate) == _letters(text):
            return candidate
    raise InvalidRequest(
        f"There is no sampler {shorten(text)!r}. The samplers are {join_list(list(Sampler))}."
    )


def check_steps(sampler: Sampler, steps: int) -> None:
    """Raise InvalidRequest when the sampler needs more steps."""
    least, instead = LEAST_STEPS.get(sampler, (1, sampler))
    if steps < least:
        raise InvalidRequest(
            f"{sampler} needs at least {least} steps, not {steps}. For fewer steps use {instead}."
        )


def _letters(name: str) -> str:
    """The name without differences of spelling: "++" is often written pp, "a" means ancestral."""
    plain = name.lower().replace("++", "").replace("dpmpp", "dpm").replace("ancestral", "a")
    return re.sub(r"[^a-z0-9]", "", plain)
