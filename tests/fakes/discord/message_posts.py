"""How messages come to be and change: the same rules for the bot's token and for an interaction's."""

from tests.fakes.discord.accounts import ATTACH, EMBED, SEND, SEND_IN_THREADS, VIEW, Json, User, now
from tests.fakes.discord.filters import Filters
from tests.fakes.discord.message import EPHEMERAL, LOADING, Message, Upload
from tests.fakes.discord.rules import Refused, check_message, need
from tests.fakes.discord.uploads import Uploads
from tests.fakes.discord.world import DIRECT, THREAD, Channel

SETTABLE = EPHEMERAL | 1 << 2 | 1 << 12 | 1 << 15  # ephemeral, no link previews, silent, components V2
NO_ACCESS = Refused(403, 50001, "Missing Access")
NO_PERMISSION = Refused(403, 50013, "Missing Permissions")
NOT_TO_THEM = Refused(403, 50007, "Cannot send messages to this user")
NO_CHANNEL = Refused(404, 10003, "Unknown Channel")
NO_MESSAGE = Refused(404, 10008, "Unknown Message")
ARCHIVED = Refused(400, 50083, "Thread is archived")
TOO_OFTEN = Refused(429, 30046, "Maximum number of edits to messages older than 1 hour reached")
OLD, OLD_EDITS = 3600.0, 5  # seconds, after which a message takes so many edits; how many is our guess
EMPTY = Refused(400, 50006, "Cannot send an empty message")


class Posting:
    """Posts and edits messages of the bot."""

    def __init__(self, me: User, uploads: Uploads, filters: Filters) -> None:
        self._me = me
        self._uploads = uploads
        self._filters = filters

    def allow(self, channel: Channel, sent: Json, files: dict[str, bytes]) -> None:
        """Refuse what the bot may not post in this channel."""
        self.see(channel)
        if channel.kind == DIRECT:
            if channel.recipient is not None and channel.recipient.closed:
                raise NOT_TO_THEM
            return
        needed = SEND_IN_THREADS if channel.kind == THREAD else SEND
        needed |= (ATTACH if files else 0) | (EMBED if sent.get("embeds") else 0)
        if needed & ~channel.permissions:
            raise NO_PERMISSION

    def see(self, channel: Channel) -> None:
        """Refuse a channel that is gone, or that the bot does not see."""
        if channel.gone:
            raise NO_CHANNEL
        if channel.kind != DIRECT and not channel.permissions & VIEW:
            raise NO_ACCESS

    def post(
        self,
        channel: Channel,
        sent: Json,
        files: dict[str, bytes],
        *,
        interaction: Json | None = None,
        flags: int = 0,
    ) -> Message:
        """A new message."""
        if channel.gone:
            raise NO_CHANNEL
        check_message(sent, files=len(files))
        if not any(sent.get(key) for key in ("content", "embeds", "components")) and not files:
            raise EMPTY
        self._filters.check(channel, sent, files)
        uploads = self._uploads.keep_all(files, channel.file_limit)
        message = Message(channel=channel, author=self._me, interaction=interaction, uploads=uploads)
        message.flags = (sent.get("flags") or 0) & SETTABLE | flags
        if not message.ephemeral:
            channel.archived = False  # a word that all see brings a thread back
        message.nonce = None if sent.get("nonce") is None else str(sent["nonce"])
        self._write(message, sent)
        channel.posted.append(message)
        return message

    def think(self, channel: Channel, flags: int, interaction: Json) -> Message:
        """The message that says the bot is thinking."""
        message = Message(channel=channel, author=self._me, flags=flags | LOADING, interaction=interaction)
        channel.posted.append(message)
        return message

    def touch(self, message: Message) -> None:
        """Refuse to change, or to take away, what lies in a thread in the archive."""
        if message.channel.archived:
            raise ARCHIVED

    def edit(self, message: Message, sent: Json, files: dict[str, bytes]) -> Message:
        """Another text, other embeds, rows or files; what is not named stays."""
        self.touch(message)
        if message.deleted or message.channel.gone:
            raise NO_MESSAGE
        check_message(sent, files=len(files))
        self._filters.check(message.channel, sent, files)
        if message.age > OLD:
            if message.old_edits >= OLD_EDITS:
                raise TOO_OFTEN
            message.old_edits += 1
        new = self._uploads.keep_all(files, message.channel.file_limit)
        uploads = message.uploads
        if "attachments" in sent:
            named = {str(attachment["id"]) for attachment in sent["attachments"] or []}
            uploads = [upload for upload in message.uploads if str(upload.id) in named]
        trial = Message(channel=message.channel, author=self._me, uploads=[*uploads, *new])
        trial.embeds, trial.content, trial.rows = message.embeds, message.content, message.rows
        self._write(trial, sent)
        message.uploads, message.embeds = trial.uploads, trial.embeds
        message.content, message.rows = trial.content, trial.rows
        message.allowed_mentions = sent.get("allowed_mentions", message.allowed_mentions)
        message.flags &= ~LOADING
        message.edits += 1
        message.edited = now()
        return message

    def _write(self, message: Message, sent: Json) -> None:
        if "content" in sent:
            message.content = sent["content"] or ""
        if "embeds" in sent:
            message.embeds = [embed_with_files(embed, message.uploads) for embed in sent["embeds"] or []]
        if "components" in sent:
            message.rows = sent["components"] or []
        message.allowed_mentions = sent.get("allowed_mentions", message.allowed_mentions)


def embed_with_files(embed: Json, uploads: list[Upload]) -> Json:
    """The embed as it is kept: attachment://name is the address of that file."""
    embed = {"type": "rich", **embed}
    for key in ("image", "thumbnail"):
        url = (embed.get(key) or {}).get("url", "")
        if url.startswith("attachment://"):
            name = url.removeprefix("attachment://")
            upload_of_embed = next((upload for upload in uploads if upload.name == name), None)
            need(f"no file {name!r} is attached", upload_of_embed is not None)
            assert upload_of_embed is not None
            embed[key] = {"url": upload_of_embed.url, "proxy_url": upload_of_embed.url}
    return embed
