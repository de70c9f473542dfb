"""No test talks to a real chat, whatever tokens the environment has; and the longest files come first.

Tests paint on the CPU in float32, where pixels can be held to diffusers' own: with ATELIER_GPU=1 the GPU is
seen, for tests/engine/test_on_gpu.py.
"""

import gc
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy.dialects.sqlite.aiosqlite import SQLiteDialect_aiosqlite as Dialect
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from storage import sqlite

if "ATELIER_GPU" not in os.environ:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

gc.disable()  # until all tests are there: what is imported stays, and is not searched for rubbish
# PEFT and diffusers import it for what is not used here, which takes a third of the time of all imports; the
# engine hides it from them as well, and both let a training import it afterwards.
sys.modules.setdefault("bitsandbytes", None)  # type: ignore[arg-type]  # None means not installed

SECRETS = (
    "ATELIER_LOCAL_TOKEN",
    "DISCORD_TOKEN",
    "SLACK_BOT_TOKEN",
    "SLACK_APP_TOKEN",
    "SLACK_SIGNING_SECRET",
)

COMPILED: dict[Any, Any] = {}

LONG = (
    *("test_learning.py", "test_kill.py", "test_pivotal.py"),
    *("test_page_and_engine.py", "test_terminal_train.py"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One process has a whole file to itself: a long one at the end would leave the other idle."""
    items.sort(key=lambda item: item.path.name not in LONG)


def pytest_collection_finish() -> None:
    """What is there now stays: searching through all of it again and again would take a tenth of the time."""
    if sys.modules.get("bitsandbytes", sys) is None:
        del sys.modules["bitsandbytes"]
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True, scope="session")
def statements_compiled_once() -> Iterator[None]:
    """Each test has databases of its own; to compile all statements anew for each takes longer than the rest.

    SQLAlchemy keeps what it compiled by its dialect, of which each database has one; all of ours are alike.
    """

    def created(*told: Any, **options: Any) -> AsyncEngine:
        return create_async_engine(*told, **options, execution_options={"compiled_cache": COMPILED})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Dialect, "__hash__", lambda dialect: hash(type(dialect)))
        patch.setattr(Dialect, "__eq__", lambda dialect, other: type(dialect) is type(other))
        patch.setattr(sqlite, "create_async_engine", created)
        yield
