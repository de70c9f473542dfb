"""Channels, messages, threads and reactions, behind the bot's token."""

from urllib.parse import unquote

from aiohttp import web

from tests.fakes.discord.accounts import HISTORY, MANAGE_THREADS, OPEN_THREADS, REACT, now
from tests.fakes.discord.exchange import json_response, sent_files, sent_json
from tests.fakes.discord.message import Message
from tests.fakes.discord.message_posts import (
    ARCHIVED,
    NO_CHANNEL,
    NO_MESSAGE,
    NO_PERMISSION,
    NOT_TO_THEM,
    Posting,
)
from tests.fakes.discord.rules import Refused, length
from tests.fakes.discord.state import State
from tests.fakes.discord.world import DIRECT, THREAD, Channel

NONCE_SECONDS = 180.0  # "a few minutes", in which a nonce is not taken twice
ONE_THREAD = Refused(400, 160004, "A thread has already been created for this message")


class Rest:
    """What the bot may ask for with its token."""

    def __init__(self, state: State, posting: Posting) -> None:
        self._state = state
        self._posting = posting

    def routes(self) -> list[web.RouteDef]:
        message = "/channels/{channel}/messages/{message}"
        return [
            web.post("/users/@me/channels", self.direct),
            web.get("/channels/{channel}", self.channel),
            web.patch("/channels/{channel}", self.change_channel),
            web.delete("/channels/{channel}", self.delete_channel),
            web.put("/channels/{channel}/thread-members/{user}", self.add_to_thread),
            web.post("/channels/{channel}/typing", self.typing),
            web.get("/channels/{channel}/messages", self.history),
            web.post("/channels/{channel}/messages", self.post),
            web.get(message, self.message),
            web.patch(message, self.edit),
            web.delete(message, self.delete),
            web.put(message + "/reactions/{emoji}/@me", self.react),
            web.delete(message + "/reactions/{emoji}/@me", self.unreact),
            web.post(message + "/threads", self.thread),
            web.post("/channels/{channel}/threads", self.thread),
        ]

    async def direct(self, request: web.Request) -> web.Response:
        user = self._state.users.get(int(sent_json(request)["recipient_id"]))
        if user is None or user.bot:
            raise NOT_TO_THEM
        return json_response(self._state.direct(user).json())

    async def channel(self, request: web.Request) -> web.Response:
        return json_response(self._channel(request).json())

    async def change_channel(self, request: web.Request) -> web.Response:
        channel = self._channel(request)
        sent = sent_json(request)
        if "name" in sent:
            length("name", sent["name"], 100, 1)
        channel.name = sent.get("name", channel.name)
        channel.archived = sent.get("archived", channel.archived)
        return json_response(channel.json())

    async def delete_channel(self, request: web.Request) -> web.Response:
        channel = self._channel(request)
        if channel.kind != THREAD or not channel.permissions & MANAGE_THREADS:
            raise NO_PERMISSION
        channel.delete()
        return json_response(channel.json())

    async def add_to_thread(self, request: web.Request) -> web.Response:
        thread, user = self._channel(request), int(request.match_info["user"])
        if thread.kind != THREAD or thread.guild is None:
            raise NO_CHANNEL
        if user not in thread.guild.members:
            raise Refused(404, 10007, "Unknown Member")
        if thread.archived:
            raise ARCHIVED
        thread.joined.add(user)
        return web.Response(status=204)

    async def typing(self, request: web.Request) -> web.Response:
        self._channel(request)
        return web.Response(status=204)

    # messages

    async def history(self, request: web.Request) -> web.Response:
        channel = self._channel(request)
        visible = channel.messages if channel.kind == DIRECT or channel.permissions & HISTORY else []
        messages = list(reversed(visible))[: int(request.query.get("limit", 50))]
        return json_response([message.json() for message in messages])

    async def post(self, request: web.Request) -> web.Response:
        channel = self._channel(request)
        sent, files = sent_json(request), sent_files(request)
        self._posting.allow(channel, sent, files)
        nonce = sent.get("nonce")
        if nonce is not None and sent.get("enforce_nonce"):
            for message in channel.posted:
                fresh = message.age < NONCE_SECONDS
                if fresh and message.nonce == str(nonce) and message.author is self._state.me:
                    return json_response(message.json())
        return json_response(self._posting.post(channel, sent, files).json())

    async def message(self, request: web.Request) -> web.Response:
        return json_response(self._message(request).json())

    async def edit(self, request: web.Request) -> web.Response:
        message = self._message(request)
        if message.author is not self._state.me:
            raise Refused(403, 50005, "Cannot edit a message authored by another user")
        return json_response(self._posting.edit(message, sent_json(request), sent_files(request)).json())

    async def delete(self, request: web.Request) -> web.Response:
        message = self._message(request)
        if message.author is not self._state.me:
            raise NO_PERMISSION
        self._posting.touch(message)
        message.deleted = True
        return web.Response(status=204)

    async def react(self, request: web.Request) -> web.Response:
        message = self._message(request)
        if message.channel.kind != DIRECT and not message.channel.permissions & REACT:
            raise NO_PERMISSION
        self._posting.touch(message)
        message.reactions.add((self._state.me.id, unquote(request.match_info["emoji"])))
        return web.Response(status=204)

    async def unreact(self, request: web.Request) -> web.Response:
        self._message(request).reactions.discard((self._state.me.id, unquote(request.match_info["emoji"])))
        return web.Response(status=204)

    async def thread(self, request: web.Request) -> web.Response:
        channel = self._channel(request)
        message = self._message(request) if "message" in request.match_info else None
        sent = sent_json(request)
        if channel.kind != 0 or not channel.permissions & OPEN_THREADS:
            raise NO_PERMISSION
        if message is not None and message.thread is not None:
            raise ONE_THREAD
        length("name", sent.get("name"), 100, 1)
        thread = Channel(
            name=sent["name"], announce=channel.announce, guild=channel.guild, kind=THREAD, parent=channel
        )
        if message is not None:
            thread.id, message.thread = message.id, thread
        channel.threads.append(thread)
        self._state.channels[thread.id] = thread
        await self._state.gateway.dispatch("THREAD_CREATE", thread.json(), channel.guild_id)
        joined = {
            "join_timestamp": now(),
            "flags": 0,
            "id": str(thread.id),
            "user_id": str(self._state.me.id),
        }
        return json_response(thread.json() | {"member": joined}, 201)

    def _channel(self, request: web.Request) -> Channel:
        channel = self._state.find_channel(int(request.match_info["channel"]))
        if channel is None:
            raise NO_CHANNEL
        self._posting.see(channel)
        return channel

    def _message(self, request: web.Request) -> Message:
        message = self._channel(request).find(int(request.match_info["message"]))
        if message is None or message.ephemeral:
            raise NO_MESSAGE
        return message
