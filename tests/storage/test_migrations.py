"""A database that an older version made is brought up to date, and nothing in it is lost."""

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from engine.messages import AdapterUse, JobId, Paint, Sha256
from storage import jobs, pictures, schema
from storage.database import Database
from storage.requests import to_json
from storage.views import views

REQUEST = Paint(
    job=JobId("aaaaa0"),
    prompt='žluť "x"',
    seed=2**63 - 1,
    adapters=(AdapterUse(name="ink", sha256=Sha256("e" * 64)),),
)
JOB: Mapping[str, Any] = {
    "space_id": 2,
    "person_id": 4,
    "channel": "general",
    "message": "m7",
    "parent": None,
    "request": json.dumps(to_json(REQUEST)),
    "reason": None,
    "deaths": 1,
    "suspect": 1,
    "lease_until": None,
    "step": 3,
    "steps": 20,
    "charged": 1.25,
    "created_at": 100.125,
    "started_at": 101.0,
    "ended_at": None,
    "deleted_at": None,
    "revision": 7,
    "shown": 6,
    "moved": 2,
}
LORA: Mapping[str, Any] = {"space_id": None, "person_id": None, "sha256": "e" * 64, "created_at": 5.5}
ROWS: Mapping[str, list[dict[str, Any]]] = {
    "people": [
        {
            "id": 4,
            "chat": "local",
            "key": "ana",
            "name": "Ana",
            "settings": '{"no": "hat"}',
            "used": 1e5 / 3,
            "queued": 1,
        }
    ],
    "spaces": [{"id": 2, "chat": "local", "key": "general", "name": "general"}],
    "adapters": [{"id": 1, "name": "ink", **LORA}, {"id": 3, "name": "pen", **LORA}],
    "audit": [
        {
            "id": 9,
            "at": 1.5,
            "space_id": 2,
            "person_id": 4,
            "action": "cancel",
            "subject": "job x",
            "before": "{}",
            "after": None,
        }
    ],
    "jobs": [
        {"number": 11, "id": "aaaaa11", "state": "succeeded", **JOB},
        {"number": 12, "id": "aaaaa12", "state": "queued", **JOB},
    ],
    "pictures": [
        {
            "id": 21,
            "job_number": 11,
            "place": 1,
            "sha256": "a" * 64,
            "seed": 2**63 - 1,
            "width": 64,
            "height": 64,
        }
    ],
    "votes": [{"picture_id": 21, "person_id": 4, "emoji": "⭐", "created_at": 7.0}],
}


def first_version(path: Path) -> None:
    """A database as the first version left it, with a row or two in every table."""
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    with closing(sqlite3.connect(path)) as database, database:
        for table, rows in ROWS.items():
            for row in rows:
                names = ", ".join(f'"{name}"' for name in row)
                marks = ", ".join("?" for _ in row)
                database.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(row.values()))


def rows(path: Path, table: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(path)) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute(f"SELECT * FROM {table} ORDER BY 1")]


async def test_every_row_of_the_first_version_is_there_with_all_its_values(tmp_path: Path) -> None:
    path = tmp_path / "atelier.db"
    first_version(path)

    await (await Database.open(f"sqlite+aiosqlite:///{path}")).close()

    for table, before in ROWS.items():
        after = [{name: row[name] for name in before[0]} for row in rows(path, table)]
        assert after == before, table
    assert rows(path, "job_loras") == [{"job_number": 12, "sha256": "e" * 64}]
    assert rows(path, "lora_votes") == [
        {"picture_id": 21, "person_id": 4, "emoji": "⭐", "sha256": "e" * 64, "space_id": 2}
    ]
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_what_the_first_version_filed_goes_on_in_this_one(tmp_path: Path) -> None:
    path = tmp_path / "atelier.db"
    first_version(path)

    database = await Database.open(f"sqlite+aiosqlite:///{path}")
    async with database.reading() as session:
        following = await jobs.next_queued(session)
        (done,) = await views(session, [JobId("aaaaa11")])
        needed = await pictures.find_unneeded(session, [Sha256("a" * 64), Sha256("e" * 64), Sha256("f" * 64)])
        trainings = await jobs.training_positions(session)
    gone = await database.write(lambda session: jobs.delete(session, 11, 9.0))
    await database.close()

    assert following is not None
    assert (following.id, following.kind) == ("aaaaa12", "paint")
    assert (done.kind, done.training) == ("paint", None)
    assert (done.adult, done.private) == (False, False)
    assert isinstance(done.request, Paint)
    assert done.request.prompt == REQUEST.prompt
    assert [picture.stars for picture in done.pictures] == [1]
    assert (needed, trainings) == (["f" * 64], [])
    assert gone == ["a" * 64]
