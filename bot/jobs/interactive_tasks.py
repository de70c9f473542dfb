"""What the engine does beside the queue while somebody waits: it lets LoRAs in, merges and compares them."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager

import structlog

from bot.engine_client.client import EngineClient
from bot.engine_client.pending_jobs import EngineUnavailable, InterimUpdate, Lost
from bot.garbage_collection import GarbageCollector
from commands.answers import TaskResult
from engine.messages import (
    Cancelled,
    Failed,
    ImportLora,
    InvalidRequest,
    LoraImported,
    LoraScores,
    LorasMerged,
    MergeLoras,
    SearchLoras,
    weights_hash,
)
from storage.files import Files

log = structlog.get_logger(__name__)

PATIENCE = 600.0  # seconds: chats take an answer for a quarter of an hour
SOON = 30.0  # seconds that a search waits: there is another one
NOT_NOW = "the engine that compares pictures with words is not there now: /loras WORDS searches by words."


class InteractiveTasks:
    """One at a time for each person. Nothing of it is filed: what is lost is simply said again."""

    def __init__(self, engine: EngineClient, files: Files, garbage: GarbageCollector) -> None:
        self._engine = engine
        self._files = files
        self._garbage = garbage
        self._busy: set[int] = set()

    @asynccontextmanager
    async def run(
        self, person_id: int, request: ImportLora | MergeLoras | SearchLoras
    ) -> AsyncGenerator[TaskResult | LoraScores]:
        """What the engine found; its files stay in the store until the row is written that is made in here.

        Raises InvalidRequest with one sentence; CannotStore, OSError.
        """
        if person_id in self._busy:
            raise InvalidRequest("your last LoRA is still being looked at: wait until that has ended.")
        self._busy.add(person_id)
        try:
            told = await self._run_in_engine(request)
        finally:
            self._busy.discard(person_id)
        if isinstance(told, LoraScores):
            yield told
            return
        made = [told.sha256]
        try:
            async with self._garbage.pause():
                path = self._files.path(told.sha256)
                if path is not None and not await asyncio.to_thread(path.is_file):
                    raise InvalidRequest("the file is gone again: please say it once more.")
                numbers = "" if path is None else await asyncio.to_thread(weights_hash, path)
                made.append(thumbnail := await self._files.put(told.picture))
                sheet = await self._files.put(told.sheet) if isinstance(told, LorasMerged) else None
                made += [sheet] if sheet is not None else []
                yield TaskResult(lora=told, thumbnail=thumbnail, sheet=sheet, numbers=numbers)
        finally:
            await self._garbage.remove(made)  # unless there is a row now that needs them

    async def _run_in_engine(
        self, request: ImportLora | MergeLoras | SearchLoras
    ) -> LoraImported | LorasMerged | LoraScores:
        patience = SOON if isinstance(request, SearchLoras) else PATIENCE
        try:
            async with asyncio.timeout(patience), aclosing(self._engine.work(request)) as news:
                async for update in news:
                    match update:
                        case LoraImported() | LorasMerged() | LoraScores():
                            return update
                        case Failed():
                            if not update.expected:
                                log.error("the engine failed a look", job=request.job, reason=update.reason)
                            await self._garbage.remove(update.left)
                            later = ": try it again later." if update.again else ""
                            raise InvalidRequest(f"{update.reason}{later}")
                        case Lost():
                            log.warning("a look was lost with its engine", job=request.job, died=update.died)
                            raise InvalidRequest("the engine died meanwhile: please say it once more.")
                        case Cancelled():
                            await self._garbage.remove(update.left)
                            raise InvalidRequest("it was cancelled.")
                        case _ if not isinstance(update, InterimUpdate):
                            raise AssertionError(f"look {request.job} ended as {type(update).__name__}")
        except TimeoutError:
            if isinstance(request, SearchLoras):
                raise InvalidRequest(NOT_NOW) from None
            raise InvalidRequest(
                f"the engine did not get to it within {PATIENCE / 60:g} minutes: try it again later."
            ) from None
        except EngineUnavailable as refusal:
            if isinstance(request, SearchLoras):
                raise InvalidRequest(NOT_NOW) from refusal
            raise InvalidRequest(str(refusal)) from refusal
        raise AssertionError(f"look {request.job} ended without an end")
