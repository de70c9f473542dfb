"""From starting the engine process to its being ready to paint."""

import asyncio
import statistics
import time

from bench.measuring import table
from bot.engine_client.client import EngineClient
from engine.messages import EngineSettings

ROUNDS = 3


def measure(settings: EngineSettings) -> str:
    """Table (e): seconds from start to ready, and how much of them loading the model took."""
    results = [asyncio.run(start_once(settings)) for _ in range(ROUNDS)]
    whole, loading = (statistics.median(column) for column in zip(*results, strict=True))
    rows = [["process start to ready", f"{whole:.1f}"], ["of it loading", f"{loading:.1f}"]]
    return table(["engine start", "seconds"], rows)


async def start_once(settings: EngineSettings) -> tuple[float, float]:
    """Seconds from starting the process to Ready, and those of them that the engine counted itself."""
    client = EngineClient(settings)
    started = time.perf_counter()
    ready = await client.start()
    seconds = time.perf_counter() - started
    await client.stop()
    return seconds, ready.seconds
