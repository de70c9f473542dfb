"""Messages, files, people and views as Slack writes them in answers and payloads."""

from tests.fakes.slack.platform import Platform, kind_of
from tests.fakes.slack.reading import JSON
from tests.fakes.slack.world import File, Message, Team, User, View


def message(platform: Platform, one: Message, *, metadata: bool = False) -> JSON:
    """A message as conversations.history and interaction payloads have it."""
    bot = one.user == one.channel.team.bot
    written: JSON = {
        "type": "message",
        "user": one.user,
        "ts": one.ts,
        "text": one.text,
        "team": one.channel.team.id,
        "blocks": one.blocks,
    }
    if bot:
        written |= {"bot_id": "B0ATELIER", "app_id": platform.app_id}
    if one.thread_ts or one.thread:
        written["thread_ts"] = one.thread_ts or one.ts
    replies = [reply for reply in one.thread if not reply.deleted]
    if replies:
        written["reply_count"] = len(replies)
    if one.edits:
        written["edited"] = {"user": one.user, "ts": one.ts}
    if one.files:
        written["files"] = [file(platform, attached) for attached in one.files]
    if one.reactions:
        written["reactions"] = [
            {"name": name, "users": [who for other, who in one.reactions if other == name]}
            for name in dict.fromkeys(name for name, _ in one.reactions)
        ]
    if metadata and one.metadata:
        written["metadata"] = one.metadata
    return written


def file(platform: Platform, one: File) -> JSON:
    """A file object; of a file from elsewhere, by Slack Connect, there is little in it."""
    if one.team is platform.home or (platform.grid and one.team.enterprise == platform.home.enterprise):
        return whole_file(platform, one)
    return {
        "id": one.id,
        "mode": "file_access",
        "file_access": "check_file_info",
        "created": 1,
        "timestamp": 1,
    }


def whole_file(platform: Platform, one: File) -> JSON:
    """All of it: kind, size of the picture and shares are empty until it has been processed."""
    url = platform.private_url(one)
    shares: JSON = {}
    for where in one.shares if one.ready else ():
        side = "private" if where.channel.private or where.channel.direct_with else "public"
        entry: JSON = {"ts": where.ts, "channel_name": where.channel.name, "team_id": where.channel.team.id}
        if where.thread_ts:
            entry["thread_ts"] = where.thread_ts
        shares.setdefault(side, {}).setdefault(where.channel.id, []).append(entry)
    channels = [share.channel for share in one.shares if one.ready]
    kind = kind_of(one) if one.ready else ""
    return {
        "id": one.id,
        "name": one.name,
        "title": one.title or one.name,
        "mimetype": kind,
        "filetype": kind.rpartition("/")[2].replace("jpeg", "jpg"),
        "user": one.owner,
        "user_team": one.team.id,
        "size": len(one.content),
        "mode": "hosted",
        "file_access": "visible",
        "url_private": url,
        "url_private_download": url.replace(f"{one.id}/", f"{one.id}/download/"),
        "permalink": f"{platform.base_url}files/{one.owner}/{one.id}/{one.name}",
        "channels": [c.id for c in channels if not c.private and not c.direct_with],
        "groups": [c.id for c in channels if c.private],
        "ims": [c.id for c in channels if c.direct_with],
        "shares": shares,
    }


def user(one: User) -> JSON:
    return {
        "id": one.id,
        "team_id": one.team.id,
        "name": one.name,
        "real_name": one.name.title(),
        "deleted": False,
        "is_bot": one.bot,
        "is_admin": one.admin,
        "is_owner": False,
        "is_restricted": False,
        "tz": "Europe/Lisbon",
        "profile": {"display_name": one.name, "real_name": one.name.title(), "team": one.team.id},
    }


def team(one: Team) -> JSON:
    written: JSON = {"id": one.id, "domain": one.name}
    if one.enterprise:
        written |= {"enterprise_id": one.enterprise, "enterprise_name": one.enterprise.lower()}
    return written


def view(platform: Platform, one: View) -> JSON:
    home = platform.home
    return {
        "private_metadata": "",
        "callback_id": "",
        "submit": None,
        "close": None,
        "external_id": "",
        "clear_on_close": False,
        "notify_on_close": False,
        **one.view,
        "id": one.id,
        "team_id": one.user.team.id,
        "hash": one.hash,
        "state": {"values": {}},
        "previous_view_id": one.previous.id if one.previous else None,
        "root_view_id": root(one).id,
        "app_id": platform.app_id,
        "app_installed_team_id": home.enterprise if platform.grid else home.id,
        "bot_id": "B0ATELIER",
    }


def root(one: View) -> View:
    return root(one.previous) if one.previous else one
