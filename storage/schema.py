"""The tables of a database are made, or brought up to date, in one transaction."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

STEPS = Path(__file__).with_name("migrations")


class NewerDatabase(Exception):
    """The database knows a step that this version does not."""


class OtherDatabase(Exception):
    """The database has tables, but they are none of ours."""


def bring_up_to_date(connection: Connection) -> None:
    """Take the steps that this database has not seen. Raises NewerDatabase or OtherDatabase."""
    config = Config()
    config.set_main_option("script_location", str(STEPS).replace("%", "%%"))
    config.attributes["connection"] = connection
    steps = ScriptDirectory.from_config(config)
    known = {step.revision for step in steps.walk_revisions()}
    reached = MigrationContext.configure(connection).get_current_revision()
    if reached is None and inspect(connection).get_table_names():
        raise OtherDatabase
    if reached is not None and reached not in known:
        raise NewerDatabase
    if reached != steps.get_current_head():
        command.upgrade(config, "head")
