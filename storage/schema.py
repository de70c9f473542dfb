"""The tables of a database are made, or brought up to date, in one transaction."""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

STEPS = Path(__file__).with_name("migrations")
REACHED = "alembic_version"  # Alembic's table, which names the step that was taken last


class NewerDatabase(Exception):
    """The database knows a step that this version does not."""


class OtherDatabase(Exception):
    """The database has tables, but they are none of ours."""


def bring_up_to_date(connection: Connection) -> None:
    """Take the steps that this database has not seen. Raises NewerDatabase or OtherDatabase."""
    tables = inspect(connection).get_table_names()
    reached = connection.scalar(text(f"SELECT version_num FROM {REACHED}")) if REACHED in tables else None
    if reached is None and tables:
        raise OtherDatabase
    known = sorted(path.name.partition("_")[0] for path in STEPS.glob("versions/[0-9]*.py"))
    if reached is not None and reached not in known:
        raise NewerDatabase
    if reached != known[-1]:
        _take_steps(connection)


def _take_steps(connection: Connection) -> None:
    # It takes a tenth of the bot's start to import, which is seldom needed.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(STEPS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
