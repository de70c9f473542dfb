"""files.*: the upload in three calls, and what became of it."""

import time

from tests.fakes.slack import json_views
from tests.fakes.slack.block_text import JSON
from tests.fakes.slack.methods.chat import make_message
from tests.fakes.slack.platform import Platform, Refused, Upload
from tests.fakes.slack.world import Channel, File, Message


def upload_url(platform: Platform, given: JSON) -> JSON:
    name, length = str(given.get("filename") or ""), int(given.get("length") or 0)
    if not name or length <= 0:
        raise Refused("invalid_arguments")
    home = platform.home
    file = File(platform.world.id("F"), name, b"", home.bot, home)
    platform.world.files[file.id] = file
    platform.uploads[file.id] = Upload(file=file, length=length)
    return {"upload_url": f"{platform.base_url}upload/v1/{file.id}", "file_id": file.id}


def complete(platform: Platform, given: JSON) -> JSON:
    """The files are shared as one message, after they have been processed: or never, if so was planned.

    Each upload can be completed once.
    """
    files = [_find_upload(platform, file) for file in given.get("files") or []]
    if not files:
        raise Refused("invalid_arguments")
    names = [given["channel_id"]] if given.get("channel_id") else str(given.get("channels") or "").split(",")
    channels = [platform.channel({"channel": name}) for name in names if name]
    for file in files:
        file.ready_at = time.monotonic() + platform.processing
        file.complete = True
    if channels and platform.unshared > 0:
        platform.unshared -= 1
    else:
        for channel in channels:
            _share(platform, channel, files, given)
    return {"files": [json_views.file(platform, file) for file in files]}


def info(platform: Platform, given: JSON) -> JSON:
    return {"file": json_views.whole_file(platform, _find_file(platform, given.get("file"))), "comments": []}


def delete(platform: Platform, given: JSON) -> JSON:
    file = _find_file(platform, given.get("file"))
    file.deleted = True
    for message in file.shares:
        message.files.remove(file)
        message.deleted = message.deleted or not (message.files or message.text or message.blocks)
    return {}


def _thread(channel: Channel, given: JSON) -> str | None:
    """Files go into the thread of a message, never of a reply."""
    ts = given.get("thread_ts")
    above = channel.find(ts) if ts else None
    if ts and (above is None or above.thread_ts not in (None, above.ts)):
        raise Refused("invalid_thread_ts")
    return ts


def _share(platform: Platform, channel: Channel, files: list[File], given: JSON) -> None:
    ts, bot = platform.world.ts(), channel.team.bot
    comment = {"text": given.get("initial_comment"), "blocks": given.get("blocks")}
    has_comment = any(comment.values())
    message = make_message(platform, channel, comment) if has_comment else Message(channel, ts, bot)
    message.files = list(files)
    message.thread_ts = _thread(channel, given)
    channel.post(message)
    for file in files:
        file.shares.append(message)


def _find_upload(platform: Platform, given: JSON) -> File:
    file = _find_file(platform, given.get("id"))
    if not file.content or file.complete:
        raise Refused("file_not_found")
    file.title = str(given.get("title") or file.name)
    return file


def _find_file(platform: Platform, file_id: object) -> File:
    file = platform.world.files.get(str(file_id))
    if file is None:
        raise Refused("file_not_found")
    if file.deleted:
        raise Refused("file_deleted")
    return file
