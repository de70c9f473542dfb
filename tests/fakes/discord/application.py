"""What the bot asks about itself: its account, guilds, gateway and commands."""

from aiohttp import web

from tests.fakes.discord.accounts import Json
from tests.fakes.discord.exchange import json_response, sent_json
from tests.fakes.discord.rules import Refused, check_commands
from tests.fakes.discord.snowflakes import snowflake
from tests.fakes.discord.state import State

NO_USER = Refused(404, 10013, "Unknown User")
NO_GUILD = Refused(404, 10004, "Unknown Guild")


class Application:
    """The routes that need no channel."""

    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/users/@me", self.me),
            web.get("/users/{user}", self.user),
            web.get("/oauth2/applications/@me", self.application),
            web.get("/applications/@me", self.application),
            web.get("/gateway", self.gateway),
            web.get("/gateway/bot", self.gateway),
            web.get("/guilds/{guild}", self.guild),
            web.get("/guilds/{guild}/members/{user}", self.member),
            web.get("/applications/{app}/commands", self.commands),
            web.put("/applications/{app}/commands", self.sync),
            web.get("/applications/{app}/guilds/{guild}/commands", self.commands),
            web.put("/applications/{app}/guilds/{guild}/commands", self.sync),
        ]

    async def me(self, request: web.Request) -> web.Response:
        return json_response(self._state.me.json())

    async def user(self, request: web.Request) -> web.Response:
        user = self._state.users.get(int(request.match_info["user"]))
        if user is None:
            raise NO_USER
        return json_response(user.json())

    async def application(self, request: web.Request) -> web.Response:
        me = self._state.me
        return json_response(
            {
                "id": str(me.id),
                "name": me.name,
                "icon": None,
                "description": "",
                "bot_public": True,
                "bot_require_code_grant": False,
                "verify_key": "",
                "owner": self._state.owner.json(),
                "flags": 0,
            }
        )

    async def gateway(self, request: web.Request) -> web.Response:
        limit = {"total": 1000, "remaining": 999, "reset_after": 0, "max_concurrency": 1}
        gateway = self._state.gateway
        return json_response({"url": gateway.url, "shards": gateway.shards, "session_start_limit": limit})

    async def guild(self, request: web.Request) -> web.Response:
        guild = self._state.guilds.get(int(request.match_info["guild"]))
        if guild is None or not guild.bot:
            raise NO_GUILD
        return json_response(guild.json())

    async def member(self, request: web.Request) -> web.Response:
        guild = self._state.guilds.get(int(request.match_info["guild"]))
        if guild is None or not guild.bot:
            raise NO_GUILD
        member = guild.members.get(int(request.match_info["user"]))
        if member is None:
            raise Refused(404, 10007, "Unknown Member")
        return json_response({key: value for key, value in member.json().items() if key != "permissions"})

    async def commands(self, request: web.Request) -> web.Response:
        guild = request.match_info.get("guild")
        return json_response(
            [command for command in self._state.commands if command.get("guild_id") == guild]
        )

    async def sync(self, request: web.Request) -> web.Response:
        guild = request.match_info.get("guild")
        sent: list[Json] = sent_json(request)
        check_commands(sent)
        earlier = {
            (command["type"], command["name"]): command
            for command in self._state.commands
            if command.get("guild_id") == guild
        }
        others = [command for command in self._state.commands if command.get("guild_id") != guild]
        synced = []
        for command in sent:
            kind = command.get("type", 1)
            old = earlier.get((kind, command["name"]))
            own = {"id": old["id"] if old else str(snowflake()), "type": kind, "version": str(snowflake())}
            own |= {"application_id": str(self._state.me.id)} | ({"guild_id": guild} if guild else {})
            synced.append(_as_stored(command) | own)
        self._state.commands[:] = [*others, *synced]
        return json_response(synced)


def _as_stored(command: Json) -> Json:
    """A command as Discord gives it back: permissions as a string, null for what was not said."""
    stored: Json = {
        "description": "",
        "options": [],
        "default_member_permissions": None,
        "dm_permission": True,
        "nsfw": False,
        "name_localizations": None,
        "description_localizations": None,
        **command,
    }
    permissions = stored["default_member_permissions"]
    stored["default_member_permissions"] = None if permissions is None else str(permissions)
    stored["options"] = [_as_stored_option(option) for option in stored["options"]]
    return stored


def _as_stored_option(option: Json) -> Json:
    """Discord leaves out what is as usual."""
    stored = {name: value for name, value in option.items() if value is not False and value not in (None, [])}
    if "options" in stored:
        stored["options"] = [_as_stored_option(option) for option in stored["options"]]
    return stored
