"""The model that ships, as the bot names it to its engine; bots with a small chat around them; browsers."""

from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bot.config import Config
from engine.messages import EngineSettings
from tests.bot import mirror_command
from tests.bot.fake_chat import Chat, FakeChat, OpenChat, a_config, quick
from tests.bot.web.browser import Comes, Visit, a_browser
from tests.bot.web.page_client import Place


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> EngineSettings:
    return EngineSettings(
        model="demo",
        files=str(tmp_path_factory.mktemp("files")),
        deadline_floor_seconds=4.0,
    )


@pytest.fixture
def config_file(settings: EngineSettings, tmp_path: Path) -> Path:
    """A config.toml for a program of its own."""
    path = tmp_path / "config.toml"
    path.write_text(f'[engine]\nmodel = "{settings.model}"\nfiles = "{settings.files}"\n')
    return path


@pytest.fixture
async def open_chat(tmp_path: Path) -> AsyncIterator[OpenChat]:
    made: list[Chat] = []

    async def open_one(
        *,
        seconds: float = 0.01,
        config: Config | None = None,
        program: Sequence[str] | None = None,
        fake: FakeChat | None = None,
    ) -> Chat:
        program = program or quick(tmp_path, seconds)
        made.append(await Chat.open(tmp_path, config or a_config(tmp_path), program, fake or FakeChat()))
        return made[-1]

    yield open_one
    for chat in made:
        await chat.close()


@pytest.fixture
def mirror() -> Iterator[None]:
    """There is a command /mirror, of which no chat was told."""
    with mirror_command.added_command():
        yield


@pytest.fixture
async def comes(place: Place) -> AsyncIterator[Comes]:
    """Somebody opens the page of the test's `place`; at the end their browsers must have no complaints."""
    visits: list[Visit] = []
    async with a_browser() as browser:

        async def come(**how: Any) -> Visit:
            visits.append(await Visit.come(browser, place.address, **how))
            return visits[-1]

        yield come
        for visit in visits:
            assert visit.complaints == []
