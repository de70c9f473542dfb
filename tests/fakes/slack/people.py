"""What people do in a Slack: say, press, fill in, search, react."""

import time
from collections.abc import Mapping
from typing import Any

from tests.fakes.slack import emoji, payloads
from tests.fakes.slack.block_text import JSON
from tests.fakes.slack.elements import option
from tests.fakes.slack.loopback import Loopback
from tests.fakes.slack.methods import views
from tests.fakes.slack.modal_state import state
from tests.fakes.slack.platform import Response, Trigger
from tests.fakes.slack.results import Choice, Heard
from tests.fakes.slack.server import answer
from tests.fakes.slack.world import Channel, Message, User, View


class People(Loopback):
    """Each of these tells the app, and waits until it has acknowledged."""

    async def command(self, user: User, channel: Channel, name: str, text: str = "") -> Heard:
        """Say "/imagine" and what follows it."""
        payload = payloads.command(self.platform, user, channel, name, text)
        return await self._interact(user, "slash_commands", payload, channel)

    async def act(
        self,
        user: User,
        place: Message | View,
        action_id: str,
        value: str | None = None,
        *,
        forged: bool = False,
    ) -> Heard:
        """Press a button or choose in a menu; `forged` sends one that is not there."""
        action = {"type": "button", "action_id": action_id, "block_id": "forged", "value": value}
        if not forged:
            action = _press_action(place, action_id, value)
        action["action_ts"] = f"{time.time():.6f}"
        if isinstance(place, View):
            filled: JSON = {"values": {}}
            payload = payloads.click_in_view(self.platform, user, place, action, filled)
            return await self._interact(user, "interactive", payload, None, place)
        payload = payloads.click(self.platform, user, place, action)
        return await self._interact(user, "interactive", payload, place.channel)

    async def submit(self, user: User, view: View | None, values: Mapping[str, Any] | None = None) -> Heard:
        """Fill in a modal and send it. Fields that are not named keep what they came with."""
        assert view is not None, "no modal has opened"
        assert not view.closed, "the modal is closed"
        filled = state(self.platform, view, values or {})
        payload = payloads.submission(self.platform, user, view, filled)
        heard = await self._interact(user, "interactive", payload, None, view)
        if not heard.failed:
            self._apply_answer(view, heard.answer or {}, payload["trigger_id"])
        return heard

    async def close_view(self, user: User, view: View) -> Heard | None:
        """Press Cancel; the app hears of it if it wanted to."""
        view.closed = True
        if not view.view.get("notify_on_close"):
            return None
        return await self._interact(user, "interactive", payloads.closing(self.platform, user, view), None)

    async def suggest(self, user: User, action_id: str, text: str, view: View | None = None) -> list[Choice]:
        """Type into an external select of a modal: what it offers."""
        view = view or next(view for view in reversed(self.world.views.values()) if view.user is user)
        element = next(
            element for element in view.elements if action_id in (element["action_id"], element["block_id"])
        )
        payload = payloads.search(self.platform, user, view, element, text)
        heard = await self._interact(user, "interactive", payload, None)
        return _choices_of(view, heard.answer or {})

    async def shortcut(self, user: User, message: Message, callback_id: str) -> Heard:
        """Call a message shortcut."""
        payload = payloads.message_shortcut(self.platform, user, message, callback_id)
        return await self._interact(user, "interactive", payload, message.channel)

    async def global_shortcut(self, user: User, callback_id: str) -> Heard:
        payload = payloads.shortcut(self.platform, user, callback_id)
        return await self._interact(user, "interactive", payload, None)

    async def react(self, user: User, message: Message, reaction: str) -> Heard | None:
        """Put 🔁, or "repeat", under a message; None if the app is not told of it."""
        name = emoji.name(reaction)
        assert (name, user.id) not in message.reactions, "already_reacted"
        message.reactions.append((name, user.id))
        return await self._reaction(user, message, name, added=True)

    async def unreact(self, user: User, message: Message, reaction: str) -> Heard | None:
        name = emoji.name(reaction)
        message.reactions.remove((name, user.id))
        return await self._reaction(user, message, name, added=False)

    async def event(self, channel: Channel | None, content: JSON) -> Heard:
        """Any other event, such as {"type": "app_uninstalled"}."""
        wrapped = payloads.event(self.platform, channel, content)
        someone = next(iter(self.world.users.values()))
        return await self._interact(someone, "events_api", wrapped, channel)

    async def _interact(
        self, user: User, kind: str, payload: JSON, channel: Channel | None, view: View | None = None
    ) -> Heard:
        since = len(self.world.ephemerals)
        self._rearm(payload)
        envelope = await self.delivery.deliver(kind, payload)
        heard = Heard(platform=self.platform, user=user, envelope=envelope, since=since, submitted=view)
        content = envelope.answer or {}
        if (
            kind == "slash_commands"
            and channel is not None
            and (content.get("text") or content.get("blocks"))
        ):
            answer(self.platform, Response(user=user, channel=channel), content)
        return heard

    def _rearm(self, payload: JSON) -> None:
        trigger = self.platform.triggers.get(str(payload.get("trigger_id")))
        if isinstance(trigger, Trigger):
            trigger.at = time.monotonic()

    async def _reaction(self, user: User, message: Message, name: str, *, added: bool) -> Heard | None:
        assert not message.ephemeral, "nobody can react to what only they see"
        payload = payloads.reaction(self.platform, user, message, name, added=added)
        subscribed = payload["event"]["type"] in self.platform.events
        if not subscribed or not message.channel.member or "reactions:read" not in self.platform.scopes:
            return None
        return await self._interact(user, "events_api", payload, message.channel)

    def _apply_answer(self, view: View, content: JSON, trigger_id: str) -> None:
        """What the modal does after it has been sent."""
        match content.get("response_action"):
            case "errors":
                block_ids = {element["block_id"] for element in view.elements}
                assert set(content["errors"]) <= block_ids, f"errors for {set(content['errors']) - block_ids}"
            case "update":
                views.change(self.platform, view, content["view"])
            case "push":
                pushed = views.check_view(self.platform, content["view"], view.user)
                trigger = Trigger(user=view.user)
                views.add(self.platform, trigger, trigger_id, pushed).previous = view
            case "clear":
                for other in self.world.views.values():
                    other.closed = other.closed or other.user is view.user
            case _:
                view.closed = True


def _press_action(place: Message | View, action_id: str, value: str | None) -> JSON:
    """The action of an element that is really there."""
    for element in place.elements:
        if element["action_id"] != action_id:
            continue
        action: JSON = {"type": element["type"], "action_id": action_id, "block_id": element["block_id"]}
        if element["type"] == "button":
            if value is None or element.get("value") == value:
                return {
                    **action,
                    "text": element["text"],
                    **({"value": element["value"]} if "value" in element else {}),
                }
            continue
        chosen = [each for each in element.get("options", []) if each["value"] == value]
        if chosen:
            return {**action, "selected_option": chosen[0]}
    there = [(element["action_id"], element.get("value")) for element in place.elements]
    raise AssertionError(f"there is no {action_id} {value or ''} to press, only {there}")


def _choices_of(view: View, content: JSON) -> list[Choice]:
    options = [*content.get("options", [])]
    for group in content.get("option_groups", []):
        options += group["options"]
    problems = [problem for item in options for problem in option(item, "/options")]
    assert not problems, problems
    assert len(options) <= 100, "no more than 100 options"
    view.suggested |= {option["value"]: option for option in options}
    return [Choice(value=option["value"], text=option["text"]["text"]) for option in options]
