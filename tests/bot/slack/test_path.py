"""How far it is from Slack to the database."""

from bench.slack_path import PathRecorder
from tests.bot.slack.harness import Atelier

MOST_FILES = 10


async def test_whoever_follows_imagine_to_its_row_opens_few_files(atelier: Atelier) -> None:
    with PathRecorder() as recorder:
        await atelier.paints(atelier.ana, "a red fox --steps 4")

    assert recorder.files[0] == "bot/chats/slack/listeners.py"
    assert recorder.files[-1] == "storage/jobs.py"
    assert len(recorder.files) <= MOST_FILES, recorder.files
