"""LoRAs that people send with the form of /lora import: read, kept, and looked at by the engine."""

from bot.chats.interface import Caller, RefusalReply, Reply
from bot.chats.slack.download import Fetching
from bot.chats.slack.forms import Origin, files, texts
from bot.chats.slack.mrkdwn import JSON
from bot.dispatch.dispatcher import Dispatcher
from bot.uploads.intake import Intake
from engine.messages import InvalidRequest, JobId
from storage.database import CannotStore

FILE = "file"
NO_FILE = "send a LoRA that ends in .safetensors."
UNKEPT = "the file could not be read or kept: please send it again."


class Arrivals:
    """Takes LoRAs in."""

    def __init__(self, *, dispatch: Dispatcher, intake: Intake, fetching: Fetching) -> None:
        self._dispatch = dispatch
        self._intake = intake
        self._fetching = fetching

    async def submit(self, caller: Caller, view: JSON, user: str, job: JobId) -> Reply:
        """The reply to the sent form."""
        sent = files(view)
        if not sent:
            return RefusalReply(text=NO_FILE, field=FILE)
        try:
            chunks = self._fetching.chunks(sent[0], user)
            sha256 = await self._intake.take_lora(caller, chunks)
        except (InvalidRequest, CannotStore) as error:
            return RefusalReply(text=str(error))
        except OSError:
            return RefusalReply(text=UNKEPT)
        values = {**texts(view), FILE: sha256}
        return await self._dispatch.fill(caller, Origin.of(view).command, values, job=job)
