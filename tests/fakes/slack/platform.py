"""The state that Slack's own side keeps about an app: tokens, scopes, triggers, uploads under way."""

import asyncio
import time
from dataclasses import dataclass, field

from bot.chats.slack.manifest import EVENTS, SCOPES
from tests.fakes.slack.block_text import JSON
from tests.fakes.slack.world import Channel, File, Message, Team, User, World

BOT_TOKEN = "xoxb-loopback"
APP_TOKEN = "xapp-loopback"
SIGNING_SECRET = "loopback-secret"
TRIGGER_SECONDS = 3.0
RESPONSES = 5  # how often a response_url may be used


class Refused(Exception):
    """An answer with ok: false; `more` stands beside the error in it."""

    def __init__(self, error: str, **more: object) -> None:
        super().__init__(error)
        self.error = error
        self.more = more


@dataclass(eq=False, kw_only=True)
class Trigger:
    """A trigger_id: with it the app may open one view at the person who caused it, within three seconds."""

    user: User
    view_id: str | None = None  # the view in which they pressed something
    at: float = field(default_factory=time.monotonic)
    used: bool = False


@dataclass(eq=False, kw_only=True)
class Response:
    """A response_url: five answers within half an hour; `message` is what was pressed."""

    user: User
    channel: Channel
    message: Message | None = None
    used: int = 0
    expired: bool = False


@dataclass(eq=False, kw_only=True)
class Upload:
    """A file of which only name and length are known yet."""

    file: File
    length: int


class Platform:
    """What the Web API and the sockets both know."""

    def __init__(self) -> None:
        self.world = World()
        self.app_id = "A0ATELIER"
        self.bot_token = BOT_TOKEN
        self.app_token = APP_TOKEN
        self.signing_secret = SIGNING_SECRET
        # the app has been made from its manifest
        self.scopes: set[str] = {*SCOPES, "connections:write"}
        self.events: set[str] = set(EVENTS)
        self.revoked = False
        self.processing = 0.05  # how long an uploaded file has no kind and is nowhere shared
        self.unshared = 0  # how many of the next completed uploads are never shared
        self.removed: set[str] = set()  # workspaces of the grid for which the app is approved no more
        self.grid = False  # the app is installed for the whole enterprise
        self.base_url = ""
        self.triggers: dict[str, Trigger] = {}
        self.responses: dict[str, Response] = {}
        self.uploads: dict[str, Upload] = {}
        self.later: set[asyncio.Task[None]] = set()

    @property
    def home(self) -> Team:
        """The team in which the app has been installed: the first."""
        return next(iter(self.world.teams.values()))

    def bot_of(self, channel: Channel) -> str:
        return channel.team.bot

    def trigger(self, user: User, view_id: str | None = None) -> str:
        trigger = self.world.id("13.")
        self.triggers[trigger] = Trigger(user=user, view_id=view_id)
        return trigger

    def response_url(self, user: User, channel: Channel, message: Message | None = None) -> str:
        key = self.world.id("R")
        self.responses[key] = Response(user=user, channel=channel, message=message)
        return f"{self.base_url}response/{key}"

    def channel(self, given: JSON, *, member: bool = True) -> Channel:
        """The channel that is named; a person's id means the conversation with them."""
        name = given.get("channel") or given.get("channel_id")
        user = self.world.users.get(str(name))
        if user is not None:
            self.check_scope("im:write")
            return self.world.direct(user)
        channel = self.world.channels.get(str(name))
        if channel is None or (channel.private and not channel.member):
            raise Refused("channel_not_found")
        if member and not channel.member:
            raise Refused("not_in_channel")
        if channel.archived:
            raise Refused("is_archived")
        if channel.direct_with is not None and channel.direct_with.closed:
            raise Refused("cannot_dm_bot")
        return channel

    def check_scope(self, *needed: str) -> None:
        """Raises Refused unless the app has one of them."""
        if not self.scopes.intersection(needed):
            provided = ",".join(sorted(self.scopes))
            raise Refused("missing_scope", needed=",".join(needed), provided=provided)

    def file_of(self, slack_file: JSON) -> File | None:
        """The file that a block names, if it is there, ready and a picture."""
        file = self.world.files.get(str(slack_file.get("id")))
        if file is None:
            url = slack_file.get("url")
            file = next((file for file in self.world.files.values() if self.private_url(file) == url), None)
        if file is None or file.deleted or not file.ready or not kind_of(file).startswith("image/"):
            return None
        return file

    def shows(self, slack_file: JSON, channel: Channel | None, reader: User | None = None) -> bool:
        """Whether everybody who reads a message here sees this file; `reader` is the only one, if any.

        They do when it is shared in the channel or where all of the workspace may look; one reader alone,
        when it is shared in their conversation with the bot.
        """
        file = self.file_of(slack_file)
        places = [] if file is None else [share.channel for share in file.shares if not share.deleted]
        own = [place for place in places if reader is not None and place.direct_with is reader]
        return bool(own) or any(place is channel or place.open for place in places)

    def private_url(self, file: File) -> str:
        return f"{self.base_url}files-pri/{file.team.id}-{file.id}/{file.name}"


KINDS = {"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif"}
OTHERS = {"webp": "image/webp", "zip": "application/zip", "txt": "text/plain", "pdf": "application/pdf"}


def kind_of(file: File) -> str:
    """The type that Slack believes a file to have, by its first bytes and then its name."""
    if file.content.startswith(b"\x89PNG"):
        return "image/png"
    if file.content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    ending = file.name.rpartition(".")[2].lower()
    return {**KINDS, **OTHERS}.get(ending, "application/octet-stream")
