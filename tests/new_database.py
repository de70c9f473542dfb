"""A database as a bot makes it at first, made once and copied: its steps take longer than a test."""

import tempfile
from functools import cache
from pathlib import Path

from sqlalchemy import create_engine

from storage.schema import migrate


def new_database(folder: Path) -> str:
    """The URL of the folder's database, made if there is none; Database.open finds it up to date."""
    path = folder / "atelier.db"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_made())
    return f"sqlite+aiosqlite:///{path}"


@cache
def _made() -> bytes:
    """The file after all steps, with its log emptied."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "atelier.db"
        engine = create_engine(f"sqlite:///{path}")
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
            connection.commit()
            migrate(connection)
            connection.commit()
        engine.dispose()
        return path.read_bytes()
