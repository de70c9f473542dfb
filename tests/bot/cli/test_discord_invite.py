"""The link that brings the bot into a guild: computed, complete, and made on this machine alone."""

import base64
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from bot.__main__ import main
from bot.chats.discord.permissions import ASKED_PERMISSIONS, bot_permissions
from bot.chats.slack.manifest import SCOPES
from bot.cli.exit_status import BAD_INPUT, FINE

DOCUMENT = Path(__file__).parents[3] / "docs/discord.md"
ID = "112233445566778899"


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISCORD_TOKEN", raising=False)


def query_of(link: str) -> dict[str, list[str]]:
    assert link.startswith("https://discord.com/oauth2/authorize?")
    return parse_qs(urlsplit(link.strip()).query)


def test_the_link_asks_for_what_the_bot_uses(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["discord-invite", ID]) == FINE

    parameters = query_of(capsys.readouterr().out)
    assert parameters["client_id"] == [ID]
    assert parameters["scope"] == ["bot applications.commands"]
    assert int(parameters["permissions"][0]) == (
        (1 << 10) | (1 << 11) | (1 << 14) | (1 << 15) | (1 << 16) | (1 << 34) | (1 << 35) | (1 << 38)
    )


def test_the_token_tells_whose_link_it_is_and_is_not_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = base64.urlsafe_b64encode(ID.encode()).decode().rstrip("=")
    monkeypatch.setenv("DISCORD_TOKEN", f"{first}.GhIjKl.a-secret-of-the-bot")

    assert main(["discord-invite"]) == FINE

    link = capsys.readouterr().out
    assert query_of(link)["client_id"] == [ID]
    assert "secret" not in link and first not in link


@pytest.mark.parametrize("token", ["", "nonsense", "Zm94.b.c", "ünïcode.b.c", "...."])
def test_without_an_id_or_a_token_it_says_what_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("DISCORD_TOKEN", token)

    assert main(["discord-invite"]) == BAD_INPUT
    output = capsys.readouterr()
    assert output.err == (
        "Name the application id, such as discord-invite 112233445566778899, or set DISCORD_TOKEN.\n"
    )
    assert output.out == ""


def test_what_is_no_id_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["discord-invite", "my-bot"]) == BAD_INPUT
    assert "There is no application id 'my-bot'" in capsys.readouterr().err


def test_the_document_names_each_permission_and_their_number() -> None:
    text = DOCUMENT.read_text()

    assert [label for label in ASKED_PERMISSIONS.values() if label not in text] == []
    assert str(bot_permissions().value) in text


def test_the_document_for_slack_names_each_scope() -> None:
    text = DOCUMENT.with_name("slack.md").read_text()

    assert [scope for scope, use in SCOPES.items() if f"| `{scope}` | {use} |" not in text] == []


def test_help_tells_of_both_programs(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["help"], ["discord-invite", "--help"], ["slack-manifest", "--help"]):
        assert main(words) == FINE
        assert words[0].removesuffix("help") in capsys.readouterr().out


def test_the_manifest_is_printed_as_it_is_pasted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["slack-manifest"]) == FINE
    assert capsys.readouterr().out == DOCUMENT.with_name("slack-manifest.yaml").read_text()

    assert main(["slack-manifest", "https://atelier.example/slack"]) == FINE
    assert "https://atelier.example/slack" in capsys.readouterr().out
    assert main(["slack-manifest", "atelier.example"]) == BAD_INPUT
