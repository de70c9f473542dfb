"""The app manifest: commands, shortcuts, scopes and events, in one file to paste into Slack."""

import json
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from bot.chats.slack.slash_names import SLASH, SlashNames, with_prefix
from commands.forms import definition
from commands.registry import COMMANDS, GROUPS, members
from commands.syntax.spec import UPLOADED, Command

TRAIN_ON_THESE = "train_on_these"
PAINT_LIKE_THIS = "paint_like_this"
PAINT_FROM_THIS = "paint_from_this"


SHORTCUTS: Mapping[str, str] = MappingProxyType(  # in the menu of a message: callback id -> name
    {
        PAINT_LIKE_THIS: "Paint like this",
        PAINT_FROM_THIS: "Paint from this",
        TRAIN_ON_THESE: "Train on these pictures",
    }
)
ABOUT: Mapping[str, str] = MappingProxyType(
    {
        PAINT_LIKE_THIS: "Paint this picture again, after changing its recipe.",
        PAINT_FROM_THIS: "Start a picture from the one in this message.",
        TRAIN_ON_THESE: "Train a LoRA on the pictures in a message of your own.",
    }
)
# Each with what needs it; nothing here reads what people write to each other except the bot's own messages.
SCOPES: Mapping[str, str] = MappingProxyType(
    {
        "commands": "the slash commands and the shortcuts",
        "chat:write": "cards, and answers that only one person sees",
        "files:write": "painted pictures",
        "files:read": "pictures that people train on or start from, and whether an upload has arrived",
        "reactions:read": "reactions under a card",
        "users:read": "names, and who is an admin",
        "im:write": "the full-size file, sent to one person",
        "channels:read": "what kind of channel a command was said in",
        "groups:read": "the same of a private channel",
        "im:read": "the same of a conversation with one person",
        "mpim:read": "the same of a conversation of several people",
        "channels:history": "whether a card stands in a channel already, after a connection broke",
        "groups:history": "the same in a private channel",
        "im:history": "the same in a conversation with one person",
        "mpim:history": "the same in a conversation of several people",
    }
)
EVENTS = ("reaction_added", "reaction_removed", "app_uninstalled")
LONG = (
    "Atelier paints pictures from words with Stable Diffusion XL and learns people, things and styles from"
    " your pictures. /imagine paints, /train teaches, and every picture keeps its recipe: the words, the"
    " seed and all settings, so that you can paint it again, change it or go on from it."
)
HINT = 1000  # characters that Slack takes for a usage hint
PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_/.-]*(?:[ :][A-Za-z0-9_/.-]+)*", re.ASCII)
WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})  # YAML reads them otherwise


def manifest(request_url: str = "", prefix: str = "") -> str:
    """The manifest in YAML, for Socket Mode; with the address of the bot's server, for HTTP mode.

    prefix: what its commands begin with, where another app has commands of the same names.
    """
    return "\n".join(_lines(_app(request_url, prefix))) + "\n"


def _app(url: str, prefix: str) -> dict[str, Any]:
    address = {"request_url": url} if url else {}
    options = {"message_menu_options_url": url} if url else {}
    return {
        "_metadata": {"major_version": 1, "minor_version": 1},
        "display_information": {
            "name": "Atelier",
            "description": "Paints with Stable Diffusion XL and learns from your pictures.",
            "long_description": SlashNames(prefix).rename(LONG),
            "background_color": "#26233a",
        },
        "features": {
            "app_home": {
                "home_tab_enabled": False,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "bot_user": {"display_name": "atelier", "always_online": True},
            "shortcuts": [_shortcut(callback_id, name) for callback_id, name in SHORTCUTS.items()],
            "slash_commands": [
                _slash(with_prefix(slash, prefix), word, url) for slash, word in SLASH.items()
            ],
        },
        "oauth_config": {"scopes": {"bot": list(SCOPES)}},
        "settings": {
            "event_subscriptions": {**address, "bot_events": list(EVENTS)},
            "interactivity": {"is_enabled": True, **address, **options},
            "org_deploy_enabled": True,
            "socket_mode_enabled": not url,
            "token_rotation_enabled": False,
        },
    }


def _shortcut(callback_id: str, name: str) -> dict[str, Any]:
    about = ABOUT[callback_id]
    return {"name": name, "type": "message", "callback_id": callback_id, "description": about}


def _slash(slash: str, word: str, url: str) -> dict[str, Any]:
    if word in GROUPS:
        about, hint = GROUPS[word], " | ".join(command.name.partition(" ")[2] for command in members(word))
    else:
        about, hint = COMMANDS[word].help, _hint(COMMANDS[word])
    return {
        "command": slash,
        **({"url": url} if url else {}),
        "description": about,
        **({"usage_hint": hint} if hint else {}),
        "should_escape": False,
    }


def _hint(command: Command[..., Any]) -> str:
    """What may follow: "[prompt] [--steps ...]", without what is for those who know, or is no text."""
    hint = ""
    for parameter in definition(command)["parameters"]:
        if parameter["more"] or parameter["type"] in {"hidden", *UPLOADED}:
            continue
        written = parameter["flags"][0] if parameter["flags"] else parameter["label"]
        dots = "" if not parameter["flags"] or parameter["type"] == "boolean" else " ..."
        longer = f"{hint} [{written}{dots}]".strip()
        if len(longer) > HINT:
            break
        hint = longer
    return hint


def _lines(content: Mapping[str, Any] | list[Any], indent: str = "") -> Iterator[str]:
    """A mapping or a list as lines of YAML."""
    if isinstance(content, list):
        for item in content:
            if isinstance(item, dict):
                first, *rest = _lines(item, indent + "  ")
                yield f"{indent}- {first.strip()}"
                yield from rest
            else:
                yield f"{indent}- {_scalar(item)}"
        return
    for name, value in content.items():
        if isinstance(value, dict | list):
            yield f"{indent}{name}:"
            yield from _lines(value, indent + "  ")
        else:
            yield f"{indent}{name}: {_scalar(value)}"


def _scalar(value: str | int | bool) -> str:
    if isinstance(value, str) and PLAIN.fullmatch(value) and value.lower() not in WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)
