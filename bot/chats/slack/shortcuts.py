"""Shortcuts in the menu of a message: paint like it, paint from it, or train on its pictures."""

from collections.abc import Sequence

from bot.chats.interface import Caller, FormReply, RefusalReply, Reply
from bot.chats.slack.channel_policy import ChannelPolicy
from bot.chats.slack.download import Downloads
from bot.chats.slack.ephemerals import recipient
from bot.chats.slack.fields import MOST_FILES
from bot.chats.slack.mrkdwn import JSON, unescape
from bot.chats.slack.replies import Replies, ShortcutSink
from bot.chats.slack.workspace import Workspace, user_of
from bot.dispatch.dispatcher import Dispatcher
from bot.uploads.file_fields import is_picture, start_note
from commands.actions import button_id
from commands.answers import Form
from commands.imagine import imagine, prompt_form
from commands.pasted_recipe import read_recipe
from commands.syntax.numbers import pluralize
from commands.train import train
from engine.messages import InvalidRequest

KINDS = ("image/", "application/zip")
LONGEST_PROMPT = 2000  # characters of a message that are taken
NOTHING_LIKE_IT = "This message shows none of the bot's pictures and has no words to paint."
NOTHING_FROM = "This message shows no picture. Choose one that does."


class Shortcuts:
    """Each opens a form, or a modal that says why it does not."""

    def __init__(
        self,
        *,
        dispatch: Dispatcher,
        workspace: Workspace,
        policy: ChannelPolicy,
        replies: Replies,
        downloads: Downloads,
    ) -> None:
        self._dispatch = dispatch
        self._workspace = workspace
        self._policy = policy
        self._replies = replies
        self._downloads = downloads

    async def train_on(self, body: JSON) -> JSON:
        """Open the form of /train with the pictures of a message, if the caller posted them."""
        caller = await self._workspace.read_caller(body, str(body["channel"]["id"]))
        files: tuple[str, ...] = ()
        try:
            described = await self._downloads.describe(body["message"].get("files") or ())
            files, refusal = pictures_in(described, user_of(body))
        except InvalidRequest as error:
            refusal = str(error)
        sink = ShortcutSink(
            self._replies, recipient(caller, body), "Train on these", body["trigger_id"], files=files
        )
        return await self._replies.acknowledge(self._make_train_form(caller, refusal), sink)

    async def paint_like(self, body: JSON) -> JSON:
        """Open the form that painted this, or one with a message's words as the prompt."""
        caller, shown = await self._workspace.read_caller(body, str(body["channel"]["id"])), body["message"]
        button = await self._find_button(caller, shown, "edit")
        sink = ShortcutSink(
            self._replies, recipient(caller, body), "Paint like this", body["trigger_id"], source=button
        )
        return await self._replies.acknowledge(self._make_paint_form(caller, shown, button), sink)

    async def paint_from(self, body: JSON) -> JSON:
        """Open the form of /imagine to start from the picture of a message, whoever posted it."""
        caller, shown = await self._workspace.read_caller(body, str(body["channel"]["id"])), body["message"]
        button = await self._find_button(caller, shown, "image")
        pictures: list[JSON] = []
        refusal = ""
        try:
            described = [] if button else await self._downloads.describe(shown.get("files") or ())
            pictures = [
                file
                for file in described
                if is_picture(str(file.get("name") or ""), str(file.get("mimetype") or ""))
            ]
        except InvalidRequest as error:
            refusal = str(error)
        sink = ShortcutSink(
            self._replies,
            recipient(caller, body),
            "Paint from this",
            body["trigger_id"],
            source=button,
            files=tuple(str(file["id"]) for file in pictures[:1]),
        )
        return await self._replies.acknowledge(self._make_start_form(caller, button, pictures, refusal), sink)

    async def _make_start_form(
        self, caller: Caller, button: str, pictures: Sequence[JSON], refusal: str
    ) -> Reply:
        refusal = refusal or await self._policy.find_refusal(caller, imagine.name)
        if button and not refusal:
            return await self._dispatch.press(caller, button)
        if refusal or not pictures:
            return RefusalReply(text=refusal or NOTHING_FROM)
        note = start_note(str(pictures[0].get("name") or ""), len(pictures)) if len(pictures) > 1 else ""
        return FormReply(form=Form(command=imagine.name, values={}), text=note)

    async def _make_train_form(self, caller: Caller, refusal: str) -> Reply:
        refusal = refusal or await self._policy.find_refusal(caller, train.name)
        if refusal:
            return RefusalReply(text=refusal)
        return FormReply(form=Form(command=train.name, values={}))

    async def _find_button(self, caller: Caller, shown: JSON, action: str) -> str:
        """Find this button of the card that a message shows, or its thread's; empty if there is none."""
        for ts in (shown.get("ts"), shown.get("thread_ts")):
            card = await self._dispatch.card_of_message(caller, f"{caller.channel}-{ts}") if ts else None
            if card is not None and card.kind == "paint":
                return button_id(action, card.job)
        return ""

    async def _make_paint_form(self, caller: Caller, shown: JSON, button: str) -> Reply:
        if button:
            return await self._dispatch.press(caller, button)
        words = unescape(str(shown.get("text") or "")).strip()
        if read_recipe(words) is not None:
            return await self._dispatch.read_recipe(caller, words)
        if not words or shown.get("user") == self._workspace.installation.bot:
            return RefusalReply(text=NOTHING_LIKE_IT)
        return FormReply(form=prompt_form(words[:LONGEST_PROMPT]))


def pictures_in(files: Sequence[JSON], user: str) -> tuple[tuple[str, ...], str]:
    """The ids of a message's pictures, and why they cannot be trained on by this person, if so."""
    pictures = [file for file in files if str(file.get("mimetype")).startswith(KINDS)]
    if not pictures:
        return (), "There are no pictures in this message."
    if any(file.get("user") != user for file in pictures):
        return (), "These pictures are not yours. You can train only on pictures that you posted yourself."
    if len(pictures) > MOST_FILES:
        return (
            (),
            f"This message has {pluralize(len(pictures), 'picture')}. At most {MOST_FILES} are allowed.",
        )
    return tuple(str(file["id"]) for file in pictures), ""
