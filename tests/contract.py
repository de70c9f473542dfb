"""What lives outside the code, as today's code has it: flags, JSON keys, config keys, metrics, tables.

`tests/data/before/contract.json` has the same of an older version: `python -m tests.contract` prints today's.
"""

import json
import sqlite3
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from bot import config, service
from bot.chats.slack import manifest, slash_names
from bot.cli import discord_invite, imagine, slack_manifest, train
from bot.metrics import Metrics
from commands.actions import BY_NAME
from commands.presets import presets
from commands.reactions import REACTIONS
from commands.registry import COMMANDS
from commands.syntax.spec import Parameter, parameters
from engine.messages import (
    AdapterUse,
    Example,
    FlaggedPolicy,
    JobId,
    Paint,
    Ratio,
    Sha256,
    Size,
    Train,
    TrainingSettings,
    Variant,
)
from storage.requests import CHOICES, to_json
from tests.new_database import new_database

ROOT = Path(__file__).parents[1]
JOB, FILE = JobId("aaaaaa"), Sha256("f" * 64)
LORA = AdapterUse(name="ink", sha256=FILE, weight=0.5)
PAINTS = (
    Paint(
        job=JOB,
        prompt="a fox",
        seed=1,
        size=Size(width=64, height=64),
        adapters=(LORA,),
        variants=(Variant(name="with", adapters=(LORA,)),),
    ),
    Paint(job=JOB, prompt="a fox", seed=1, size=Ratio(across=3, down=2)),
)
TRAIN = Train(
    job=JOB,
    name="ink",
    trigger="ohwx",
    examples=(Example(sha256=FILE),),
    prompts=("a fox",),
    settings=TrainingSettings(blocks=("mid",)),
)


def contract() -> dict[str, Any]:
    """All of it in plain JSON values, sorted."""
    return {
        "actions": sorted(BY_NAME),
        "reactions": dict(sorted(REACTIONS.items())),
        "flags": flags(),
        "choices": choices(),
        "presets": sorted(presets()),
        "requests": {
            "paint": sorted({path for request in PAINTS for path in paths(to_json(request))}),
            "train": sorted(paths(to_json(TRAIN))),
        },
        "values": {
            "flagged": sorted(FlaggedPolicy),
            **{name: sorted(kind) for name, kind in CHOICES.items()},
        },
        "config": tomllib.loads((ROOT / "config.toml").read_text()),
        "environment": sorted(environment()),
        "metrics": sorted(metrics(Metrics().text())),
        "tables": tables(),
        "slack": {"commands": sorted(slash_names.SLASH), "shortcuts": sorted(manifest.SHORTCUTS)},
    }


def flags() -> dict[str, list[str]]:
    """What can be written to each command of the chats, and of the command line."""
    here: dict[str, Iterable[Parameter]] = {
        **{f"/{name}": command.parameters for name, command in COMMANDS.items()},
        "serve": parameters(service._read_config),
        "imagine": parameters(imagine._terminal_options),
        "train": train.TRAIN.parameters,
        "discord-invite": discord_invite.INVITE.parameters,
        "slack-manifest": slack_manifest.MANIFEST.parameters,
    }
    return {
        name: sorted(flag for parameter in own for flag in _flags(parameter)) for name, own in here.items()
    }


def _flags(parameter: Parameter) -> Iterator[str]:
    """Those of the parameter and of its parts; its name, where it is said without one."""
    for part in (parameter, *parameter.parts):
        yield from part.flags or [part.name]


def choices() -> dict[str, list[str]]:
    """What can be written to options that take a few words only."""
    return {
        f"/{name} {parameter.label}": list(parameter.choices)
        for name, command in COMMANDS.items()
        for parameter in command.parameters
        if parameter.choices
    }


def environment() -> Iterator[str]:
    """The variables of the environment that settings come from."""
    yield from (config.NAMED_BY, config.LOCAL_TOKEN, config.DISCORD_TOKEN)
    yield from (config.SLACK_BOT_TOKEN, config.SLACK_APP_TOKEN, config.SLACK_SECRET)


def metrics(text: bytes) -> Iterator[str]:
    """The names on this page for Prometheus, each with its kind."""
    for line in text.decode().splitlines():
        if line.startswith("# TYPE "):
            yield line.removeprefix("# TYPE ")


def tables() -> dict[str, dict[str, str]]:
    """The columns of each table of a new database, with their types."""
    with tempfile.TemporaryDirectory() as folder:
        path = new_database(Path(folder)).removeprefix("sqlite+aiosqlite:///")
        with closing(sqlite3.connect(path)) as database:
            return columns(database)


def columns(database: sqlite3.Connection) -> dict[str, dict[str, str]]:
    """The columns of each table, with their types."""
    named = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
    return {
        table: {row[1]: row[2] for row in database.execute(f'PRAGMA table_info("{table}")')}
        for (table,) in database.execute(named).fetchall()
    }


def paths(value: Any, before: str = "") -> Iterator[str]:
    """The keys within a JSON value, those of dicts in lists too: "adapters[].weight"."""
    match value:
        case Mapping():
            for key, part in value.items():
                path = f"{before}.{key}" if before else key
                yield from (path, *paths(part, path))
        case list() | tuple():
            for part in value:
                yield from paths(part, f"{before}[]")


if __name__ == "__main__":
    sys.stdout.write(json.dumps(contract(), indent=1, ensure_ascii=False) + "\n")
