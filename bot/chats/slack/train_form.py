"""The form of /train as it is sent: its files are read, kept, and become a draft that its person starts."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace

from bot.chats.interface import Caller, CardReply, FormReply, RefusalReply, Reply
from bot.chats.slack.download import Fetching
from bot.chats.slack.fields import MOST_FILES
from bot.chats.slack.forms import Origin, files, texts
from bot.chats.slack.mrkdwn import JSON
from bot.dispatch.dispatcher import Dispatcher
from bot.uploads.intake import Intake, Kept, Sent, left_out
from commands.actions import read_button
from commands.syntax.numbers import counted
from commands.train import train
from engine.messages import InvalidRequest, JobId
from storage.database import CannotStore

AT_ONCE = 3  # files that are read side by side
CONSENT = "tick the box: the pictures must be yours to use for this."
NO_PICTURES = "send at least one picture: PNG, JPEG, WEBP, or a zip of them."
UNKEPT = "the pictures could not be read or kept: please send them again."
READING = "Your pictures are being read; the report comes into the channel."
KINDS = ("image/", "application/zip")


class Trainings:
    """Takes pictures in and files drafts."""

    def __init__(self, *, dispatch: Dispatcher, intake: Intake, fetching: Fetching) -> None:
        self._dispatch = dispatch
        self._intake = intake
        self._fetching = fetching

    def job_in(self, button: str) -> JobId | None:
        """The job of a button, if it is one."""
        try:
            return read_button(button)[1]
        except InvalidRequest:
            return None

    async def submit(self, caller: Caller, view: JSON, user: str, job: JobId) -> Reply:
        """The reply to the sent form: everything from its files to the draft's row."""
        origin, values = Origin.of(view), texts(view)
        if values.get("consent") != "true":
            return RefusalReply(text=CONSENT, field="consent")
        try:
            sent = await self._taken(caller, user, [*origin.files, *files(view)])
            there = await self._there(caller, origin)
        except (InvalidRequest, CannotStore) as error:
            return RefusalReply(text=str(error), field="pictures")
        except OSError:
            return RefusalReply(text=UNKEPT, field="pictures")
        pictures = [*there, *(_example(one) for one in sent.pictures)]
        refused = "\n".join(left_out(sent.refused))
        if not pictures:
            return RefusalReply(text=refused or NO_PICTURES, field="pictures")
        values["pictures"] = json.dumps(pictures, ensure_ascii=False)
        source = self.job_in(origin.source)
        reply = await self._dispatch.fill(caller, train.name, values, job=job, origin=source)
        return replace(reply, text=refused) if isinstance(reply, CardReply) else reply

    async def _taken(self, caller: Caller, user: str, ids: Sequence[str]) -> Sent:
        """The pictures in these files, in their order, and what was refused of them."""
        room = asyncio.Semaphore(AT_ONCE)

        async def one(file: str) -> Sent:
            name = ""
            async with room:
                try:
                    fetched = await self._fetching.fetch(file, user)
                    name = fetched.name
                    return await self._intake.take(caller, name, fetched.chunks)
                except InvalidRequest as error:
                    return Sent(refused=((name, str(error)),))

        every = await asyncio.gather(*(one(file) for file in dict.fromkeys(ids)))
        return Sent(
            pictures=tuple(kept for sent in every for kept in sent.pictures),
            refused=tuple(refused for sent in every for refused in sent.refused),
        )

    async def _there(self, caller: Caller, origin: Origin) -> list[JSON]:
        """The pictures that the form was opened with, which only the job behind its button knows."""
        if not origin.source:
            return []
        reply = await self._dispatch.press(caller, origin.source)
        if not isinstance(reply, FormReply):
            raise InvalidRequest(reply.text)
        told: list[JSON] = json.loads(reply.form.values.get("pictures") or "[]")
        return told


def pictures_of(files: Sequence[JSON], user: str) -> tuple[tuple[str, ...], str]:
    """The ids of a message's pictures, and why they cannot be trained on by this person, if so."""
    found = [one for one in files if str(one.get("mimetype")).startswith(KINDS)]
    if not found:
        return (), "there are no pictures in this message."
    if any(one.get("user") != user for one in found):
        return (), "these pictures are not yours: train on pictures that you have posted yourself."
    if len(found) > MOST_FILES:
        return (
            (),
            f"this message has {counted(len(found), 'picture')}, but at most {MOST_FILES} can be taken.",
        )
    return tuple(str(one["id"]) for one in found), ""


def _example(one: Kept) -> JSON:
    return {"sha256": one.sha256, "name": one.name, "caption": one.caption}
