"""SQL conditions on jobs, written so that SQLite uses the index that finds few rows.

It knows nothing of how many rows there are of a kind, and so takes a whole table in its order for less than a
few rows that it has to sort. A number or a space with 0 added names no index, and leaves it the right one.
"""

from typing import Literal

from sqlalchemy import BindParameter, ColumnElement, Text, literal

from storage.requests import Kind
from storage.tables import Job

State = Literal["draft", "queued", "running", "succeeded", "failed", "cancelled"]

OPEN: tuple[State, ...] = ("draft", "queued", "running")
"""What has not ended."""

IN_ORDER = Job.number + 0
"""The order of filing, of few rows that are found by something else."""


def of_space(space_id: int | BindParameter[int]) -> ColumnElement[bool]:
    """Whether a job is of this space, asked so that it is found by its person: a space has far more jobs."""
    return Job.space_id + 0 == space_id


def is_in(state: State) -> ColumnElement[bool]:
    """Written out in the SQL rather than bound: so alone is the index of the jobs in this state used."""
    return Job.state == literal(state, Text, literal_execute=True)


def is_open_training() -> tuple[ColumnElement[bool], ...]:
    """Whether a job is a training that has not ended; of those alone there is an index."""
    return makes("train"), Job.state.in_([literal(state, Text, literal_execute=True) for state in OPEN])


def makes(kind: Kind) -> ColumnElement[bool]:
    """Written out for the same reason."""
    return Job.kind == literal(kind, Text, literal_execute=True)
