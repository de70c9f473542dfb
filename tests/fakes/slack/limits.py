"""What Slack takes of each method: how often, with which arguments, and how large they may be.

Sources, as of 2026-11-30: docs.slack.dev/reference/methods/METHOD for arguments and tiers,
docs.slack.dev/apis/web-api/rate-limits for what the tiers are, docs.slack.dev/reference/block-kit for blocks
(blocks.py, elements.py). What no page tells is marked with where it was seen.
"""

import json
import re
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tests.fakes.slack.block_text import JSON
from tests.fakes.slack.blocks import message_problems, view_problems

TIER_2, TIER_3, TIER_4 = 20, 50, 100  # calls of a method a minute
MINUTE = 60.0
LARGEST = 13_200  # characters of all blocks together: seen in public reports of msg_blocks_too_long
TEXT = 4000  # characters of a message's text; what is longer may be cut
FILES = 14  # of one upload: slackapi/python-slack-sdk, issue 1653
METADATA = 8000
NAME = 255
PAGE = 999
ID = re.compile(r"[A-Z][A-Z0-9]{2,20}", re.ASCII)
TS = re.compile(r"\d{10}\.\d{6}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Method:
    """`tier`: how often a minute; 0 is for what is limited in another way."""

    tier: int = 0
    needed: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()


def _method(tier: int, needed: str = "", allowed: str = "") -> Method:
    return Method(tier=tier, needed=frozenset(needed.split()), allowed=frozenset(allowed.split()))


_MESSAGE = "text blocks metadata attachments link_names parse unfurl_links unfurl_media mrkdwn"
_HISTORY = "cursor limit oldest latest inclusive include_all_metadata"
TAKEN: Mapping[str, Method] = MappingProxyType(
    {
        "api.test": _method(0, allowed="error foo"),
        "auth.test": _method(0),  # hundreds a minute
        "auth.teams.list": _method(TIER_2, allowed="cursor limit include_icon"),
        "apps.connections.open": _method(0),  # tier 1, with bursts
        "users.info": _method(TIER_4, "user", "include_locale"),
        "team.info": _method(TIER_3, allowed="team domain"),
        "chat.postMessage": _method(0, "channel", f"{_MESSAGE} thread_ts reply_broadcast"),
        "chat.update": _method(TIER_3, "channel ts", "text blocks metadata link_names parse file_ids"),
        "chat.delete": _method(TIER_3, "channel ts"),
        "chat.postEphemeral": _method(TIER_4, "channel user", "text blocks link_names parse thread_ts"),
        "chat.getPermalink": _method(0, "channel message_ts"),
        "conversations.open": _method(TIER_3, "users", "return_im prevent_creation"),
        "conversations.info": _method(TIER_3, "channel", "include_locale include_num_members"),
        "conversations.history": _method(TIER_3, "channel", _HISTORY),
        "conversations.replies": _method(TIER_3, "channel ts", _HISTORY),
        "conversations.members": _method(TIER_4, "channel", "cursor limit"),
        "views.open": _method(TIER_4, "trigger_id view"),
        "views.push": _method(TIER_4, "trigger_id view"),
        "views.update": _method(TIER_4, "view", "view_id external_id hash"),
        "files.getUploadURLExternal": _method(TIER_4, "filename length", "alt_txt snippet_type"),
        "files.completeUploadExternal": _method(
            TIER_4, "files", "channel_id channels thread_ts initial_comment blocks"
        ),
        "files.info": _method(TIER_4, "file", "cursor limit page count"),
        "files.delete": _method(TIER_3, "file"),
    }
)
RESPONSE = frozenset(["text", "blocks", "response_type", "replace_original", "delete_original", "thread_ts"])


class Tiers:
    """How often each method was called in the last minute."""

    def __init__(self) -> None:
        self._calls: dict[str, deque[float]] = {}

    def wait(self, name: str) -> float:
        """How many seconds this call has to wait; 0.0 when it may pass, and then it counts."""
        method = TAKEN.get(name)
        if method is None or not method.tier:
            return 0.0
        now, calls = time.monotonic(), self._calls.setdefault(name, deque())
        while calls and now - calls[0] >= MINUTE:
            calls.popleft()
        if len(calls) >= method.tier:
            return MINUTE - (now - calls[0])
        calls.append(now)
        return 0.0


def problems(name: str, given: JSON) -> Iterator[str]:
    """What of a call is not as Slack documents it."""
    method = TAKEN.get(name)
    if method is None:
        yield "there is no such method"
        return
    arguments = {key for key, value in given.items() if value is not None} - {"token", "team_id"}
    if missing := method.needed - arguments:
        yield f"it lacks {', '.join(sorted(missing))}"
    if unknown := arguments - method.needed - method.allowed:
        yield f"it takes no {', '.join(sorted(unknown))}"
    yield from _values(given)


def response_problems(given: JSON) -> Iterator[str]:
    """What of an answer to a response_url is not as Slack documents it."""
    if unknown := set(given) - RESPONSE:
        yield f"it takes no {', '.join(sorted(unknown))}"
    if given.get("response_type", "ephemeral") not in ("ephemeral", "in_channel"):
        yield "response_type is neither ephemeral nor in_channel"
    yield from _values(given)


def _values(given: JSON) -> Iterator[str]:
    """What is too large, or written otherwise than Slack writes it."""
    for name in ("channel", "channel_id", "user", "users", "file"):
        if given.get(name) is not None and not ID.fullmatch(str(given[name])):
            yield f"{name} is {given[name]!r}"
    for name in ("ts", "thread_ts", "message_ts"):
        if given.get(name) is not None and not TS.fullmatch(str(given[name])):
            yield f"{name} is {given[name]!r}"
    if len(str(given.get("text") or "")) > TEXT:
        yield f"the text has more than {TEXT} characters"
    if given.get("limit") is not None and not 0 < int(given["limit"]) <= PAGE:
        yield f"limit is {given['limit']}"
    if len(json.dumps(given.get("metadata") or {})) > METADATA:
        yield f"the metadata has more than {METADATA} characters"
    if given.get("blocks"):
        yield from message_problems(given["blocks"], _any)
        if size_of(given["blocks"]) > LARGEST:
            yield f"the blocks have {size_of(given['blocks'])} characters"
    if given.get("view"):
        yield from view_problems(given["view"], _any)
    files = given.get("files") or []
    if len(files) > FILES:
        yield f"{len(files)} files at once"
    for file_name in (given.get("filename"), *(file.get("title") for file in files)):
        if len(str(file_name or "")) > NAME:
            yield f"a file's name has more than {NAME} characters"


def size_of(blocks: object) -> int:
    """The characters of blocks, as far as is known how Slack counts them."""
    return len(json.dumps(blocks, ensure_ascii=False))


def _any(slack_file: JSON) -> bool:
    """Whether a file is ready and may be seen is not the sender's fault."""
    return True
