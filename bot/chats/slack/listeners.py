"""Listeners of Slack's commands, buttons, forms and events, which ask the dispatcher."""

import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.chats.interface import Caller, FormReply, RefusalReply, Reply, TextReply
from bot.chats.slack.channel_policy import ChannelPolicy
from bot.chats.slack.dedup import Deduplication, job_of, key_of
from bot.chats.slack.emoji import EMOJI
from bot.chats.slack.ephemerals import Recipient, recipient
from bot.chats.slack.form_submit import FormSubmit
from bot.chats.slack.forms import FORM, MORE, Origin, unfold
from bot.chats.slack.history import History
from bot.chats.slack.manifest import PAINT_FROM_THIS, PAINT_LIKE_THIS, TRAIN_ON_THESE
from bot.chats.slack.mrkdwn import JSON, plain, unescape
from bot.chats.slack.posts import Place
from bot.chats.slack.replies import (
    ACK,
    LOOKING,
    PATIENCE,
    READING,
    SENT,
    UNSENT,
    Replies,
    SlackSink,
    SubmitSink,
)
from bot.chats.slack.shortcuts import Shortcuts
from bot.chats.slack.slash_names import SlashNames, word_of
from bot.chats.slack.workspace import CHAT, Workspace, user_of
from bot.dispatch.dispatcher import Dispatcher
from commands.answers import Form
from commands.registry import COMMANDS, find, runs_task
from commands.syntax.flags import read_flag
from commands.syntax.quotes import WORD
from engine.messages import JobId

ANY = re.compile(r".*", re.DOTALL)
PRIVATE = "--private"  # the card goes where only its person sees it

Listen = Callable[[JSON], Awaitable[JSON]]


class Listeners:
    """Handles each thing once, and stores what is asked before it answers."""

    def __init__(
        self,
        *,
        secret: str,
        dispatch: Dispatcher,
        workspace: Workspace,
        policy: ChannelPolicy,
        replies: Replies,
        forms: FormSubmit,
        shortcuts: Shortcuts,
        history: History,
        slash_names: SlashNames,
    ) -> None:
        self._secret = secret
        self._dispatch = dispatch
        self._workspace = workspace
        self._policy = policy
        self._replies = replies
        self._forms = forms
        self._shortcuts = shortcuts
        self._history = history
        self._slash_names = slash_names
        self._deduplication = Deduplication()

    def register(self, app: AsyncApp) -> None:
        """Let the app call these."""
        app.command(ANY)(self._listener_for(self._handle_command))
        app.action(MORE)(self._listener_for(self._unfold))
        app.action(ANY)(self._listener_for(self._handle_button))
        app.options(ANY)(self._listener_for(self._suggest))
        app.view(FORM)(self._listener_for(self._submit))
        app.shortcut(TRAIN_ON_THESE)(self._listener_for(self._shortcuts.train_on))
        app.shortcut(PAINT_LIKE_THIS)(self._listener_for(self._shortcuts.paint_like))
        app.shortcut(PAINT_FROM_THIS)(self._listener_for(self._shortcuts.paint_from))
        app.event("reaction_added")(self._listener_for(self._handle_reaction))
        app.event("reaction_removed")(self._listener_for(self._handle_reaction))
        app.event("app_uninstalled")(self._listener_for(self._forget_team))

    async def _forget_team(self, body: JSON) -> JSON:
        """Delete the data of a workspace that removed the app."""
        await self._dispatch.forget_space(CHAT, self._workspace.installation.space(str(body["team_id"])))
        return {}

    def _listener_for(self, listen: Listen) -> Callable[[AsyncAck, JSON], Awaitable[None]]:
        async def listener(ack: AsyncAck, body: JSON) -> None:
            key = key_of(body)
            answer = await (self._deduplication.answer(key, lambda: listen(body)) if key else listen(body))
            await ack(dict(answer) if answer else "")

        return listener

    async def _handle_command(self, body: JSON) -> JSON:
        until = time.monotonic() + ACK
        slash = str(body["command"])
        self._slash_names.learn(slash)
        name, text = word_of(slash), unescape(str(body.get("text") or "")).strip()
        caller = await self._workspace.read_caller(body, str(body["channel_id"]))
        to = recipient(caller, body)
        command = COMMANDS.get(name)
        text, alone = _split_private(text) if command is not None and command.private else (text, False)
        place = await self._replies.open_direct(caller) if alone else caller
        sink = SlackSink(
            self._replies,
            to,
            trigger=body["trigger_id"],
            until=until,
            card_note=SENT if alone else "",
            channel=(place or caller).channel,
        )
        patience = PATIENCE if _may_run_task(f"{name} {text}") else None
        return await self._replies.acknowledge(self._say(place, name, text, self._job(body)), sink, patience)

    async def _say(self, caller: Caller | None, name: str, text: str, job: JobId) -> Reply:
        """Ask the dispatcher; the caller is None if nothing can be sent to them."""
        if caller is None:
            return RefusalReply(text=UNSENT)
        refusal = await self._policy.find_refusal(caller, name)
        if refusal:
            return RefusalReply(text=refusal)
        command = COMMANDS.get(name)
        if not text and command is not None and command.submit:
            return FormReply(form=Form(command=name, values={}))
        return await self._dispatch.say(caller, f"/{name} {text}", job=job)

    async def _handle_button(self, body: JSON) -> JSON:
        """Handle a button; other elements of a modal mean nothing until it is sent."""
        action, channel = body["actions"][0], body.get("channel")
        if channel is None:
            return {}
        to = recipient(await self._workspace.read_caller(body, str(channel["id"])), body)
        chosen = action.get("selected_option") or action
        button = str(chosen.get("value") or action.get("action_id"))
        sink = SlackSink(self._replies, to, trigger=body["trigger_id"], source=button)
        asking = self._dispatch.press(to.caller, button, job=self._job(body))
        return await self._replies.acknowledge(asking, sink)

    async def _unfold(self, body: JSON) -> JSON:
        await self._replies.update_modal(body["view"]["id"], unfold(body["view"]))
        return {}

    async def _suggest(self, body: JSON) -> JSON:
        """Suggest LoRAs for what was typed, with weights where several can be chosen."""
        origin = Origin.of(body.get("view") or {})
        caller = await self._workspace.read_caller(body, origin.channel)
        suggestions = await self._dispatch.complete_loras(caller, str(body.get("value") or ""), limit=25)
        single = {
            suggestion.name for suggestion in find(origin.command).parameters if suggestion.kind == "lora"
        }
        if body["action_id"] in single:
            suggestions = [
                replace(suggestion, value=suggestion.value.partition(":")[0]) for suggestion in suggestions
            ]
        options = [
            {"text": plain(suggestion.label, 75), "value": suggestion.value}
            for suggestion in suggestions
            if len(suggestion.value) <= 150
        ]
        return {"options": options}

    async def _submit(self, body: JSON) -> JSON:
        """Handle a form that was sent. The job's id comes from the modal, so that it is made once."""
        view = body["view"]
        origin = Origin.of(view)
        to = Recipient(caller=await self._workspace.read_caller(body, origin.channel), url=origin.answer)
        command = find(origin.command)
        sink = SubmitSink(self._replies, to, view, LOOKING if runs_task(command) else READING)
        patience = PATIENCE if command.files or runs_task(command) else None
        return await self._replies.acknowledge(self._fill(to.caller, body, origin), sink, patience)

    async def _fill(self, caller: Caller, body: JSON, origin: Origin) -> Reply:
        """Ask the dispatcher to carry out a modal's values and files."""
        view, user = body["view"], user_of(body)
        job = job_of(self._secret, str(view["id"]))
        refusal = await self._policy.find_refusal(caller, origin.command)
        if refusal:
            return RefusalReply(text=refusal)
        return await self._forms.submit(caller, view, user, job)

    async def _handle_reaction(self, body: JSON) -> JSON:
        event = body["event"]
        emoji, item = EMOJI.get(str(event.get("reaction"))), event.get("item") or {}
        if (
            emoji is None
            or item.get("type") != "message"
            or event["user"] == self._workspace.installation.bot
        ):
            return {}
        if (await self._workspace.read_person(str(event["user"]), body)).bot:
            return {}
        caller = await self._workspace.read_caller(body, str(item["channel"]))
        sink = SlackSink(self._replies, recipient(caller, body))
        return await self._replies.acknowledge(self._react(caller, emoji, body), sink)

    async def _react(self, caller: Caller, emoji: str, body: JSON) -> Reply:
        """Ask the dispatcher; a picture in a card's thread stands for the card."""
        event, ts = body["event"], str(body["event"]["item"]["ts"])
        react = partial(
            self._dispatch.react,
            caller,
            emoji=emoji,
            added=event["type"] == "reaction_added",
            job=self._job(body),
        )
        reply = await react(Place(channel=caller.channel, ts=ts).key)
        if reply is None and event.get("item_user") == self._workspace.installation.bot:
            card = await self._history.find_thread_parent(caller.channel, ts)
            reply = await react(Place(channel=caller.channel, ts=card).key) if card else None
        return reply or TextReply()

    def _job(self, body: JSON) -> JobId:
        return job_of(self._secret, key_of(body))


def _may_run_task(line: str) -> bool:
    """Whether the answer to this may wait for the engine: then nothing is filed before Slack is answered."""
    return line.lower().startswith(tuple(name for name, command in COMMANDS.items() if runs_task(command)))


def _split_private(text: str) -> tuple[str, bool]:
    """The text without the flag that keeps it private, whatever dashes that has, and whether it was there."""
    flags = [word for word in WORD.finditer(text) if (flag := read_flag(word[0])) and flag.name == PRIVATE]
    for word in reversed(flags):
        text = text[: word.start()] + text[word.end() :]
    return text.strip(), bool(flags)
