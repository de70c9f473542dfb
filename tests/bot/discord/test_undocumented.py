"""What discord.py documents nowhere, as in version 2.7.1: an upgrade that moves it fails here."""

import io
import warnings

import discord
import pytest
from discord.http import handle_message_parameters

from bot.chats.discord.undocumented import FILE_LIMIT, ExistingFile, fetch_commands, silence_voice_warnings
from tests.bot.discord.harness import DiscordBot


def test_a_file_that_is_kept_is_named_in_an_edit_and_not_sent_again() -> None:
    new = discord.File(io.BytesIO(b"png"), filename="new.png")

    with handle_message_parameters(attachments=[ExistingFile(id=7), new]) as entry:  # type: ignore[list-item]
        files, parts = entry.files, entry.multipart

    assert files is not None
    assert [file.filename for file in files] == ["new.png"]
    assert parts is not None
    assert '"attachments":[{"id":7},{"id":0,"filename":"new.png"}]' in parts[0]["value"]


def test_a_client_of_which_nobody_talks_begins_without_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(discord.VoiceClient, "warn_nacl", True)
    monkeypatch.setattr(discord.VoiceClient, "warn_dave", True)

    silence_voice_warnings()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        discord.Client(intents=discord.Intents(guilds=True))

    assert caplog.records == []


def test_files_in_direct_messages_may_be_of_ten_megabytes() -> None:
    assert FILE_LIMIT == 10 * 2**20


async def test_discord_tells_the_commands_that_it_knows(harness: DiscordBot) -> None:
    assert harness.chat is not None

    commands = await fetch_commands(harness.chat.client)

    assert {"imagine", "train"} <= {command["name"] for command in commands}
    assert all(command["integration_types"] for command in commands)
