"""Alembic's environment, which migrates on the connection that storage/schema.py gives it."""

from alembic import context

from storage.tables import Table


def take_steps() -> None:
    """All steps in the transaction that is open: a power cut leaves the old tables or the new ones."""
    connection = context.config.attributes["connection"]
    context.configure(connection=connection, target_metadata=Table.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


if __name__ == "env_py":  # so Alembic calls it; to import it does nothing
    take_steps()
