"""A bot's folder as the version before the renaming left it: its database, its store and its LoRAs.

It was made on 2026-11-30, before the names and places of issue 20, by a bot with the engine and the model
that ship and a chat called "discord": people said /imagine, /train, /lora import, /lora merge, /compare,
/settings, /privacy delete and all of /admin through the dispatcher, and pressed buttons. Two pictures were
painted with a small safety check that flags all. The training "tom" was interrupted at its first checkpoint
by closing the bot, and the last job was filed while no engine ran.

`atelier.sql` is `Connection.iterdump()` of the database after VACUUM. Contact sheets, thumbnails and other
files over 11 KB are left out. `jobs.json` has each job's id by what it is about, and the ids of the buttons
on its card; `contract.json` is what `python -m tests.contract` printed.
"""

import json
import shutil
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "data" / "before"
_CARDS = json.loads((FOLDER / "jobs.json").read_text())
JOBS: Mapping[str, str] = {name: card["id"] for name, card in _CARDS.items()}
BUTTONS: Mapping[str, list[str]] = {name: card["buttons"] for name, card in _CARDS.items()}
CONTRACT: Mapping[str, Any] = json.loads((FOLDER / "contract.json").read_text())
LAST = 1_796_059_419.0  # just after the last job was filed
TIMES = ("at", "up", "lease_until")  # columns of times, beside those that end with "_at"


def restore(folder: Path) -> Path:
    """Put the version's files there, as if it had been stopped a moment ago; the path of its database.

    Drafts are forgotten after a week, and uploads after a day: so all its times are moved.
    """
    for name in ("files", "adapters"):
        shutil.copytree(FOLDER / name, folder / name)
    path = folder / "atelier.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript((FOLDER / "atelier.sql").read_text())
        for table, column in _times():
            database.execute(f'UPDATE "{table}" SET "{column}" = "{column}" + ?', (time.time() - LAST,))
    return path


def rows(database: sqlite3.Connection, table: str) -> list[dict[str, Any]]:
    """The rows of a table by the columns that the version had, JSON as values."""
    names = list(CONTRACT["tables"][table])
    chosen = ", ".join(f'"{name}"' for name in names)
    return [
        {name: _plain(value) for name, value in zip(names, row, strict=True)}
        for row in database.execute(f'SELECT {chosen} FROM "{table}" ORDER BY {chosen}')
    ]


def stored_requests() -> dict[str, dict[str, Any]]:
    """The request of each job as its row had it."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript((FOLDER / "atelier.sql").read_text())
        return {row["id"]: row["request"] for row in rows(database, "jobs")}


def _plain(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) and value[:1] in ("{", "[") else value


def _times() -> list[tuple[str, str]]:
    return [
        (table, column)
        for table, columns in CONTRACT["tables"].items()
        for column in columns
        if column in TIMES or column.endswith("_at")
    ]
