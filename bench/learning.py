"""What a few pictures teach the model that ships: of prompts with the new word, those that show the thing."""

import copy
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.measuring import table
from commands.presets import find_preset, training_settings
from engine.demo.lora_trials import ARROW, LoraTrials
from engine.demo.world import TAUGHT, Thing
from engine.messages import EngineSettings
from engine.sdxl.model import Model
from engine.studio import Studio

PROMPTS, ORDINARY = 30, 48
SEEDS = (0, 1, 2)
TEXT_ENCODERS = ("text_encoder", "text_encoder_2")
HATCHING = "hatching, as a style"
TUNED = ("arrow", "gear", "bolt", HATCHING)  # those by which the presets of the model that ships were chosen


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What is taught, from how many pictures, by which preset, and what is changed of that."""

    name: str
    thing: Thing
    preset: str = "subject"
    pictures: int = 8
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Result:
    """Shares of prompts, with the LoRA that people get and with that of the last step."""

    best: float
    last: float
    ordinary: float
    seconds: float


LESSONS = (
    *(Trial(name=f"{shape}", thing=replace(ARROW, shape=shape)) for shape in TAUGHT),
    Trial(name="small house", thing=replace(ARROW, shape="house", size="small")),
    Trial(
        name=HATCHING,
        thing=Thing(shape="circle", colour="red", size="big", hatched=True),
        preset="style",
        pictures=16,
    ),
)
WAYS = (
    Trial(name="arrow", thing=ARROW),
    Trial(name="arrow, text encoders too", thing=ARROW, changes=dict.fromkeys(TEXT_ENCODERS, True)),
    Trial(name="arrow, by two new tokens", thing=ARROW, changes={"new_tokens": 2}),
)


def measure(model: Model) -> str:
    """Each lesson as people get it: the preset's settings, and the checkpoint that is handed out."""
    with tempfile.TemporaryDirectory() as folder:
        settings = EngineSettings(model="demo", files=folder)
        school = LoraTrials(Studio(copy.deepcopy(model), settings), Path(folder))
        untaught = school.ordinary_score(ORDINARY)
        lessons = _lessons(school, untaught)
        return f"{lessons}\n\n{_weights(school)}"


def _lessons(school: LoraTrials, untaught: float) -> str:
    rows, fresh = [], []
    for lesson in LESSONS:
        results = [_taught(school, lesson, seed) for seed in SEEDS]
        if lesson.name not in TUNED:
            fresh += results
        rows.append([lesson.name + ("*" if lesson.name in TUNED else ""), *_told(results)])
    rows.append(["all without *", *_told(fresh)])
    head = ["taught", "seconds", "as people get it, by seed", "mean", "the last step", "ordinary prompts"]
    return f"Ordinary prompts without a LoRA: {untaught:.0%}\n\n" + table(head, rows)


def _told(results: list[Result]) -> list[str]:
    best = [result.best for result in results]
    return [
        f"{np.mean([result.seconds for result in results]):.0f}",
        ", ".join(f"{share:.0%}" for share in best) if len(best) <= len(SEEDS) else "",
        f"{np.mean(best):.0%}",
        f"{np.mean([result.last for result in results]):.0%}",
        f"{np.mean([result.ordinary for result in results]):.0%}",
    ]


def _taught(school: LoraTrials, lesson: Trial, seed: int) -> Result:
    changes = {**lesson.changes, "seed": seed}
    settings = training_settings(find_preset(lesson.preset), lesson.pictures, changes, small=True)
    pictures = school.training_pictures(lesson.thing, lesson.pictures)
    started = time.perf_counter()
    taught = school.train("taught", pictures, settings)
    seconds = time.perf_counter() - started
    best = school.success_rate(PROMPTS, lesson.thing, taught.best)
    last = best if taught.last == taught.best else school.success_rate(PROMPTS, lesson.thing, taught.last)
    return Result(
        best=best, last=last, ordinary=school.ordinary_score(ORDINARY, taught.best), seconds=seconds
    )


def _weights(school: LoraTrials) -> str:
    """How much of it shows at a part of its weight, and without it, for each way to learn an arrow."""
    rows = []
    for way in WAYS:
        settings = training_settings(find_preset(way.preset), way.pictures, way.changes, small=True)
        lora = school.train("taught", school.training_pictures(way.thing), settings).best
        weighted = [replace(lora, weight=weight) for weight in (1.0, 0.5, 0.0)]
        shares = [school.success_rate(PROMPTS, way.thing, use) for use in weighted]
        shares.append(school.success_rate(PROMPTS, way.thing))
        rows.append([way.name, *(f"{share:.0%}" for share in shares)])
    return table(["taught", "at weight 1", "at 0.5", "at 0", "without it"], rows)
