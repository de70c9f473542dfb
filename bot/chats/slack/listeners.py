"""What Slack tells of becomes what the dispatcher is asked; Slack is answered when it is written down."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.chats.slack.channel_policy import Entrance
from bot.chats.slack.dedup import Once, job_of, key_of
from bot.chats.slack.emoji import EMOJI
from bot.chats.slack.ephemerals import Recipient, recipient
from bot.chats.slack.forms import FORM, MORE, Origin, field_of, texts, unfolded
from bot.chats.slack.history import History
from bot.chats.slack.lora_import import SLOW, Arrivals
from bot.chats.slack.manifest import PAINT_LIKE_THIS, TRAIN_ON_THESE, word_of
from bot.chats.slack.mrkdwn import JSON, messages, plain, unescaped
from bot.chats.slack.posts import Place
from bot.chats.slack.replies import SENT, UNSENT, Answering, told_of_picture
from bot.chats.slack.shortcuts import Shortcuts
from bot.chats.slack.train_form import Trainings
from bot.chats.slack.workspace import CHAT, Workspace, user_of
from bot.dispatch.apply import Reply
from bot.dispatch.dispatcher import Dispatch
from commands.answers import Form
from commands.imagine import imagine
from commands.lora_import import lora_import
from commands.syntax.flags import flag
from commands.syntax.quotes import WORD
from commands.train import train

ANY = re.compile(r".*", re.DOTALL)
PRIVATE = "--private"  # the card goes where only its person sees it
ASKING = ("imagine", "train")  # said alone, they open their forms
ACK = 2.5  # seconds after which Slack may not show any more what comes with the acknowledgement

Listen = Callable[[JSON], Awaitable[JSON]]


class Listeners:
    """Hears everything once, and persists before it answers."""

    def __init__(
        self,
        *,
        secret: str,
        dispatch: Dispatch,
        workspace: Workspace,
        entrance: Entrance,
        answering: Answering,
        trainings: Trainings,
        arrivals: Arrivals,
        shortcuts: Shortcuts,
        history: History,
    ) -> None:
        self._secret = secret
        self._dispatch = dispatch
        self._workspace = workspace
        self._entrance = entrance
        self._answering = answering
        self._trainings = trainings
        self._arrivals = arrivals
        self._shortcuts = shortcuts
        self._history = history
        self._once = Once()

    def register(self, app: AsyncApp) -> None:
        """Let the app call these."""
        app.command(ANY)(self._heard(self._command))
        app.action(MORE)(self._heard(self._unfold))
        app.action(ANY)(self._heard(self._press))
        app.options(ANY)(self._heard(self._suggest))
        app.view(FORM)(self._heard(self._submit))
        app.shortcut(TRAIN_ON_THESE)(self._heard(self._shortcuts.train_on))
        app.shortcut(PAINT_LIKE_THIS)(self._heard(self._shortcuts.paint_like))
        app.event("reaction_added")(self._heard(self._reaction))
        app.event("reaction_removed")(self._heard(self._reaction))
        app.event("app_uninstalled")(self._heard(self._left))

    async def _left(self, body: JSON) -> JSON:
        """The app was removed from the workspace: nothing of it stays."""
        await self._dispatch.forget_space(CHAT, self._workspace.home.space(str(body["team_id"])))
        return {}

    def _heard(self, listen: Listen) -> Callable[[AsyncAck, JSON], Awaitable[None]]:
        async def listener(ack: AsyncAck, body: JSON) -> None:
            key = key_of(body)
            answer = await (self._once.answer(key, lambda: listen(body)) if key else listen(body))
            await ack(dict(answer) if answer else "")

        return listener

    async def _command(self, body: JSON) -> JSON:
        began = time.monotonic()
        name, text = word_of(str(body["command"])), unescaped(str(body.get("text") or "")).strip()
        caller = await self._workspace.caller(body, str(body["channel_id"]))
        to = recipient(caller, body)
        text, alone = _apart(text) if name == imagine.name else (text, False)
        if alone:
            direct = await self._answering.direct(caller)
            if direct is None:
                return self._answer(to, UNSENT, began)
            caller = direct
        refusal = await self._entrance.refusal(caller, name)
        if refusal:
            return self._answer(to, refusal, began)
        if not text and name in ASKING:
            form = Form(command=name, values={})
            told = await self._answering.form(replace(to, caller=caller), form, body["trigger_id"])
            return self._answer(to, told, began)
        saying = self._dispatch.say(caller, f"/{name} {text}", job=self._job(body))
        if f"{name} {text}".lower().startswith(SLOW):
            reply = await self._arrivals.in_time(to, asyncio.create_task(saying))
        else:
            reply = await saying
        if alone and reply.job is not None:
            return self._answer(to, f"{SENT}\n{reply.text}".strip(), began)
        return self._answer(to, await self._beside(to, reply, body), began)

    def _answer(self, to: Recipient, text: str, began: float) -> JSON:
        """The words, with the acknowledgement where they fit in and Slack still shows what comes with it."""
        contents = messages(text) if text else []
        if len(contents) == 1 and time.monotonic() - began < ACK:
            return contents[0]
        if contents:
            self._answering.later(self._answering.tell(to, text))
        return {}

    async def _press(self, body: JSON) -> JSON:
        """A button; what else can be changed in a modal means nothing until it is sent."""
        action, channel = body["actions"][0], body.get("channel")
        if channel is None:
            return {}
        to = recipient(await self._workspace.caller(body, str(channel["id"])), body)
        button = str(action.get("value") or action.get("action_id"))
        reply = await self._dispatch.press(to.caller, button, job=self._job(body))
        told = await self._beside(to, reply, body, source=button)
        if told:
            self._answering.later(self._answering.tell(to, told))
        return {}

    async def _unfold(self, body: JSON) -> JSON:
        await self._answering.change(body["view"]["id"], unfolded(body["view"]))
        return {}

    async def _suggest(self, body: JSON) -> JSON:
        """LoRAs for what was typed; nothing for anything else."""
        view = body.get("view") or {}
        origin = Origin.of(view)
        caller = await self._workspace.caller(body, origin.channel)
        found = await self._dispatch.loras(caller, str(body.get("value") or ""), limit=25)
        options = [
            {"text": plain(one.label, 75), "value": one.value} for one in found if len(one.value) <= 150
        ]
        return {"options": options}

    async def _submit(self, body: JSON) -> JSON:
        """A form that was sent. The job's id comes from the modal: sent twice, it is filed once."""
        view = body["view"]
        origin = Origin.of(view)
        to = Recipient(caller=await self._workspace.caller(body, origin.channel), url=origin.answer)
        refusal = await self._entrance.refusal(to.caller, origin.command)
        if refusal:
            return _wrong(view, refusal)
        job = job_of(self._secret, str(view["id"]))
        if origin.command == train.name:
            return await self._trainings.submit(to, view, user_of(body), job)
        if origin.command == lora_import.name:
            return await self._arrivals.submit(to, view, user_of(body), job)
        source = self._trainings.job_in(origin.source)
        reply = await self._dispatch.fill(to.caller, origin.command, texts(view), job=job, origin=source)
        if not reply.ok:
            return _wrong(view, reply.text)
        if told := await self._beside(to, reply, body):
            self._answering.later(self._answering.tell(to, told))
        return {}

    async def _reaction(self, body: JSON) -> JSON:
        event = body["event"]
        emoji, item = EMOJI.get(str(event.get("reaction"))), event.get("item") or {}
        if emoji is None or item.get("type") != "message" or event["user"] == self._workspace.home.bot:
            return {}
        if (await self._workspace.person(str(event["user"]), body)).bot:
            return {}
        channel, ts = str(item["channel"]), str(item["ts"])
        caller = await self._workspace.caller(body, channel)
        react = partial(
            self._dispatch.react,
            caller,
            emoji=emoji,
            added=event["type"] == "reaction_added",
            job=self._job(body),
        )
        reply = await react(Place(channel=channel, ts=ts).key)
        if reply is None and event.get("item_user") == self._workspace.home.bot:
            card = await self._history.above(channel, ts)  # a picture in the thread stands for its card
            reply = await react(Place(channel=channel, ts=card).key) if card else None
        to = recipient(caller, body)
        if reply is not None and (told := await self._beside(to, reply, body)):
            self._answering.later(self._answering.tell(to, told))
        return {}

    async def _beside(self, to: Recipient, reply: Reply, body: JSON, **origin: Any) -> str:
        """Do what the reply asks for beside words; the words that are left to tell."""
        if reply.form is not None:
            told = await self._answering.form(to, reply.form, body["trigger_id"], **origin)
            return told or reply.text
        if reply.files:
            self._answering.later(self._answering.give(to, reply.files, reply.text))
            return ""
        if reply.loras:
            self._answering.later(self._answering.show(to, reply.loras, reply.text))
            return ""
        if reply.drawn:
            self._answering.later(self._answering.draw(to, *reply.drawn))
            return told_of_picture(to, reply.text)
        return reply.text

    def _job(self, body: JSON) -> Any:
        return job_of(self._secret, key_of(body))


def _apart(text: str) -> tuple[str, bool]:
    """The text without the flag that keeps it private, whatever dashes that has, and whether it was there."""
    found = [word for word in WORD.finditer(text) if (one := flag(word[0])) and one.name == PRIVATE]
    for word in reversed(found):
        text = text[: word.start()] + text[word.end() :]
    return text.strip(), bool(found)


def _wrong(view: JSON, refusal: str) -> JSON:
    """The modal stays open, with the refusal at the field that it is about."""
    return {"response_action": "errors", "errors": {field_of(view, refusal): refusal}}
