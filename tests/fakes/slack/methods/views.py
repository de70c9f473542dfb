"""views.*: modals, opened by a trigger, then changed."""

import time
from functools import partial

from tests.fakes.slack import json_views
from tests.fakes.slack.block_text import JSON
from tests.fakes.slack.blocks import view_problems
from tests.fakes.slack.methods.chat import with_ids
from tests.fakes.slack.platform import TRIGGER_SECONDS, Platform, Refused, Trigger
from tests.fakes.slack.world import User, View


def open_view(platform: Platform, given: JSON) -> JSON:
    trigger = _trigger(platform, given)
    content = check_view(platform, given.get("view"), trigger.user)
    trigger.used = True
    return {"view": json_views.view(platform, add(platform, trigger, str(given["trigger_id"]), content))}


def push(platform: Platform, given: JSON) -> JSON:
    trigger = _trigger(platform, given)
    before = platform.world.views.get(trigger.view_id or "")
    if before is None:
        raise Refused("invalid_trigger_id")
    content = check_view(platform, given.get("view"), trigger.user)
    trigger.used = True
    view = add(platform, trigger, str(given["trigger_id"]), content)
    view.previous = before
    return {"view": json_views.view(platform, view)}


def update(platform: Platform, given: JSON) -> JSON:
    by_id = platform.world.views.get(str(given.get("view_id")))
    named = given.get("external_id")
    view = by_id or next(
        (view for view in platform.world.views.values() if named and view.view.get("external_id") == named),
        None,
    )
    if view is None or view.closed:
        raise Refused("not_found")
    if given.get("hash") and given["hash"] != view.hash:
        raise Refused("hash_conflict")
    change(platform, view, given.get("view"))
    return {"view": json_views.view(platform, view)}


def change(platform: Platform, view: View, content: object) -> None:
    """The view looks like this now."""
    view.view = check_view(platform, content, view.user)
    view.hash = platform.world.id("hash-")
    view.updates += 1


def add(platform: Platform, trigger: Trigger, trigger_id: str | None, content: JSON) -> View:
    view = View(platform.world.id("V"), trigger.user, content, platform.world.id("hash-"), trigger_id)
    platform.world.views[view.id] = view
    return view


def check_view(platform: Platform, content: object, user: User) -> JSON:
    """The view with ids for its blocks. Raises Refused when Slack would not open it."""
    if not isinstance(content, dict):
        raise Refused("invalid_arguments")
    problems = view_problems(content, partial(platform.shows, channel=None, reader=user))
    if problems:
        messages = [f"[ERROR] {problem}" for problem in problems]
        raise Refused("invalid_arguments", response_metadata={"messages": messages})
    return {**content, "blocks": with_ids(platform, content["blocks"])}


def _trigger(platform: Platform, given: JSON) -> Trigger:
    trigger = platform.triggers.get(str(given.get("trigger_id")))
    if trigger is None:
        raise Refused("invalid_trigger_id")
    if trigger.used:
        raise Refused("exchanged_trigger_id")
    if time.monotonic() - trigger.at > TRIGGER_SECONDS:
        raise Refused("expired_trigger_id")
    return trigger
