"""What can be done with a message from its menu: paint like it, or train on its pictures."""

from bot.chats.slack.channel_policy import Entrance
from bot.chats.slack.download import Fetching
from bot.chats.slack.ephemerals import Recipient, recipient
from bot.chats.slack.forms import notice
from bot.chats.slack.mrkdwn import JSON, unescaped
from bot.chats.slack.replies import Answering
from bot.chats.slack.train_form import pictures_of
from bot.chats.slack.workspace import Workspace, user_of
from bot.dispatch.dispatcher import Dispatch
from commands.answers import Form
from commands.imagine import imagine
from commands.pasted_recipe import pasted
from commands.train import train
from engine.messages import InvalidRequest

LONGEST_PROMPT = 2000  # characters of a message that are taken
NOTHING_LIKE_IT = "this message shows no picture of the bot's, and it has no words to paint."


class Shortcuts:
    """Each opens a form, or a modal that says why it does not."""

    def __init__(
        self,
        *,
        dispatch: Dispatch,
        workspace: Workspace,
        entrance: Entrance,
        answering: Answering,
        fetching: Fetching,
    ) -> None:
        self._dispatch = dispatch
        self._workspace = workspace
        self._entrance = entrance
        self._answering = answering
        self._fetching = fetching

    async def train_on(self, body: JSON) -> JSON:
        """The form of /train with the pictures of a message, if the caller posted them."""
        caller, trigger = await self._workspace.caller(body, str(body["channel"]["id"])), body["trigger_id"]
        files: tuple[str, ...] = ()
        try:
            told = await self._fetching.described(body["message"].get("files") or ())
            files, refusal = pictures_of(told, user_of(body))
        except InvalidRequest as error:
            refusal = str(error)
        refusal = refusal or await self._entrance.refusal(caller, train.name)
        if refusal:
            await self._answering.open(trigger, notice("Train on these", refusal))
        else:
            await self._answering.form(
                recipient(caller, body), Form(command=train.name, values={}), trigger, files=files
            )
        return {}

    async def paint_like(self, body: JSON) -> JSON:
        """The form that painted this, or one with a message's words as the prompt."""
        caller, trigger = await self._workspace.caller(body, str(body["channel"]["id"])), body["trigger_id"]
        to = recipient(caller, body)
        shown = body["message"]
        for ts in (shown.get("ts"), shown.get("thread_ts")):
            card = await self._dispatch.job_of(caller, f"{caller.channel}-{ts}") if ts else None
            if card is not None and card.kind == "paint":
                return await self._edit(to, f"edit:{card.job}", trigger)
        words = unescaped(str(shown.get("text") or "")).strip()
        if pasted(words) is not None:
            return await self._paint_pasted(to, words, trigger)
        if words and shown.get("user") != self._workspace.home.bot:
            form = Form(command=imagine.name, values={"prompt": words[:LONGEST_PROMPT]})
            await self._answering.form(to, form, trigger)
        else:
            await self._answering.open(trigger, notice("Paint like this", NOTHING_LIKE_IT))
        return {}

    async def _paint_pasted(self, to: Recipient, words: str, trigger: str) -> JSON:
        """The form with the recipe that somebody wrote here, and what of it is not known."""
        reply = await self._dispatch.read_recipe(to.caller, words)
        told = reply.text
        if reply.form is not None:
            told = await self._answering.form(to, reply.form, trigger) or told
        if told:
            self._answering.later(self._answering.tell(to, told))
        return {}

    async def _edit(self, to: Recipient, button: str, trigger: str) -> JSON:
        reply = await self._dispatch.press(to.caller, button)
        if reply.form is not None:
            await self._answering.form(to, reply.form, trigger, source=button)
        else:
            await self._answering.open(trigger, notice("Paint like this", reply.text))
        return {}
