"""The form of /train as it is sent: its files are read, kept, and become a draft that its person starts."""

import asyncio
import json
from collections.abc import Sequence
from typing import NamedTuple

from bot.chats.interface import Caller
from bot.chats.slack.download import Fetching
from bot.chats.slack.ephemerals import Recipient
from bot.chats.slack.fields import MOST_FILES
from bot.chats.slack.forms import Origin, field_of, files, notice, texts
from bot.chats.slack.mrkdwn import JSON
from bot.chats.slack.replies import Answering
from bot.dispatch.dispatcher import Dispatch
from bot.uploads.intake import Intake, Kept, Sent, left_out
from commands.actions import read_button
from commands.syntax.numbers import counted
from commands.train import train
from engine.messages import InvalidRequest, JobId
from storage.database import CannotStore

PATIENCE = 1.8  # seconds that reading files may take until Slack is told that it takes longer
AT_ONCE = 3  # files that are read side by side
TITLE = "/train"
CONSENT = "tick the box: the pictures must be yours to use for this."
NO_PICTURES = "send at least one picture: PNG, JPEG, WEBP, or a zip of them."
UNKEPT = "the pictures could not be read or kept: please send them again."
READING = "Your pictures are being read; the report comes into the channel."
KINDS = ("image/", "application/zip")


class Refusal(NamedTuple):
    """Why a form is not taken, and the field that it is about."""

    field: str
    text: str


class Trainings:
    """Takes pictures in and files drafts."""

    def __init__(
        self, *, dispatch: Dispatch, intake: Intake, fetching: Fetching, answering: Answering
    ) -> None:
        self._dispatch = dispatch
        self._intake = intake
        self._fetching = fetching
        self._answering = answering

    async def submit(self, to: Recipient, view: JSON, user: str, job: JobId) -> JSON:
        """The answer to the sent form; when the files take long, the modal says so and then how it went."""
        if texts(view).get("consent") != "true":
            return _wrong("consent", CONSENT)
        filing = asyncio.create_task(self._file(to, view, user, job))
        done, _ = await asyncio.wait({filing}, timeout=PATIENCE)
        if done:
            refusal = filing.result()
            return {} if refusal is None else _wrong(refusal.field, refusal.text)
        self._answering.later(self._tell_later(to, view, filing))
        return {"response_action": "update", "view": notice(TITLE, READING)}

    def job_in(self, button: str) -> JobId | None:
        """The job of a button, if it is one."""
        try:
            return read_button(button)[1]
        except InvalidRequest:
            return None

    async def _tell_later(self, to: Recipient, view: JSON, filing: "asyncio.Task[Refusal | None]") -> None:
        refusal = await filing
        if refusal is not None:
            await self._answering.tell(to, refusal.text)
            await self._answering.change(view["id"], notice(TITLE, refusal.text))

    async def _file(self, to: Recipient, view: JSON, user: str, job: JobId) -> "Refusal | None":
        """Everything from the files to the draft's row."""
        caller, origin, values = to.caller, Origin.of(view), texts(view)
        try:
            sent = await self._taken(caller, user, [*origin.files, *files(view)])
            there = await self._there(caller, origin)
        except (InvalidRequest, CannotStore) as error:
            return Refusal("pictures", str(error))
        except OSError:
            return Refusal("pictures", UNKEPT)
        pictures = [*there, *(_example(one) for one in sent.pictures)]
        refused = "\n".join(left_out(sent.refused))
        if not pictures:
            return Refusal("pictures", refused or NO_PICTURES)
        values["pictures"] = json.dumps(pictures, ensure_ascii=False)
        source = self.job_in(origin.source)
        reply = await self._dispatch.fill(caller, train.name, values, job=job, origin=source)
        if not reply.ok:
            return Refusal(field_of(view, reply.text), reply.text)
        if refused:
            self._answering.later(self._answering.tell(to, refused))
        return None

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
        if reply.form is None:
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


def _wrong(field: str, refusal: str) -> JSON:
    return {"response_action": "errors", "errors": {field: refusal}}
