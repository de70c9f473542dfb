"""chat.*: messages for a channel, for one person in it, changed and deleted."""

import json
import time
from functools import partial

from tests.fakes.slack import json_views
from tests.fakes.slack.block_text import JSON
from tests.fakes.slack.blocks import KnownFile, message_problems
from tests.fakes.slack.limits import LARGEST, METADATA, size_of
from tests.fakes.slack.platform import Platform, Refused
from tests.fakes.slack.world import Channel, File, Message, User, Version

LONGEST = 40000


def post(platform: Platform, given: JSON) -> JSON:
    public = "chat:write.public" in platform.scopes
    channel = platform.channel(given, member=not public)
    message = make_message(platform, channel, given)
    message.metadata = _metadata(given)
    message.thread_ts = given.get("thread_ts") or None
    channel.post(message)
    shown = json_views.message(platform, message, metadata=True)
    return {"channel": channel.id, "ts": message.ts, "message": shown}


def post_ephemeral(platform: Platform, given: JSON) -> JSON:
    channel = platform.channel(given)
    user = platform.world.users.get(str(given.get("user")))
    if user is None:
        raise Refused("user_not_in_channel")
    message = make_message(platform, channel, given, reader=user)
    message.shown_to = user
    message.thread_ts = given.get("thread_ts")
    platform.world.ephemerals.append(message)
    return {"message_ts": message.ts}


def update(platform: Platform, given: JSON) -> JSON:
    channel = platform.channel(given)
    message = channel.find(given.get("ts"))
    if message is None:
        raise Refused("message_not_found")
    if message.user != channel.team.bot:
        raise Refused("cant_update_message")
    change_message(platform, message, given)
    if "metadata" in given:
        message.metadata = _metadata(given)
    if "file_ids" in given:
        message.files = [_file(platform, file_id) for file_id in given["file_ids"]]
    shown = json_views.message(platform, message)
    return {"channel": channel.id, "ts": message.ts, "text": message.text, "message": shown}


def delete(platform: Platform, given: JSON) -> JSON:
    channel = platform.channel(given)
    message = channel.find(given.get("ts"))
    if message is None:
        raise Refused("message_not_found")
    if message.user != channel.team.bot:
        raise Refused("cant_delete_message")
    message.deleted = True
    return {"channel": channel.id, "ts": message.ts}


def permalink(platform: Platform, given: JSON) -> JSON:
    channel = platform.channel(given)
    if channel.find(given.get("message_ts")) is None:
        raise Refused("message_not_found")
    name = str(given["message_ts"]).replace(".", "")
    return {"channel": channel.id, "permalink": f"https://example.test/archives/{channel.id}/p{name}"}


def make_message(platform: Platform, channel: Channel, given: JSON, reader: User | None = None) -> Message:
    """A new message of the bot, not posted yet; `reader` is who alone will see it."""
    check_content(given, partial(platform.shows, channel=channel, reader=reader))
    blocks = with_ids(platform, given.get("blocks") or [])
    message = Message(channel, platform.world.ts(), channel.team.bot, str(given.get("text") or ""), blocks)
    message.versions.append(Version(at=time.monotonic(), text=message.text, blocks=message.blocks))
    return message


def change_message(platform: Platform, message: Message, given: JSON) -> None:
    """The message says something else now; blocks that are not given stay."""
    check_content(given, partial(platform.shows, channel=message.channel), otherwise=message.blocks)
    if "text" in given:
        message.text = str(given["text"] or "")
    if given.get("blocks") is not None:
        message.blocks = with_ids(platform, given["blocks"])
    message.edits += 1
    message.versions.append(Version(at=time.monotonic(), text=message.text, blocks=message.blocks))


def check_content(given: JSON, shows: KnownFile, otherwise: object = None) -> None:
    """Raises Refused when Slack would not take what the message says."""
    text, blocks = given.get("text"), given.get("blocks")
    if not text and not blocks and not otherwise:
        raise Refused("no_text")
    if text is not None and len(str(text)) > LONGEST:
        raise Refused("msg_too_long")
    if blocks and size_of(blocks) > LARGEST:
        raise Refused("msg_blocks_too_long")
    problems = message_problems(blocks, shows) if blocks else []
    if problems:
        messages = [f"[ERROR] {problem}" for problem in problems]
        raise Refused("invalid_blocks", errors=problems, response_metadata={"messages": messages})


def with_ids(platform: Platform, blocks: list[JSON]) -> list[JSON]:
    """The blocks, each with an id; elements get one too, as Slack gives it."""
    done = []
    for block in blocks:
        copy: JSON = json.loads(json.dumps(block))
        copy.setdefault("block_id", platform.world.id("b"))
        for item in [*copy.get("elements", ()), copy.get("accessory"), copy.get("element")]:
            if isinstance(item, dict) and item.get("type") not in ("mrkdwn", "plain_text", "image"):
                item.setdefault("action_id", platform.world.id("a"))
        done.append(copy)
    return done


def _metadata(given: JSON) -> JSON | None:
    metadata = given.get("metadata")
    if not metadata:
        return None
    if not isinstance(metadata, dict) or not {"event_type", "event_payload"} <= set(metadata):
        raise Refused("invalid_metadata_format")
    if len(json.dumps(metadata)) > METADATA:
        raise Refused("metadata_too_large")
    return metadata


def _file(platform: Platform, file_id: str) -> File:
    file = platform.world.files.get(file_id)
    if file is None:
        raise Refused("file_not_found")
    return file
