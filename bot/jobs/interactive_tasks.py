"""Tasks of the engine that somebody waits for: importing, merging and searching LoRAs."""

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
    Described,
    DescribePicture,
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

PATIENCE = 600.0  # seconds: chats accept a reply for a quarter of an hour
SOON = 30.0  # seconds that a search waits: there is another way to search
NOT_NOW = "The engine cannot compare pictures now. /loras WORDS searches by words."


EngineTask = ImportLora | MergeLoras | SearchLoras | DescribePicture


class InteractiveTasks:
    """Runs one task at a time for each person. They are not queued: a lost one has to be sent again."""

    def __init__(self, engine: EngineClient, files: Files, garbage: GarbageCollector) -> None:
        self._engine = engine
        self._files = files
        self._garbage = garbage
        self._busy: set[int] = set()

    @asynccontextmanager
    async def run(
        self, person_id: int, request: EngineTask
    ) -> AsyncGenerator[TaskResult | LoraScores | Described]:
        """Run a task in the engine; its files stay in the store while this context is open.

        Raises InvalidRequest with one sentence; CannotStore, OSError.
        """
        if person_id in self._busy:
            raise InvalidRequest("Your last request is still being worked on. Wait until that has ended.")
        self._busy.add(person_id)
        try:
            result = await self._run_in_engine(request)
        finally:
            self._busy.discard(person_id)
        if isinstance(result, LoraScores | Described):
            yield result
            return
        made = [result.sha256]
        try:
            async with self._garbage.pause():
                path = self._files.path(result.sha256)
                if path is not None and not await asyncio.to_thread(path.is_file):
                    raise InvalidRequest("The file is gone. Send it again.")
                digest = "" if path is None else await asyncio.to_thread(weights_hash, path)
                made.append(thumbnail := await self._files.put(result.picture))
                sheet = await self._files.put(result.sheet) if isinstance(result, LorasMerged) else None
                made += [sheet] if sheet is not None else []
                yield TaskResult(lora=result, thumbnail=thumbnail, sheet=sheet, weights_hash=digest)
        finally:
            await self._garbage.remove(made)  # unless there is a row now that needs them

    async def _run_in_engine(
        self, request: EngineTask
    ) -> LoraImported | LorasMerged | LoraScores | Described:
        patience = SOON if isinstance(request, SearchLoras) else PATIENCE
        try:
            async with asyncio.timeout(patience), aclosing(self._engine.work(request)) as updates:
                async for update in updates:
                    match update:
                        case LoraImported() | LorasMerged() | LoraScores() | Described():
                            return update
                        case Failed():
                            if not update.expected:
                                log.error("Task failed in the engine", job=request.job, reason=update.reason)
                            await self._garbage.remove(update.left)
                            later = " Try again later." if update.again else ""
                            raise InvalidRequest(f"{update.reason}{later}")
                        case Lost():
                            log.warning("Task lost with its engine", job=request.job, died=update.died)
                            raise InvalidRequest("The engine died meanwhile. Send the command again.")
                        case Cancelled():
                            await self._garbage.remove(update.left)
                            raise InvalidRequest("It was cancelled.")
                        case _ if not isinstance(update, InterimUpdate):
                            raise AssertionError(f"task {request.job} ended as {type(update).__name__}")
        except TimeoutError:
            if isinstance(request, SearchLoras):
                raise InvalidRequest(NOT_NOW) from None
            raise InvalidRequest(
                f"The engine did not get to it within {PATIENCE / 60:g} minutes. Try again later."
            ) from None
        except EngineUnavailable as refusal:
            if isinstance(request, SearchLoras):
                raise InvalidRequest(NOT_NOW) from refusal
            raise InvalidRequest(str(refusal)) from refusal
        raise AssertionError(f"task {request.job} has no final update")
