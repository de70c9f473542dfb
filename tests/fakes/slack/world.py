"""What a workspace consists of: teams, people, channels, messages, files and views."""

import itertools
import time
from dataclasses import dataclass, field

from tests.fakes.slack.block_text import JSON, LINK, PING, images, interactive, texts


@dataclass(eq=False)
class Team:
    """A workspace; with an enterprise it is part of an Enterprise Grid."""

    world: "World"
    id: str
    name: str
    enterprise: str | None = None
    bot: str = ""  # the user id of the bot here

    def user(self, name: str, *, admin: bool = False, bot: bool = False) -> "User":
        return self.world.add_user(self, name, admin=admin, bot=bot)

    def channel(self, name: str, *, member: bool = True, private: bool = False) -> "Channel":
        """`member`: whether the bot has been invited."""
        return self.world.add_channel(self, name, member=member, private=private)

    def group(self, *people: "User", member: bool = True) -> "Channel":
        """What several people write to each other; `member`: whether the bot is one of them."""
        names = "--".join(person.name for person in people)
        channel = self.world.add_channel(self, f"mpdm-{names}-1", member=member, private=True)
        channel.group = True
        return channel


@dataclass(eq=False)
class User:
    """Somebody in a team."""

    id: str
    name: str
    team: Team
    admin: bool = False
    bot: bool = False
    closed: bool = False  # the bot may not write to them


@dataclass(eq=False)
class File:
    """A file that somebody has uploaded. Its kind is known, and it is shared, only after a while."""

    id: str
    name: str
    content: bytes
    owner: str  # a user id
    team: Team
    title: str = ""
    ready_at: float = 0.0
    complete: bool = False
    deleted: bool = False
    shares: list["Message"] = field(default_factory=list)

    @property
    def ready(self) -> bool:
        return self.complete and time.monotonic() >= self.ready_at


@dataclass(frozen=True, kw_only=True)
class Version:
    """What a message once said."""

    at: float
    text: str
    blocks: list[JSON]


@dataclass(eq=False)
class Message:
    """A message; `thread` are the replies to it, and what is `ephemeral` only `shown_to` sees."""

    channel: "Channel"
    ts: str
    user: str
    text: str = ""
    blocks: list[JSON] = field(default_factory=list)
    metadata: JSON | None = None
    edits: int = 0
    files: list[File] = field(default_factory=list)
    thread: list["Message"] = field(default_factory=list)
    thread_ts: str | None = None
    deleted: bool = False
    shown_to: "User | None" = None
    reactions: list[tuple[str, str]] = field(default_factory=list)
    versions: list[Version] = field(default_factory=list)
    at: float = field(default_factory=time.monotonic)

    @property
    def ephemeral(self) -> bool:
        return self.shown_to is not None

    @property
    def elements(self) -> list[JSON]:
        """Everything in it that can be pressed or chosen from, with its block_id."""
        return list(interactive(self.blocks))

    @property
    def buttons(self) -> list[JSON]:
        return [element for element in self.elements if element["type"] == "button"]

    @property
    def words(self) -> str:
        """All that it shows, line by line."""
        return "\n".join([*texts(self.blocks)] or [self.text])

    @property
    def marked(self) -> str:
        """All of its text in which Slack looks for mentions and links."""
        return "\n".join([self.text, *texts(self.blocks, marked=True)])

    @property
    def pings(self) -> list[str]:
        """Whom it mentions: "!channel", "@U01"."""
        return PING.findall(self.marked)

    @property
    def links(self) -> list[str]:
        return LINK.findall(self.marked)

    @property
    def pictures(self) -> list[str]:
        """The ids of the files in its image blocks."""
        return [
            image["slack_file"]["id"] for image in images(self.blocks) if "id" in image.get("slack_file", {})
        ]


@dataclass(eq=False)
class Channel:
    """A channel, a direct message, or one of several people: a group."""

    world: "World"
    id: str
    name: str
    team: Team
    member: bool = True
    private: bool = False
    archived: bool = False
    direct_with: User | None = None
    group: bool = False
    shared_with: list[Team] = field(default_factory=list)
    everything: list[Message] = field(default_factory=list)

    @property
    def open(self) -> bool:
        """Whether everybody in the workspace may look into it."""
        return not (self.private or self.group or self.direct_with)

    @property
    def messages(self) -> list[Message]:
        """What stands in it, oldest first, without the replies in threads."""
        return [
            message
            for message in self.everything
            if not message.deleted and message.thread_ts in (None, message.ts)
        ]

    def find(self, ts: object) -> Message | None:
        return next(
            (message for message in self.everything if message.ts == ts and not message.deleted), None
        )

    def share_with(self, team: Team) -> None:
        """Let another workspace in, by Slack Connect."""
        self.shared_with.append(team)

    def post(self, message: Message) -> Message:
        self.everything.append(message)
        parent = self.find(message.thread_ts) if message.thread_ts else None
        if parent is not None:
            parent.thread.append(message)
        return message


@dataclass(eq=False)
class View:
    """A modal that is open at somebody's."""

    id: str
    user: User
    view: JSON
    hash: str
    trigger: str | None = None
    previous: "View | None" = None
    closed: bool = False
    updates: int = 0
    suggested: dict[str, JSON] = field(default_factory=dict)  # options that a search has offered, by value

    @property
    def blocks(self) -> list[JSON]:
        blocks: list[JSON] = self.view["blocks"]
        return blocks

    @property
    def elements(self) -> list[JSON]:
        return list(interactive(self.blocks))

    @property
    def title(self) -> str:
        return str(self.view["title"]["text"])

    @property
    def callback_id(self) -> str:
        return str(self.view.get("callback_id", ""))

    @property
    def words(self) -> str:
        return "\n".join(texts(self.blocks))


class World:
    """All of them, with the ids by which they are found."""

    def __init__(self) -> None:
        self.teams: dict[str, Team] = {}
        self.users: dict[str, User] = {}
        self.channels: dict[str, Channel] = {}
        self.files: dict[str, File] = {}
        self.views: dict[str, View] = {}
        self.ephemerals: list[Message] = []
        self._numbers = itertools.count(1)

    def id(self, letter: str) -> str:
        return f"{letter}0{next(self._numbers):06X}"

    def ts(self) -> str:
        return f"{int(time.time())}.{next(self._numbers):06d}"

    def add_team(self, name: str, enterprise: str | None) -> Team:
        team = Team(self, self.id("T"), name, enterprise)
        self.teams[team.id] = team
        team.bot = team.user("atelier", bot=True).id
        return team

    def add_user(self, team: Team, name: str, *, admin: bool, bot: bool) -> User:
        user = User(self.id("U"), name, team, admin, bot)
        self.users[user.id] = user
        return user

    def add_channel(self, team: Team, name: str, *, member: bool, private: bool) -> Channel:
        channel = Channel(self, self.id("C"), name, team, member, private)
        self.channels[channel.id] = channel
        return channel

    def direct(self, user: User) -> Channel:
        """The conversation of the bot with this person."""
        for channel in self.channels.values():
            if channel.direct_with is user:
                return channel
        channel = Channel(self, self.id("D"), "directmessage", user.team, direct_with=user)
        self.channels[channel.id] = channel
        return channel
