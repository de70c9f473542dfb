"""People and channels of a workspace, as Slack describes them, remembered for a while."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import structlog
from cachetools import TTLCache
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.chats.interface import Caller
from bot.chats.slack.errors import REMOVED, error_of
from bot.chats.slack.mrkdwn import JSON

CHAT = "slack"
REMEMBERED = 600.0  # seconds that somebody's name or a channel is known
MOST = 5000  # of each
PAGE = 200  # workspaces of a grid
NOT_THERE = ("channel_not_found", "not_in_channel", "method_not_supported_for_channel_type")

T = TypeVar("T")
log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Installation:
    """What auth.test says of the token: its workspace, or with `grid` its whole enterprise."""

    team: str
    enterprise: str
    name: str
    bot: str  # the bot's user id
    bot_name: str
    grid: bool

    def space(self, team: str) -> str:
        """The key of a workspace's space."""
        return f"{self.enterprise}/{team}" if self.enterprise else team


def installation_of(identity: AsyncSlackResponse) -> Installation:
    """The home that auth.test tells of."""
    return Installation(
        team=str(identity.get("team_id") or ""),
        enterprise=str(identity.get("enterprise_id") or ""),
        name=str(identity.get("team") or "a workspace"),
        bot=str(identity.get("user_id") or ""),
        bot_name=str(identity.get("user") or "atelier"),
        grid=bool(identity.get("is_enterprise_install")),
    )


async def list_spaces(client: AsyncWebClient) -> set[str]:
    """List the keys of the spaces with the app, none if it was removed. Raises TROUBLES."""
    try:
        installation = installation_of(await client.auth_test())
    except SlackApiError as error:
        if error_of(error) not in REMOVED:
            raise
        return set()
    if not installation.grid:
        return {installation.space(installation.team)}
    spaces: set[str] = set()
    cursor = ""
    while True:
        page = await client.auth_teams_list(limit=PAGE, cursor=cursor)
        spaces |= {installation.space(str(team["id"])) for team in page["teams"]}
        cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
        if not cursor:
            return spaces


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody, whose `key` has their workspace in it when that is not ours."""

    key: str
    name: str
    admin: bool
    bot: bool = False


@dataclass(frozen=True, kw_only=True)
class Channel:
    """A channel: whether the bot can post there, and whether nobody but one person and the bot is in it."""

    team: str
    member: bool
    direct: bool


class AsyncCache(Generic[T]):
    """Answers that are remembered for a while."""

    def __init__(self) -> None:
        self._cache: TTLCache[str, T] = TTLCache(MOST, REMEMBERED)

    async def get(self, key: str, ask: Callable[[], Awaitable[T]]) -> T:
        """Get what is remembered, or ask, which may raise."""
        remembered = self._cache.get(key)
        if remembered is None:
            remembered = self._cache[key] = await ask()
        return remembered

    def forget(self, key: str) -> None:
        self._cache.pop(key, None)


class Workspace:
    """Reads who and where from what Slack tells; everything in it may be forged but for its signature."""

    def __init__(self, client: AsyncWebClient, installation: Installation) -> None:
        self.installation = installation
        self._client = client
        self._people: AsyncCache[Person] = AsyncCache()
        self._channels: AsyncCache[Channel] = AsyncCache()

    async def read_caller(self, body: JSON, channel: str) -> Caller:
        """Read who caused this, in this channel."""
        person = await self.read_person(user_of(body), body)
        where = await self.read_channel(channel)
        installation = self.installation
        team = where.team or _team(body) if installation.grid else ""
        return Caller(
            chat=CHAT,
            space=installation.space(team or installation.team),
            space_name=installation.name if team in ("", installation.team) else _team_name(body) or team,
            channel=channel,
            person=person.key,
            person_name=person.name,
            admin=person.admin,
            direct=where.direct,
        )

    async def read_person(self, user: str, body: JSON) -> Person:
        """Read this person; where Slack does not say who they are, by the name in the event."""
        try:
            return await self._people.get(user, lambda: self._ask_person(user))
        except (SlackApiError, OSError, TimeoutError) as error:
            log.warning("Name not read", reason=error_of(error))
            team = _team(body)
            stranger = bool(team) and team != self.installation.team and not self.installation.grid
            key = f"{team}/{user}" if stranger else user
            return Person(key=key, name=_name(body) or user, admin=False)

    async def read_channel(self, channel: str) -> Channel:
        """Read this channel; one that the bot cannot see is one that it cannot post in."""
        try:
            remembered = await self._channels.get(channel, lambda: self._ask_channel(channel))
        except (SlackApiError, OSError, TimeoutError) as error:
            seen = error_of(error) not in NOT_THERE
            if seen:
                log.warning("Channel not read", channel=channel, reason=error_of(error))
            return Channel(team="", member=seen, direct=False)
        if not remembered.member:  # it may be invited any moment
            self._channels.forget(channel)
        return remembered

    def forget(self, channel: str) -> None:
        """Forget the channel, since what is remembered is wrong."""
        self._channels.forget(channel)

    async def _ask_person(self, user: str) -> Person:
        user_info: JSON = (await self._client.users_info(user=user))["user"]
        profile = user_info.get("profile") or {}
        name = profile.get("display_name") or profile.get("real_name") or user_info.get("real_name")
        key = f"{user_info.get('team_id')}/{user}" if self._is_stranger(user_info) else user
        admin = bool(user_info.get("is_admin") or user_info.get("is_owner")) and key == user
        return Person(
            key=key,
            name=str(name or user_info.get("name") or user),
            admin=admin,
            bot=bool(user_info.get("is_bot")),
        )

    def _is_stranger(self, user_info: JSON) -> bool:
        """Whether they come by Slack Connect. In a grid, people of the enterprise are at home everywhere."""
        enterprise = (user_info.get("enterprise_user") or {}).get("enterprise_id")
        if self.installation.enterprise and enterprise is not None:
            return bool(enterprise != self.installation.enterprise)
        return not self.installation.grid and user_info.get("team_id") != self.installation.team

    async def _ask_channel(self, channel: str) -> Channel:
        info: JSON = (await self._client.conversations_info(channel=channel))["channel"]
        direct = bool(info.get("is_im"))
        team = info.get("context_team_id") or ""
        member = direct or bool(info.get("is_member")) or bool(info.get("is_mpim"))
        return Channel(team=str(team), member=member and not info.get("is_archived"), direct=direct)


def user_of(body: JSON) -> str:
    """The id of whoever caused this."""
    user: Any = body.get("user") or body.get("user_id") or body.get("event", {}).get("user")
    return str(user.get("id") if isinstance(user, dict) else user or "")


def account(key: str) -> str:
    """The user id in a person's key."""
    return key.rpartition("/")[2]


def _team(body: JSON) -> str:
    """The workspace from which somebody acted."""
    user, team, event = body.get("user"), body.get("team"), body.get("event") or {}
    teams = [
        user.get("team_id") if isinstance(user, dict) else None,
        team.get("id") if isinstance(team, dict) else None,
        event.get("user_team"),
        body.get("team_id"),
    ]
    return str(next(filter(None, teams), ""))


def _team_name(body: JSON) -> str:
    team = body.get("team")
    return str(body.get("team_domain") or (team.get("domain") if isinstance(team, dict) else "") or "")


def _name(body: JSON) -> str:
    user = body.get("user")
    return str(body.get("user_name") or (user.get("name") if isinstance(user, dict) else "") or "")
