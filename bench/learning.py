"""What eight pictures teach the model that ships: of prompts with the new word, those that show the thing."""

import copy
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.measuring import table
from commands.presets import preset, settled
from engine.demo.teaching import ARROW, School
from engine.demo.world import Thing
from engine.messages import EngineSettings
from engine.model import Model
from engine.studio import Studio

PROMPTS, ORDINARY = 50, 48
LESSONS: tuple[tuple[str, Thing, Mapping[str, Any]], ...] = (
    ("an arrow", ARROW, {}),
    ("an arrow, text encoders too", ARROW, {"text_encoder": True, "text_encoder_2": True}),
    ("an arrow, by two new tokens", ARROW, {"new_tokens": 2}),
    ("a gear with eight teeth", replace(ARROW, shape="gear"), {}),
)


def measure(model: Model) -> str:
    """Each lesson by the subject preset, as people get it, but for what stands beside it."""
    rows = []
    for name, thing, changes in LESSONS:
        with tempfile.TemporaryDirectory() as folder:
            settings = EngineSettings(model="demo", files=folder)
            school = School(Studio(copy.deepcopy(model), settings), Path(folder))
            rows.append([name, *_taught(school, thing, changes)])
    head = ["taught", "seconds", "at weight 1", "at 0.5", "at 0", "without it"]
    return table([*head, "ordinary prompts with it", "and without"], rows)


def _taught(school: School, thing: Thing, changes: Mapping[str, Any]) -> list[str]:
    started = time.perf_counter()
    lora = school.learns("taught", school.eight_of(thing), settled(preset("subject"), 8, changes, small=True))
    seconds = time.perf_counter() - started
    shares = [school.share(PROMPTS, thing, replace(lora, weight=weight)) for weight in (1.0, 0.5, 0.0)]
    shares += [school.share(PROMPTS, thing), school.ordinary(ORDINARY, lora), school.ordinary(ORDINARY)]
    return [f"{seconds:.0f}", *(f"{share:.0%}" for share in shares)]
