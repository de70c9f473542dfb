"""What Discord says that requests may hold, as a table of our own: all that the bot asks is held against it.

Source, as of 2026-11-30: Discord's developer documentation (Message, Channel, Interactions, Components,
Application Commands), with the types of API v10. What is in no row is asked by no bot of ours.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.fakes.discord.rules import INVALID
from tests.fakes.faults import Call

SNOWFLAKE = re.compile(r"[0-9]{15,20}")
COUNTS = (60, 1440, 4320, 10080)  # minutes after which a thread goes into the archive


@dataclass(frozen=True)
class Text:
    """Letters, so many."""

    most: int
    least: int = 0


@dataclass(frozen=True)
class Number:
    """An integer or, with `real`, any number."""

    least: float
    most: float
    real: bool = False


@dataclass(frozen=True)
class Many:
    """A list of these."""

    of: "Rule"
    most: int
    least: int = 0


@dataclass(frozen=True)
class Value:
    """One of these."""

    among: tuple[Any, ...]


@dataclass(frozen=True)
class Id:
    """A snowflake: a string of digits, or with `small` the number of a file that comes along."""

    small: bool = False


Rule = Text | Number | Many | Value | Id | Mapping[str, Any] | None
FLAG, KIND, URL = Value((True, False)), Number(0, 1 << 53), Text(2048)
ID, NAMES = Text(100, 1), {"*": Text(100)}
EMOJI = {"id": Id(), "name": Text(100), "animated": FLAG}
MEDIA = {"url": URL, "proxy_url": URL, "width": KIND, "height": KIND}
EMBED = {
    "type": Value(("rich",)),
    "title": Text(256),
    "description": Text(4096),
    "url": URL,
    "timestamp": Text(64),
    "color": Number(0, 0xFFFFFF),
    "flags": KIND,
    "footer": {"text": Text(2048, 1), "icon_url": URL},
    "image": MEDIA,
    "thumbnail": MEDIA,
    "author": {"name": Text(256, 1), "url": URL, "icon_url": URL},
    "fields": Many({"name": Text(256, 1), "value": Text(1024, 1), "inline": FLAG}, 25),
}
CHOICE = {"label": Text(100, 1), "value": Text(100, 1), "description": Text(100), "default": FLAG}
COMPONENT: dict[str, Any] = {
    "type": Number(1, 23),
    "id": Number(0, (1 << 32) - 1),
    "style": Number(1, 6),
    "label": Text(80),
    "emoji": EMOJI,
    "custom_id": ID,
    "url": Text(512),
    "disabled": FLAG,
    "options": Many({**CHOICE, "emoji": EMOJI}, 25),
    "placeholder": Text(150),
    "min_values": Number(0, 25),
    "max_values": Number(1, 25),
    "min_length": Number(0, 4000),
    "max_length": Number(1, 4000),
    "required": FLAG,
    "value": Text(4000),
    "description": Text(100),
    "default": FLAG,
}
COMPONENT["components"] = Many(COMPONENT, 10)
COMPONENT["component"] = COMPONENT
KINDS = ("users", "roles", "everyone")
MENTIONS = {"parse": Many(Value(KINDS), 3), "users": Many(Id(), 100), "roles": Many(Id(), 100)}
FILE = {"id": Id(small=True), "filename": Text(260, 1), "description": Text(1024), "title": Text(1024)}
MESSAGE = {
    "content": Text(2000),
    "tts": FLAG,
    "nonce": Text(25),
    "enforce_nonce": FLAG,
    "embeds": Many(EMBED, 10),
    "components": Many(COMPONENT, 5),
    "attachments": Many(FILE, 10),
    "allowed_mentions": MENTIONS | {"replied_user": FLAG},
    "flags": KIND,
}
ANSWER = MESSAGE | {
    "choices": Many({"name": Text(100, 1), "value": Text(100), "name_localizations": NAMES}, 25),
    "custom_id": ID,
    "title": Text(45, 1),
}
OPTION: dict[str, Any] = {
    "type": Number(1, 11),
    "name": Text(32, 1),
    "description": Text(100, 1),
    "required": FLAG,
    "choices": Many({"name": Text(100, 1), "value": Text(100)}, 25),
    "autocomplete": FLAG,
    "min_value": Number(-(1 << 53), 1 << 53, real=True),
    "max_value": Number(-(1 << 53), 1 << 53, real=True),
    "min_length": Number(0, 6000),
    "max_length": Number(1, 6000),
    "channel_types": Many(KIND, 20),
    "name_localizations": NAMES,
    "description_localizations": NAMES,
}
OPTION["options"] = Many(OPTION, 25)
COMMAND = {
    "type": Number(1, 4),
    "name": Text(32, 1),
    "description": Text(100),
    "options": Many(OPTION, 25),
    "default_member_permissions": Number(0, 1 << 53),
    "dm_permission": FLAG,
    "nsfw": FLAG,
    "contexts": Many(Number(0, 2), 3),
    "integration_types": Many(Number(0, 1), 2),
    "name_localizations": NAMES,
    "description_localizations": NAMES,
}
THREAD = {
    "name": Text(100, 1),
    "auto_archive_duration": Value(COUNTS),
    "rate_limit_per_user": Number(0, 21600),
    "type": Number(10, 12),
    "invitable": FLAG,
}
A, HOOK = r"/channels/\d+", r"/webhooks/\d+/[^/]+"
ROUTES: tuple[tuple[str, str, Rule], ...] = (
    ("GET", r"/users/(@me|\d+)", None),
    ("GET", r"/(oauth2/)?applications/@me", None),
    ("GET", r"/gateway(/bot)?", None),
    ("GET", r"/guilds/\d+(/members/\d+)?", None),
    ("GET", r"/applications/\d+/commands", None),
    ("PUT", r"/applications/\d+/commands", Many(COMMAND, 130)),
    ("POST", r"/users/@me/channels", {"recipient_id": Id()}),
    ("GET", A, None),
    ("PATCH", A, THREAD | {"archived": FLAG, "locked": FLAG}),
    ("DELETE", A, None),
    ("PUT", rf"{A}/thread-members/\d+", None),
    ("GET", rf"{A}/messages(/\d+)?", None),
    ("POST", rf"{A}/messages", MESSAGE),
    ("PATCH", rf"{A}/messages/\d+", MESSAGE),
    ("DELETE", rf"{A}/messages/\d+", None),
    ("POST", rf"{A}/messages/\d+/threads", THREAD),
    ("POST", r"/interactions/\d+/[^/]+/callback", {"type": Number(1, 12), "data": ANSWER}),
    ("POST", HOOK, MESSAGE),
    ("GET", rf"{HOOK}/messages/(@original|\d+)", None),
    ("PATCH", rf"{HOOK}/messages/(@original|\d+)", MESSAGE),
    ("DELETE", rf"{HOOK}/messages/(@original|\d+)", None),
)


def breaches(record: Iterable[Call]) -> list[str]:
    """What of all these calls Discord's documents do not allow."""
    return [f"{call.method} {call.path}: {what}" for call in record for what in _of_call(call)]


def _of_call(call: Call) -> Iterator[str]:
    rules = [rule for method, path, rule in ROUTES if method == call.method and re.fullmatch(path, call.path)]
    if not rules:
        yield "there is no such route"
        return
    if call.code == INVALID and call.fault is None:
        yield "the fake refused it as it stands"
    if len(call.files) > 10:
        yield "there are more than 10 files"
    if rules[0] is None:
        if call.json:
            yield f"it takes no body, and has {call.json!r}"
    else:
        yield from _of(call.json, rules[0], "")


def _of(value: Any, rule: Rule, where: str) -> Iterator[str]:
    """What is wrong with a value; null is as good as nothing."""
    match rule:
        case _ if value is None:
            return
        case Text():
            if not isinstance(value, str) or not rule.least <= len(value) <= rule.most:
                yield f"{where} is no text of {rule.least} to {rule.most}: {value!r}"
        case Number():
            kinds = (int, float) if rule.real else (int,)
            if (
                isinstance(value, bool)
                or not isinstance(value, kinds)
                or not rule.least <= value <= rule.most
            ):
                yield f"{where} is no number of {rule.least} to {rule.most}: {value!r}"
        case Value():
            if value not in rule.among:
                yield f"{where} is none of {rule.among}: {value!r}"
        case Id():
            small = rule.small and isinstance(value, int) and 0 <= value < 10
            if not small and not SNOWFLAKE.fullmatch(str(value)):
                yield f"{where} is no id: {value!r}"
        case Many():
            if not isinstance(value, list) or not rule.least <= len(value) <= rule.most:
                yield f"{where} is no list of {rule.least} to {rule.most}"
                return
            for number, item in enumerate(value):
                yield from _of(item, rule.of, f"{where}[{number}]")
        case Mapping():
            yield from _of_object(value, rule, where)


def _of_object(value: Any, rule: Mapping[str, Any], where: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{where} is no object: {value!r}"
        return
    for name, item in value.items():
        if name not in rule and "*" not in rule:
            yield f"{where}.{name} is not known"
        else:
            yield from _of(item, rule.get(name, rule.get("*")), f"{where}.{name}")
