"""What an interaction's token allows: the first answer, then edits and follow-ups while it lives."""

import time

from aiohttp import web

from tests.fakes.discord.accounts import Json
from tests.fakes.discord.exchange import json_response, sent_files, sent_json
from tests.fakes.discord.message import EPHEMERAL, Message
from tests.fakes.discord.message_posts import NO_MESSAGE, Posting
from tests.fakes.discord.results import (
    CHOICES,
    DEFERRED,
    DEFERRED_UPDATE,
    MESSAGE,
    MODAL,
    UPDATE,
    Heard,
    Modal,
)
from tests.fakes.discord.rules import Refused, check_choices, check_modal, invalid
from tests.fakes.discord.state import State

AUTOCOMPLETE, SUBMITTED = 4, 5
UNKNOWN = Refused(404, 10062, "Unknown interaction")
TWICE = Refused(400, 40060, "Interaction has already been acknowledged.")
NO_MORE = Refused(400, 40094, "This interaction has hit the maximum number of follow up messages.")
FOLLOW_UPS = 5  # where the app is a person's own and no member
DEAD = Refused(401, 50027, "Invalid Webhook Token")


class Webhooks:
    """The routes that need no bot token. `patience` is how long a first answer may take."""

    def __init__(self, state: State, posting: Posting) -> None:
        self._state = state
        self._posting = posting
        self.patience = 3.0

    def routes(self) -> list[web.RouteDef]:
        message = "/webhooks/{app}/{token}/messages/{message}"
        return [
            web.post("/interactions/{interaction}/{token}/callback", self.callback),
            web.post("/webhooks/{app}/{token}", self.follow_up),
            web.get(message, self.message),
            web.patch(message, self.edit),
            web.delete(message, self.delete),
        ]

    async def callback(self, request: web.Request) -> web.Response:
        """The first answer."""
        heard = self._state.interactions.get(request.match_info["token"])
        if heard is None or heard.expired or str(heard.id) != request.match_info["interaction"]:
            raise UNKNOWN
        if heard.type is not None:
            raise TWICE
        if time.monotonic() - heard.asked > self.patience:
            raise UNKNOWN
        sent = sent_json(request)
        self._answer(heard, sent["type"], sent.get("data") or {}, sent_files(request))
        heard.answer(sent["type"])
        if request.query.get("with_response") != "1":
            return web.Response(status=204)
        return json_response(self._confirm(heard))

    def _answer(self, heard: Heard, kind: int, data: Json, files: dict[str, bytes]) -> None:
        asked = heard.metadata["type"]
        if (kind == CHOICES) != (asked == AUTOCOMPLETE) or (kind == MODAL and asked == SUBMITTED):
            raise invalid(f"answer {kind} does not go with interaction {asked}")
        if kind == MESSAGE:
            heard.message = self._posting.post(heard.channel, data, files, interaction=heard.metadata)
        elif kind == DEFERRED:
            flags = (data.get("flags") or 0) & EPHEMERAL
            heard.message = self._posting.think(heard.channel, flags, heard.metadata)
        elif kind in (DEFERRED_UPDATE, UPDATE):
            if heard.source is None:
                raise invalid("there is no message to update")
            heard.message = heard.source
            if kind == UPDATE:
                self._posting.edit(heard.source, data, files)
        elif kind == CHOICES:
            check_choices(data.get("choices") or [])
            heard.choices = data.get("choices") or []
        elif kind == MODAL:
            check_modal(data)
            heard.modal = Modal(
                title=data["title"],
                custom_id=data["custom_id"],
                parts=data["components"],
                channel=heard.channel,
                message=heard.source,
            )
        else:
            raise invalid(f"no such answer: {kind}")

    def _confirm(self, heard: Heard) -> Json:
        interaction: Json = {"id": str(heard.id), "type": heard.metadata["type"]}
        resource: Json = {"type": heard.type}
        if heard.message is not None:
            interaction |= {
                "response_message_id": str(heard.message.id),
                "response_message_loading": heard.message.loading,
                "response_message_ephemeral": heard.message.ephemeral,
            }
            if heard.type != DEFERRED_UPDATE:
                resource["message"] = heard.message.json()
        return {"interaction": interaction, "resource": resource}

    async def follow_up(self, request: web.Request) -> web.Response:
        """Another message; the first after a deferred answer takes its place."""
        heard = self._alive(request)
        sent, files = sent_json(request), sent_files(request)
        if heard.message is not None and heard.message.loading and not heard.message.deleted:
            return json_response(self._posting.edit(heard.message, sent, files).json())
        if heard.by_person_alone and len(heard.followups) >= FOLLOW_UPS:
            raise NO_MORE
        message = self._posting.post(heard.channel, sent, files, interaction=heard.metadata)
        heard.followups.append(message)
        return json_response(message.json())

    async def message(self, request: web.Request) -> web.Response:
        return json_response(self._message(request).json())

    async def edit(self, request: web.Request) -> web.Response:
        message = self._message(request)
        return json_response(self._posting.edit(message, sent_json(request), sent_files(request)).json())

    async def delete(self, request: web.Request) -> web.Response:
        self._message(request).deleted = True
        return web.Response(status=204)

    def _alive(self, request: web.Request) -> Heard:
        heard = self._state.interactions.get(request.match_info["token"])
        if heard is None or heard.expired or request.match_info["app"] != str(self._state.me.id):
            raise DEAD
        if heard.type is None:
            raise Refused(404, 10015, "Unknown Webhook")
        return heard

    def _message(self, request: web.Request) -> Message:
        heard = self._alive(request)
        wanted = request.match_info["message"]
        mine = [message for message in (heard.message, *heard.followups) if message is not None]
        sent_message = (
            heard.message if wanted == "@original" else next((m for m in mine if str(m.id) == wanted), None)
        )
        if sent_message is None or sent_message.deleted:
            raise NO_MESSAGE
        return sent_message
