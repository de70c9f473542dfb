"""What people do: commands, clicks, forms and reactions, as events for the bot."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from tests.fakes.discord.accounts import ALLOWED, Json, Member, User
from tests.fakes.discord.command_input import command_data, find_command, modal_data
from tests.fakes.discord.message import Message
from tests.fakes.discord.results import Heard, Modal
from tests.fakes.discord.rules import BUTTON
from tests.fakes.discord.state import State
from tests.fakes.discord.uploads import Attached, Uploads
from tests.fakes.discord.webhooks import Webhooks
from tests.fakes.discord.world import DIRECT, Channel

COMMAND, COMPONENT, AUTOCOMPLETE, SUBMITTED = 2, 3, 4, 5
IN_GUILD, WITH_BOT, BETWEEN_PEOPLE = 0, 1, 2


class People:
    """Everything that a person can do to a bot; each returns when the bot has answered, or did not."""

    def __init__(self, state: State, uploads: Uploads, webhooks: Webhooks) -> None:
        self._state = state
        self._uploads = uploads
        self._webhooks = webhooks

    async def command(self, person: User, channel: Channel, name: str, /, **options: Any) -> Heard:
        """A slash command; `name` may have a subcommand after a blank. A file is an Attached."""
        data = command_data(
            visible_commands(self._state.commands, person, channel), name, options, self._uploads
        )
        return await self._interact(Heard(person=person, channel=channel), COMMAND, data)

    async def autocomplete(
        self, person: User, channel: Channel, name: str, option: str, text: str, /, **others: Any
    ) -> list[Json]:
        """The choices that are suggested while somebody types this text into the option."""
        given = {**others, option: text}
        commands = visible_commands(self._state.commands, person, channel)
        data = command_data(commands, name, given, self._uploads, focused=option)
        return (await self._interact(Heard(person=person, channel=channel), AUTOCOMPLETE, data)).choices

    async def click(
        self,
        person: User,
        message: Message,
        custom_id: str,
        *,
        values: Sequence[str] = (),
        forged: bool = False,
    ) -> Heard:
        """A button, or a menu with its values. `forged`: one that the message does not have."""
        shown = [part for part in message.components if part.get("custom_id") == custom_id]
        ids = [part.get("custom_id") for part in message.components]
        assert forged or shown, f"the message has no {custom_id!r}, but {ids}"
        assert forged or not shown[0].get("disabled"), f"{custom_id!r} is disabled"
        assert forged or not message.deleted, "the message is deleted"
        kind = shown[0]["type"] if shown else BUTTON
        data: Json = {"custom_id": custom_id, "component_type": kind}
        if kind != BUTTON:
            data["values"] = list(values)
        heard = Heard(person=person, channel=message.channel, source=message)
        return await self._interact(heard, COMPONENT, data)

    async def submit(self, person: User, modal: Modal | None, answers: Mapping[str, Any]) -> Heard:
        """A form is sent; answers are by custom_id or label. Sending it twice makes two interactions."""
        assert modal is not None, "no form is open"
        data = modal_data(modal, answers, self._uploads)
        heard = Heard(person=person, channel=modal.channel, source=modal.message)
        return await self._interact(heard, SUBMITTED, data)

    async def menu(self, person: User, message: Message, name: str) -> Heard:
        """An entry of the message's menu."""
        command = find_command(visible_commands(self._state.commands, person, message.channel), name, 3)
        data: Json = {"id": command["id"], "name": name, "type": 3, "target_id": str(message.id)}
        data["resolved"] = {"messages": {str(message.id): message.json()}}
        return await self._interact(Heard(person=person, channel=message.channel), COMMAND, data)

    def posts(self, person: User, channel: Channel, *files: Attached) -> Message:
        """A message with files, as people write them."""
        message = channel.says(person, "look")
        message.uploads = [self._uploads.keep(file) for file in files]
        return message

    async def react(self, person: User, message: Message, emoji: str) -> None:
        """A reaction under a message; the same one again does nothing."""
        if (person.id, emoji) not in message.reactions:
            message.reactions.add((person.id, emoji))
            await self._react("MESSAGE_REACTION_ADD", person, message, emoji)

    async def unreact(self, person: User, message: Message, emoji: str) -> None:
        """The reaction is taken back."""
        if (person.id, emoji) in message.reactions:
            message.reactions.discard((person.id, emoji))
            await self._react("MESSAGE_REACTION_REMOVE", person, message, emoji)

    async def delete(self, message: Message) -> None:
        """Somebody who may deletes a message."""
        message.deleted = True
        data = {"id": str(message.id), "channel_id": str(message.channel.id)}
        await self._state.gateway.dispatch("MESSAGE_DELETE", data, message.channel.guild_id)

    async def _react(self, event: str, person: User, message: Message, emoji: str) -> None:
        guild = message.channel.guild
        data: Json = {
            "user_id": str(person.id),
            "channel_id": str(message.channel.id),
            "message_id": str(message.id),
            "emoji": {"id": None, "name": emoji},
            "burst": False,
            "type": 0,
        }
        if guild is not None:
            data["guild_id"] = str(guild.id)
        if event.endswith("ADD"):
            data["message_author_id"] = str(message.author.id)
            if guild is not None:
                data["member"] = member_of(person, message.channel, permissions=False)
        # the bot hears of it only where it is
        if guild is None or (guild.bot and message.channel.permissions):
            await self._state.gateway.dispatch(event, data, message.channel.guild_id)

    async def _interact(self, heard: Heard, kind: int, data: Json) -> Heard:
        owners = installation_owners(heard)
        heard.metadata = {
            "id": str(heard.id),
            "type": kind,
            "user": heard.person.json(),
            "authorizing_integration_owners": owners,
        }
        self._state.interactions[heard.token] = heard
        payload = self._payload(heard, kind, data, owners)
        await self._state.gateway.dispatch("INTERACTION_CREATE", payload, heard.channel.guild_id)
        try:
            async with asyncio.timeout(self._webhooks.patience):
                await heard.answered.wait()
        except TimeoutError:
            pass  # they read "The application did not respond"
        return heard

    def _payload(self, heard: Heard, kind: int, data: Json, owners: Json) -> Json:
        channel, guild = heard.channel, heard.channel.guild
        payload: Json = {
            "id": str(heard.id),
            "application_id": str(self._state.me.id),
            "type": kind,
            "token": heard.token,
            "version": 1,
            "data": data,
            "channel_id": str(channel.id),
            "channel": channel.json() | {"permissions": str(ALLOWED), "nsfw": channel.adult},
            "app_permissions": str(ALLOWED if channel.kind == DIRECT else channel.permissions),
            "locale": "en-US",
            "entitlements": [],
            "authorizing_integration_owners": owners,
            "context": IN_GUILD if guild else WITH_BOT,
            "attachment_size_limit": channel.file_limit,
        }
        if heard.source is not None:
            payload["message"] = heard.source.json()
        if guild is None:
            return payload | {"user": heard.person.json()}
        return payload | {
            "guild_id": str(guild.id),
            "guild": {"id": str(guild.id), "locale": "en-US", "features": []},
            "guild_locale": "en-US",
            "member": member_of(heard.person, channel),
        }


def visible_commands(commands: list[Json], person: User, channel: Channel) -> list[Json]:
    """The commands that Discord's app offers this person in this channel."""
    guild = channel.guild
    if guild is None:
        return [
            command
            for command in commands
            if command.get("dm_permission", True) and is_offered(command, "contexts", WITH_BOT)
        ]
    here = [command for command in commands if command.get("guild_id") in (None, str(guild.id))]
    here = [command for command in here if is_offered(command, "contexts", IN_GUILD)]
    if not guild.bot:
        return [command for command in here if 1 in (command.get("integration_types") or [0])]
    member = guild.members.get(person.id)
    has = member.permissions if member else 0
    return [command for command in here if not int(command.get("default_member_permissions") or 0) & ~has]


def is_offered(command: Json, key: str, where: int) -> bool:
    """Whether a command's list of places, all of them when it is not given, has this one."""
    return command.get(key) is None or where in command[key]


def installation_owners(heard: Heard) -> Json:
    """Who installed the bot where this happens: the guild, or the person for themselves."""
    guild = heard.channel.guild
    if guild is None:
        return {"0": "0"}
    return {"0": str(guild.id)} if guild.bot else {"1": str(heard.person.id)}


def member_of(person: User, channel: Channel, *, permissions: bool = True) -> Json:
    """Somebody as a member of the channel's guild."""
    assert channel.guild is not None
    member = channel.guild.members.get(person.id)
    assert member is not None, f"{person.name} is not in {channel.guild.name}"
    assert isinstance(member, Member)
    member_json = member.json()
    return (
        member_json
        if permissions
        else {key: value for key, value in member_json.items() if key != "permissions"}
    )
