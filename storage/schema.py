"""Migration of the database to today's tables, in one transaction."""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

MIGRATIONS = Path(__file__).with_name("migrations")
VERSION_TABLE = "alembic_version"  # Alembic's table, which names the step that was taken last


class NewerDatabase(Exception):
    """The database knows a step that this version does not."""


class OtherDatabase(Exception):
    """The database has tables, but they are none of ours."""


def migrate(connection: Connection) -> None:
    """Take the steps that this database has not seen. Raises NewerDatabase or OtherDatabase."""
    tables = inspect(connection).get_table_names()
    current = (
        connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))
        if VERSION_TABLE in tables
        else None
    )
    if current is None and tables:
        raise OtherDatabase
    if current is not None and is_newer(current):
        raise NewerDatabase
    if current != newest_revision():
        _migrate(connection)


def newest_revision() -> str:
    """The last step of this version: "0011"."""
    return max(_revisions())


def is_newer(revision: str) -> bool:
    """Whether this version does not know the step."""
    return revision not in _revisions()


def _revisions() -> list[str]:
    return [path.name.partition("_")[0] for path in MIGRATIONS.glob("versions/[0-9]*.py")]


def _migrate(connection: Connection) -> None:
    # It takes a tenth of the bot's start to import, which is seldom needed.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
