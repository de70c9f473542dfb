"""conversations.*: what stands in a channel, and conversations with one person."""

from tests.fakes.slack import json_views
from tests.fakes.slack.block_text import JSON
from tests.fakes.slack.platform import Platform, Refused
from tests.fakes.slack.world import Channel, Message

PAGE = 100


def open_direct(platform: Platform, given: JSON) -> JSON:
    user = platform.world.users.get(str(given.get("users")))
    if user is None:
        raise Refused("user_not_found")
    if user.closed:
        raise Refused("cannot_dm_bot")
    return {"channel": {"id": platform.world.direct(user).id}}


def info(platform: Platform, given: JSON) -> JSON:
    channel = platform.channel(given, member=False)
    platform.check_scope(_scope(channel, "read"))
    return {
        "channel": {
            "id": channel.id,
            "name": channel.name,
            "is_channel": not channel.private and channel.direct_with is None,
            "is_im": channel.direct_with is not None,
            "is_mpim": channel.group,
            "is_private": channel.private,
            "is_archived": channel.archived,
            "is_member": channel.member,
            "is_ext_shared": bool(channel.shared_with),
            "context_team_id": channel.team.id,
        }
    }


def history(platform: Platform, given: JSON) -> JSON:
    channel = platform.channel(given)
    platform.check_scope(_scope(channel, "history"))
    messages = [message for message in reversed(channel.messages) if _within(message, given)]
    return _page(platform, messages, given)


def replies(platform: Platform, given: JSON) -> JSON:
    channel = platform.channel(given)
    platform.check_scope(_scope(channel, "history"))
    start = channel.find(given.get("ts"))
    if start is None:
        raise Refused("thread_not_found")
    parent = channel.find(start.thread_ts) or start
    messages = [parent, *(reply for reply in parent.thread if not reply.deleted and _within(reply, given))]
    return _page(platform, messages, given)


def members(platform: Platform, given: JSON) -> JSON:
    channel = platform.channel(given, member=False)
    platform.check_scope(_scope(channel, "read"))
    return {"members": [user.id for user in platform.world.users.values() if user.team is channel.team]}


def _page(platform: Platform, messages: list[Message], given: JSON) -> JSON:
    limit = int(given.get("limit") or PAGE)
    start = int(given.get("cursor") or 0)
    with_metadata = str(given.get("include_all_metadata", "")).lower() in ("1", "true")
    shown = [
        json_views.message(platform, message, metadata=with_metadata)
        for message in messages[start : start + limit]
    ]
    more = len(messages) > start + limit
    cursor = {"next_cursor": str(start + limit) if more else ""}
    return {"messages": shown, "has_more": more, "response_metadata": cursor}


def _within(message: Message, given: JSON) -> bool:
    """oldest and latest are left out, unless they are inclusive."""
    ts, inclusive = _number(message.ts), str(given.get("inclusive", "")).lower() in ("1", "true")
    oldest = _number(str(given.get("oldest") or "0"))
    latest = _number(str(given.get("latest") or "9999999999"))
    return oldest < ts < latest or (inclusive and ts in (oldest, latest))


def _number(ts: str) -> tuple[int, str]:
    whole, _, rest = ts.partition(".")
    return int(whole), rest.ljust(6, "0")


def _scope(channel: Channel, what: str) -> str:
    if channel.direct_with is not None:
        return f"im:{what}"
    if channel.group:
        return f"mpim:{what}"
    return f"groups:{what}" if channel.private else f"channels:{what}"
