"""No test talks to a real chat, whatever tokens the environment has; and the longest files come first.

Tests paint on the CPU in float32, where pixels can be held to diffusers' own: with ATELIER_GPU=1 the GPU is
seen, for tests/engine/test_on_gpu.py.
"""

import os

import pytest

if "ATELIER_GPU" not in os.environ:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

SECRETS = (
    "ATELIER_LOCAL_TOKEN",
    "DISCORD_TOKEN",
    "SLACK_BOT_TOKEN",
    "SLACK_APP_TOKEN",
    "SLACK_SIGNING_SECRET",
)


LONG = ("test_learning.py", "test_kill.py", "test_page_and_engine.py", "test_terminal_train.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One process has a whole file to itself: a long one at the end would leave the other idle."""
    items.sort(key=lambda item: item.path.name not in LONG)


@pytest.fixture(autouse=True)
def no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.delenv(name, raising=False)
