"""What Slack tells an app of: commands, clicks, sent modals, shortcuts, searches, events."""

import time

from tests.fakes.slack import json_views
from tests.fakes.slack.block_text import JSON
from tests.fakes.slack.platform import Platform
from tests.fakes.slack.world import Channel, Message, User, View


def command(platform: Platform, user: User, channel: Channel, name: str, text: str) -> JSON:
    home = channel.team
    payload: JSON = {
        "token": "verification",
        "team_id": user.team.id,
        "team_domain": user.team.name,
        "channel_id": channel.id,
        "channel_name": channel.name,
        "user_id": user.id,
        "user_name": user.name,
        "command": name,
        "text": escape(text),
        "api_app_id": platform.app_id,
        "is_enterprise_install": str(platform.grid).lower(),
        "response_url": platform.response_url(user, channel),
        "trigger_id": platform.trigger(user),
    }
    if home.enterprise:
        payload |= {"enterprise_id": home.enterprise, "enterprise_name": home.enterprise.lower()}
    return payload


def escape(text: str) -> str:
    """As Slack escapes what people write."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _about(platform: Platform, user: User, kind: str) -> JSON:
    """What all interactions have in common: the team is that of the person, wherever the channel belongs."""
    team = user.team
    enterprise = {"id": team.enterprise, "name": team.enterprise.lower()} if team.enterprise else None
    return {
        "type": kind,
        "token": "verification",
        "action_ts": f"{time.time():.6f}",
        "team": None if platform.grid else json_views.team(team),
        "user": {"id": user.id, "username": user.name, "name": user.name, "team_id": team.id},
        "api_app_id": platform.app_id,
        "enterprise": enterprise,
        "is_enterprise_install": platform.grid,
    }


def click(platform: Platform, user: User, message: Message, action: JSON) -> JSON:
    """block_actions in a message."""
    channel = message.channel
    container: JSON = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": channel.id,
        "is_ephemeral": message.ephemeral,
    }
    if message.thread_ts:
        container["thread_ts"] = message.thread_ts
    shown = json_views.message(platform, message, metadata=True)
    return {
        **_about(platform, user, "block_actions"),
        "container": container,
        "trigger_id": platform.trigger(user),
        "channel": {"id": channel.id, "name": channel.name},
        **({} if message.ephemeral else {"message": shown}),
        "state": {"values": {}},
        "response_url": platform.response_url(user, channel, message),
        "actions": [action],
    }


def click_in_view(platform: Platform, user: User, view: View, action: JSON, state: JSON) -> JSON:
    """block_actions in a modal."""
    return {
        **_about(platform, user, "block_actions"),
        "container": {"type": "view", "view_id": view.id},
        "trigger_id": platform.trigger(user, view.id),
        "view": {**json_views.view(platform, view), "state": state},
        "actions": [action],
    }


def submission(platform: Platform, user: User, view: View, state: JSON) -> JSON:
    return {
        **_about(platform, user, "view_submission"),
        "trigger_id": platform.trigger(user, view.id),
        "view": {**json_views.view(platform, view), "state": state},
        "response_urls": [],
    }


def closing(platform: Platform, user: User, view: View) -> JSON:
    shown = json_views.view(platform, view)
    return {**_about(platform, user, "view_closed"), "view": shown, "is_cleared": False}


def search(platform: Platform, user: User, view: View, element: JSON, value: str) -> JSON:
    """block_suggestion: what was typed into an external select."""
    return {
        **_about(platform, user, "block_suggestion"),
        "container": {"type": "view", "view_id": view.id},
        "action_id": element["action_id"],
        "block_id": element["block_id"],
        "value": value,
        "view": json_views.view(platform, view),
    }


def message_shortcut(platform: Platform, user: User, message: Message, callback_id: str) -> JSON:
    channel = message.channel
    return {
        **_about(platform, user, "message_action"),
        "callback_id": callback_id,
        "trigger_id": platform.trigger(user),
        "response_url": platform.response_url(user, channel, message),
        "channel": {"id": channel.id, "name": channel.name},
        "message_ts": message.ts,
        "message": json_views.message(platform, message, metadata=True),
    }


def shortcut(platform: Platform, user: User, callback_id: str) -> JSON:
    """One that is called from anywhere."""
    trigger = platform.trigger(user)
    return {**_about(platform, user, "shortcut"), "callback_id": callback_id, "trigger_id": trigger}


def event(platform: Platform, channel: Channel | None, content: JSON) -> JSON:
    """An event, wrapped as the Events API does."""
    team = channel.team if channel is not None else platform.home
    shared = channel is not None and bool(channel.shared_with)
    return {
        "token": "verification",
        "team_id": team.id,
        **({"enterprise_id": team.enterprise} if team.enterprise else {}),
        "context_team_id": team.id,
        "context_enterprise_id": team.enterprise,
        "api_app_id": platform.app_id,
        "event": content,
        "type": "event_callback",
        "event_id": platform.world.id("Ev"),
        "event_time": int(time.time()),
        "authorizations": [
            {
                "enterprise_id": team.enterprise,
                "team_id": team.id,
                "user_id": team.bot,
                "is_bot": True,
                "is_enterprise_install": platform.grid,
            }
        ],
        "is_ext_shared_channel": shared,
        "event_context": platform.world.id("4-"),
    }


def reaction(platform: Platform, user: User, message: Message, name: str, *, added: bool) -> JSON:
    channel = message.channel
    content: JSON = {
        "type": "reaction_added" if added else "reaction_removed",
        "user": user.id,
        "reaction": name,
        "item": {"type": "message", "channel": channel.id, "ts": message.ts},
        "item_user": message.user,
        "event_ts": platform.world.ts(),
    }
    if channel.shared_with:
        content["user_team"] = user.team.id
    return event(platform, channel, content)
