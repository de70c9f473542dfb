"""Messages, files, people and views as Slack writes them in answers and payloads."""

from tests.fakes.slack.block_text import JSON
from tests.fakes.slack.platform import Platform, kind_of
from tests.fakes.slack.world import File, Message, Team, User, View


def message(platform: Platform, message: Message, *, metadata: bool = False) -> JSON:
    """A message as conversations.history and interaction payloads have it."""
    bot = message.user == message.channel.team.bot
    written: JSON = {
        "type": "message",
        "user": message.user,
        "ts": message.ts,
        "text": message.text,
        "team": message.channel.team.id,
        "blocks": message.blocks,
    }
    if bot:
        written |= {"bot_id": "B0ATELIER", "app_id": platform.app_id}
    if message.thread_ts or message.thread:
        written["thread_ts"] = message.thread_ts or message.ts
    replies = [reply for reply in message.thread if not reply.deleted]
    if replies:
        written["reply_count"] = len(replies)
    if message.edits:
        written["edited"] = {"user": message.user, "ts": message.ts}
    if message.files:
        written["files"] = [file(platform, attached) for attached in message.files]
    if message.reactions:
        written["reactions"] = [
            {"name": name, "users": [who for other, who in message.reactions if other == name]}
            for name in dict.fromkeys(name for name, _ in message.reactions)
        ]
    if metadata and message.metadata:
        written["metadata"] = message.metadata
    return written


def file(platform: Platform, file: File) -> JSON:
    """A file object; of a file from elsewhere, by Slack Connect, there is little in it."""
    if file.team is platform.home or (platform.grid and file.team.enterprise == platform.home.enterprise):
        return whole_file(platform, file)
    return {
        "id": file.id,
        "mode": "file_access",
        "file_access": "check_file_info",
        "created": 1,
        "timestamp": 1,
    }


def whole_file(platform: Platform, file: File) -> JSON:
    """All of it: kind, size of the picture and shares are empty until it has been processed."""
    url = platform.private_url(file)
    shares: JSON = {}
    for where in file.shares if file.ready else ():
        side = "private" if where.channel.private or where.channel.direct_with else "public"
        entry: JSON = {"ts": where.ts, "channel_name": where.channel.name, "team_id": where.channel.team.id}
        if where.thread_ts:
            entry["thread_ts"] = where.thread_ts
        shares.setdefault(side, {}).setdefault(where.channel.id, []).append(entry)
    channels = [share.channel for share in file.shares if file.ready]
    kind = kind_of(file) if file.ready else ""
    return {
        "id": file.id,
        "name": file.name,
        "title": file.title or file.name,
        "mimetype": kind,
        "filetype": kind.rpartition("/")[2].replace("jpeg", "jpg"),
        "user": file.owner,
        "user_team": file.team.id,
        "size": len(file.content),
        "mode": "hosted",
        "file_access": "visible",
        "url_private": url,
        "url_private_download": url.replace(f"{file.id}/", f"{file.id}/download/"),
        "permalink": f"{platform.base_url}files/{file.owner}/{file.id}/{file.name}",
        "channels": [c.id for c in channels if not c.private and not c.direct_with],
        "groups": [c.id for c in channels if c.private],
        "ims": [c.id for c in channels if c.direct_with],
        "shares": shares,
    }


def user(user: User) -> JSON:
    return {
        "id": user.id,
        "team_id": user.team.id,
        "name": user.name,
        "real_name": user.name.title(),
        "deleted": False,
        "is_bot": user.bot,
        "is_admin": user.admin,
        "is_owner": False,
        "is_restricted": False,
        "tz": "Europe/Lisbon",
        "profile": {"display_name": user.name, "real_name": user.name.title(), "team": user.team.id},
    }


def team(team: Team) -> JSON:
    written: JSON = {"id": team.id, "domain": team.name}
    if team.enterprise:
        written |= {"enterprise_id": team.enterprise, "enterprise_name": team.enterprise.lower()}
    return written


def view(platform: Platform, view: View) -> JSON:
    home = platform.home
    return {
        "private_metadata": "",
        "callback_id": "",
        "submit": None,
        "close": None,
        "external_id": "",
        "clear_on_close": False,
        "notify_on_close": False,
        **view.view,
        "id": view.id,
        "team_id": view.user.team.id,
        "hash": view.hash,
        "state": {"values": {}},
        "previous_view_id": view.previous.id if view.previous else None,
        "root_view_id": root(view).id,
        "app_id": platform.app_id,
        "app_installed_team_id": home.enterprise if platform.grid else home.id,
        "bot_id": "B0ATELIER",
    }


def root(view: View) -> View:
    return root(view.previous) if view.previous else view
