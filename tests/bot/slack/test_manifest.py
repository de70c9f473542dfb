"""The app manifest: what Slack is told of the app is what the bot does."""

from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from bot.__main__ import main
from bot.chats.slack.manifest import EVENTS, SCOPES, SHORTCUTS, manifest
from bot.chats.slack.slash_names import SLASH, SlashNames, word_of
from commands.registry import COMMANDS, GROUPS
from tests.bot.slack.harness import Atelier

DOCUMENT = Path(__file__).parents[3] / "docs" / "slack-manifest.yaml"
# commands of Slack's own, which no app may have
RESERVED = frozenset(
    {"feed", "invite", "join", "leave", "me", "msg", "open", "remind", "remove", "rename"}
) | {
    *("search", "shortcuts", "star", "status", "topic", "who", "away", "archive", "collapse", "expand", "dnd")
}


@pytest.fixture
def app() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(manifest())
    return read


def test_the_file_to_paste_is_made_from_the_definitions() -> None:
    assert DOCUMENT.read_text() == manifest(), "python -m bot slack-manifest > docs/slack-manifest.yaml"


def test_every_command_is_a_slash_command_with_its_help(app: dict[str, Any]) -> None:
    descriptions = {
        command["command"]: command["description"] for command in app["features"]["slash_commands"]
    }

    alone = {word: COMMANDS[word].help for word in SLASH.values() if word not in GROUPS}
    assert descriptions == {slash: {**GROUPS, **alone}[word] for slash, word in SLASH.items()}
    assert set(SLASH.values()) == {command.group or name for name, command in COMMANDS.items()}
    assert not {f"/{name}" for name in RESERVED} & set(SLASH)


def test_a_hint_says_what_may_follow_a_command(app: dict[str, Any]) -> None:
    hints = {
        command["command"]: command.get("usage_hint", "") for command in app["features"]["slash_commands"]
    }

    assert hints["/imagine"].startswith("[prompt] [--no ...] [--lora ...] [--steps ...]")
    assert "--pictures" not in hints["/train"] and "--precision" not in hints["/train"]
    assert hints["/queue"] == ""


def test_everything_fits_where_slack_shows_it(app: dict[str, Any]) -> None:
    about, features = app["display_information"], app["features"]

    assert len(about["name"]) <= 35
    assert len(about["description"]) <= 140
    assert 174 <= len(about["long_description"]) <= 4000
    assert len(features["slash_commands"]) <= 50
    for shortcut in features["slash_commands"]:
        assert len(shortcut["command"]) <= 32 and len(shortcut["description"]) <= 2000
        assert len(shortcut.get("usage_hint", "")) <= 1000
    assert len(features["shortcuts"]) <= 10
    for shortcut in features["shortcuts"]:
        assert (
            shortcut["type"] == "message"
            and len(shortcut["name"]) <= 24
            and len(shortcut["description"]) <= 150
        )


def test_scopes_events_and_shortcuts_are_those_of_the_bot(app: dict[str, Any]) -> None:
    assert app["oauth_config"]["scopes"]["bot"] == list(SCOPES)
    assert app["settings"]["event_subscriptions"] == {"bot_events": list(EVENTS)}
    assert {
        shortcut["callback_id"]: shortcut["name"] for shortcut in app["features"]["shortcuts"]
    } == SHORTCUTS
    assert app["settings"]["socket_mode_enabled"] is True


def test_in_http_mode_everything_goes_to_one_address() -> None:
    url = "https://atelier.example/slack/events"

    app = yaml.safe_load(manifest(url))

    settings = app["settings"]
    assert settings["socket_mode_enabled"] is False
    assert settings["event_subscriptions"]["request_url"] == url
    assert settings["interactivity"]["request_url"] == url
    assert settings["interactivity"]["message_menu_options_url"] == url
    assert {command["url"] for command in app["features"]["slash_commands"]} == {url}


def test_a_prefix_keeps_the_commands_apart_from_those_of_other_apps() -> None:
    app = yaml.safe_load(manifest(prefix="art"))

    names = [command["command"] for command in app["features"]["slash_commands"]]
    assert names == [f"/art-{slash.removeprefix('/')}" for slash in SLASH]
    assert [word_of(name) for name in names] == list(SLASH.values())
    assert all(len(name) <= 32 for name in names)


def test_a_prefix_is_asked_for_by_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["slack-manifest", "--prefix", "art"]) == 0
    assert "command: /art-imagine" in capsys.readouterr().out
    assert main(["slack-manifest", "--prefix", "Art!"]) == 2
    assert "The prefix must have 1 to 16 characters of a-z and 0-9, not 'Art!'." in capsys.readouterr().err


async def test_what_is_said_with_a_prefix_is_understood(atelier: Atelier) -> None:
    await atelier.says(atelier.ana, "/art-imagine", "a red fox --steps 2")
    heard = await atelier.says(atelier.ana, "/art-mine")

    assert "Your usage here, ana:" in heard.words
    await atelier.shows(lambda message: "Painted in" in message.words)


async def test_texts_name_commands_as_slack_knows_them(atelier: Atelier) -> None:
    plain = await atelier.says(atelier.ana, "/help", "me")
    prefixed = await atelier.says(atelier.ana, "/art-help", "me")
    form = await atelier.says(atelier.ana, "/art-imagine", "")

    await atelier.slack.until(lambda: "/mine" in plain.words)
    await atelier.slack.until(lambda: "/art-mine" in prefixed.words)
    assert form.view is not None and form.view.view["title"]["text"] == "/art-imagine"


def test_commands_are_renamed_in_sentences_and_nowhere_else() -> None:
    names = SlashNames("art")

    assert names.rename("/lora import, then /me.") == "/art-lora import, then /art-mine."
    for text in ("and/or", "/imagineer", "https://x.example/me", "/art-imagine", "a/show"):
        assert names.rename(text) == text
    assert SlashNames().rename("/me or '/imagine a fox'") == "/mine or '/imagine a fox'"
