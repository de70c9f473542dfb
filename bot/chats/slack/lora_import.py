"""LoRAs that people send with the form of /lora import: read, kept, and looked at by the engine."""

import asyncio

from bot.chats.interface import Caller
from bot.chats.slack.download import Fetching
from bot.chats.slack.ephemerals import Recipient
from bot.chats.slack.forms import Origin, field_of, files, notice, texts
from bot.chats.slack.mrkdwn import JSON
from bot.chats.slack.replies import Answering
from bot.dispatch.apply import Reply
from bot.dispatch.dispatcher import Dispatch
from bot.uploads.intake import Intake
from commands.lora_import import lora_import, lora_merge
from engine.messages import InvalidRequest, JobId
from storage.database import CannotStore

PATIENCE = 1.8  # seconds that an answer may take until Slack is told that it takes longer
SLOW = (lora_import.name, lora_merge.name)  # commands whose answers wait for the engine
FILE = "file"
NO_FILE = "send a LoRA that ends in .safetensors."
UNKEPT = "the file could not be read or kept: please send it again."
LOOKING = "The engine is looking at it; the answer comes into the channel, for you alone."


class Arrivals:
    """Takes LoRAs in, and tells later what takes the engine longer than Slack waits."""

    def __init__(
        self, *, dispatch: Dispatch, intake: Intake, fetching: Fetching, answering: Answering
    ) -> None:
        self._dispatch = dispatch
        self._intake = intake
        self._fetching = fetching
        self._answering = answering

    async def in_time(self, to: Recipient, asking: "asyncio.Task[Reply]") -> Reply:
        """The reply, or that it comes later; then its person is told."""
        done, _ = await asyncio.wait({asking}, timeout=PATIENCE)
        if done:
            return asking.result()
        self._answering.later(self._tell(to, asking))
        return Reply(text=LOOKING)

    async def submit(self, to: Recipient, view: JSON, user: str, job: JobId) -> JSON:
        """The answer to the sent form; the modal stays open for a refusal that comes at once."""
        sent = files(view)
        if not sent:
            return {"response_action": "errors", "errors": {FILE: NO_FILE}}
        bringing = asyncio.create_task(self._bring(to.caller, view, user, sent[0], job))
        done, _ = await asyncio.wait({bringing}, timeout=PATIENCE)
        if not done:
            self._answering.later(self._tell(to, bringing))
            return {"response_action": "update", "view": notice(f"/{lora_import.name}", LOOKING)}
        reply = bringing.result()
        if not reply.ok:
            return {"response_action": "errors", "errors": {field_of(view, reply.text): reply.text}}
        self._answering.later(self._answering.tell(to, reply.text))
        return {}

    async def _bring(self, caller: Caller, view: JSON, user: str, file: str, job: JobId) -> Reply:
        try:
            chunks = self._fetching.chunks(file, user)
            sha256 = await self._intake.take_lora(caller, chunks)
        except (InvalidRequest, CannotStore) as error:
            return Reply(ok=False, text=str(error))
        except OSError:
            return Reply(ok=False, text=UNKEPT)
        values = {**texts(view), FILE: sha256}
        return await self._dispatch.fill(caller, Origin.of(view).command, values, job=job)

    async def _tell(self, to: Recipient, asking: "asyncio.Task[Reply]") -> None:
        reply = await asking
        if reply.files:
            await self._answering.give(to, reply.files, reply.text)
        else:
            await self._answering.tell(to, reply.text)
