"""Submitted forms: their files are taken in, and their commands carried out."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from bot.chats.interface import Caller, CardReply, FormReply, RefusalReply, Reply
from bot.chats.slack.download import Downloads
from bot.chats.slack.forms import Origin, files, texts
from bot.chats.slack.mrkdwn import JSON
from bot.dispatch.dispatcher import Dispatcher
from bot.uploads.file_fields import FormFiles, take_files
from bot.uploads.intake import Intake
from commands.actions import read_button
from commands.forms import InvalidOption, check_needed, pictures_of
from commands.registry import AnyCommand, find
from engine.messages import InvalidRequest, JobId


class FormSubmit:
    """Carries out the command of a form that was sent."""

    def __init__(self, *, dispatch: Dispatcher, intake: Intake, downloads: Downloads) -> None:
        self._dispatch = dispatch
        self._intake = intake
        self._downloads = downloads

    async def submit(self, caller: Caller, view: JSON, user: str, job: JobId) -> Reply:
        """Carry out the form that this user sent; a refusal names its field."""
        origin = Origin.of(view)
        command = find(origin.command)
        try:
            sent = await self._take_files(caller, command, view, user)
        except InvalidOption as error:
            return RefusalReply(text=str(error), field=error.parameter.name)
        except InvalidRequest as error:
            return RefusalReply(text=str(error))
        values, source = {**texts(view), **sent.texts}, _job_in(origin.source)
        reply = await self._dispatch.fill(caller, command.name, values, job=job, origin=source)
        return replace(reply, text=sent.note) if isinstance(reply, CardReply) and sent.note else reply

    async def _take_files(self, caller: Caller, command: AnyCommand, view: JSON, user: str) -> FormFiles:
        """Take in its files, once all that the form needs is there. Raises InvalidRequest."""
        origin, ids = Origin.of(view), files(view)
        shown: frozenset[str] = frozenset()  # files of the message whose menu opened the form
        for parameter in pictures_of(command):
            own = ids.get(parameter.name, [])
            several = parameter.kind == "pictures"
            ids[parameter.name] = (
                [*dict.fromkeys([*origin.files, *own])] if several else own or [*origin.files]
            )
            shown = frozenset() if several else frozenset(origin.files)
        earlier = await self._read_earlier(caller, command, origin)
        names = [parameter.name for parameter in command.files]
        uploaded = [name for name in names if ids.get(name) or earlier.get(name)]
        check_needed(command, texts(view), uploaded)
        uploads = {
            name: [partial(self._downloads.open, file, "" if file in shown else user) for file in ids[name]]
            for name in ids
        }
        return await take_files(self._intake, caller, command, uploads, earlier)

    async def _read_earlier(self, caller: Caller, command: AnyCommand, origin: Origin) -> Mapping[str, str]:
        """Read the files that the form was opened with, which only its button's job knows."""
        if not origin.source or not command.files:
            return {}
        reply = await self._dispatch.press(caller, origin.source)
        if not isinstance(reply, FormReply):
            raise InvalidRequest(reply.text)
        return reply.form.values


def _job_in(button: str) -> JobId | None:
    """The job of a button, if it is one."""
    try:
        return read_button(button)[1]
    except InvalidRequest:
        return None
