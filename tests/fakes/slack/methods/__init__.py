"""The methods of the Web API, each with the scopes that it asks for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tests.fakes.slack.block_text import JSON
from tests.fakes.slack.methods import about, chat, conversations, files, views
from tests.fakes.slack.platform import Platform


@dataclass(frozen=True)
class Method:
    """`scopes`: one of them is enough, none are none; `app`: it wants the app-level token."""

    run: Callable[[Platform, JSON], JSON]
    scopes: tuple[str, ...] = ()
    app: bool = False


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "api.test": Method(lambda _, given: {"args": given}),
        "auth.test": Method(about.auth_test),
        "auth.teams.list": Method(about.teams_list),
        "apps.connections.open": Method(about.connections_open, ("connections:write",), app=True),
        "users.info": Method(about.user_info, ("users:read",)),
        "team.info": Method(about.team_info, ("team:read",)),
        "chat.postMessage": Method(chat.post, ("chat:write",)),
        "chat.update": Method(chat.update, ("chat:write",)),
        "chat.delete": Method(chat.delete, ("chat:write",)),
        "chat.postEphemeral": Method(chat.post_ephemeral, ("chat:write",)),
        "chat.getPermalink": Method(chat.permalink),
        "conversations.open": Method(conversations.open_direct, ("im:write",)),
        "conversations.info": Method(conversations.info),
        "conversations.history": Method(conversations.history),
        "conversations.replies": Method(conversations.replies),
        "conversations.members": Method(conversations.members),
        "views.open": Method(views.open_view),
        "views.push": Method(views.push),
        "views.update": Method(views.update),
        "files.getUploadURLExternal": Method(files.upload_url, ("files:write",)),
        "files.completeUploadExternal": Method(files.complete, ("files:write",)),
        "files.info": Method(files.info, ("files:read",)),
        "files.delete": Method(files.delete, ("files:write",)),
    }
)
