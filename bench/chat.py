"""The bot as people feel it: from a typed command to its card, with one person and with hundreds at once."""

import asyncio
import json
import os
import re
import signal
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from aiohttp import ClientSession, ClientWebSocketResponse, CookieJar

from bench.measuring import table
from bench.storage import fill
from storage.database import Database

CROWDS = (100, 400)  # people at once
OPENED_TOGETHER = 20
ROUNDS = 5  # commands of each of them
BETWEEN = 1.5  # seconds from one round to the next
ALONE = 100  # commands of one person, one after another
STARTS = 3
MANY_JOBS = 1_000_000
HEAD = (
    *("people", "reply p50", "reply p99", "card p50", "card p99", "longest block of the event loop"),
    "processor time of the bot, a reply and its card",
)
COMMAND = "/imagine a red circle on a white background --steps 20"
LAG = re.compile(r"^atelier_loop_lag_longest_seconds (\S+)", re.MULTILINE)
CONFIG = """
[storage]
database = "atelier.db"
[engine]
files = "files"
[queue]
per_person = 1000
[local]
port = 0
channels = ["general", "space1"]
"""


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Seconds from sending a command to its reply (it is on disk), and to the first sight of its card."""

    reply: float
    card: float


def measure() -> str:
    """Tables (f): how soon the bot answers, and what it costs."""
    return asyncio.run(_measure())


async def _measure() -> str:
    starts = [await first_answer() for _ in range(STARTS)]
    async with a_bot() as (process, address):
        rows = await answer_rows(process.pid, address, "general", CROWDS)
        megabytes = memory(process.pid)
    aims = ["aim", "", "< 150 ms, of 400 < 300 ms", "", "", "< 50 ms", ""]
    costs = [
        ["start of the bot to its first answer", f"{statistics.median(starts):.2f} s", "< 2 s"],
        ["memory of the bot after that", f"{megabytes:.0f} MB", ""],
    ]
    return f"{table(HEAD, [*rows, aims])}\n\n{table(['bot', 'measured', 'aim'], costs)}"


def measure_beside_jobs(count: int = MANY_JOBS) -> str:
    """The same beside so many finished jobs, in a channel with limits and a twentieth of them."""
    return asyncio.run(_measure_beside_jobs(count))


async def _measure_beside_jobs(count: int) -> str:
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=Path.cwd()) as folder:  # /tmp may be no disk
        path = Path(folder) / "atelier.db"
        await (await Database.open(f"sqlite+aiosqlite:///{path}")).close()
        await asyncio.to_thread(fill, path, count, queued=0, running=0)
        async with a_bot(Path(folder)) as (process, address):
            rows = await answer_rows(process.pid, address, "space1", CROWDS)
    return table([f"people, beside {count:,} finished jobs", *HEAD[1:]], rows)


async def answer_rows(bot: int, address: str, channel: str, crowds: Sequence[int]) -> list[list[str]]:
    """A row of the table for one person, and one for each of these crowds; `bot` is its process."""
    async with a_person(address, channel) as person:
        await longest_block(address)
        spent = processor_time(bot)
        alone = [await ask(person) for _ in range(ALONE)]
        spent = processor_time(bot) - spent
        rows = [row("1", alone, await longest_block(address), spent)]
    for people in crowds:
        crowd, spent = await many(bot, address, channel, people)
        rows.append(row(f"{people} at once", crowd, await longest_block(address), spent))
    return rows


def row(people: str, latencies: Sequence[Latency], block: float, spent: float) -> list[str]:
    replies, cards = [latency.reply for latency in latencies], [latency.card for latency in latencies]
    times = [ms(value) for values in (replies, cards) for value in ends(values)]
    return [people, *times, ms(block), f"{1000 * spent / len(latencies):.2f} ms"]


def ends(values: Sequence[float]) -> tuple[float, float]:
    """The median, and what 99 of 100 stay under."""
    return statistics.median(values), statistics.quantiles(values, n=100)[98]


def ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"


async def first_answer() -> float:
    """Seconds from starting the program to the answer to the first command."""
    started = time.perf_counter()
    async with a_bot() as (_, address), a_person(address) as person:
        await said(person, "/help")
        return time.perf_counter() - started


async def many(bot: int, address: str, channel: str, count: int) -> tuple[list[Latency], float]:
    """So many people at once, a few times; and the seconds that the bot computed meanwhile."""
    async with AsyncExitStack() as open_pages:
        people: list[ClientWebSocketResponse] = []
        while len(people) < count:  # one after another, the first would be cut off before the last is there
            coming = (
                open_pages.enter_async_context(a_person(address, channel)) for _ in range(OPENED_TOGETHER)
            )
            people += await asyncio.gather(*coming)
        await asyncio.gather(*(catch_up(person) for person in people))
        latencies, spent = [], 0.0
        for _ in range(ROUNDS):
            before = processor_time(bot)
            latencies += await asyncio.gather(*(ask(person) for person in people))
            spent += processor_time(bot) - before
            await asyncio.gather(*(catch_up(person) for person in people))
    return latencies, spent


async def catch_up(person: ClientWebSocketResponse) -> None:
    """Read everybody's cards for a while, as a page does: else the next reply would wait behind them here."""
    with suppress(TimeoutError):
        async with asyncio.timeout(BETWEEN):
            while True:
                await person.receive()


async def ask(person: ClientWebSocketResponse) -> Latency:
    """File a job, and see its card.

    What is about others is not read: hundreds of pages that parse each other's cards here would be slower
    than the bot is.
    """
    started, frames = time.perf_counter(), list[tuple[float, str]]()
    reply, job = 0.0, ""
    await person.send_json({"n": 1, "say": COMMAND})
    while not job or not any(job in text for _, text in frames):
        text = await person.receive_str()
        frames = (
            [(time.perf_counter() - started, text)]
            if job
            else [*frames, (time.perf_counter() - started, text)]
        )
        if not job and '"reply":' in text:
            answer = next(message["reply"] for message in json.loads(text) if "reply" in message)
            assert answer["ok"], answer["text"]
            reply, job = frames[-1][0], f'"job":"{answer["job"]}","kind"'
    return Latency(reply=reply, card=max(reply, next(at for at, text in frames if job in text)))


async def told(person: ClientWebSocketResponse, what: str) -> None:
    """Wait for a message that holds this."""
    while not any(what in message for message in json.loads((await person.receive()).data)):
        pass


async def said(person: ClientWebSocketResponse, text: str) -> None:
    await person.send_json({"n": 1, "say": text})
    await told(person, "reply")


@asynccontextmanager
async def a_bot(folder: Path | None = None) -> AsyncIterator[tuple[Process, str]]:
    """The program as an operator starts it, in a folder of its own or in this one."""
    with tempfile.TemporaryDirectory() as own:
        config = (folder or Path(own)) / "config.toml"
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(CONFIG)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot", "serve", "--config", str(config)), stdout=PIPE, stderr=DEVNULL
        )
        assert process.stdout is not None
        try:
            line = (await process.stdout.readline()).decode()
            yield process, next(word for word in line.split() if word.startswith("http"))
        finally:
            for _ in range(2):  # the second one means: at once
                with suppress(ProcessLookupError):
                    process.send_signal(signal.SIGTERM)
                await asyncio.sleep(0.2)
            await process.wait()


@asynccontextmanager
async def a_person(address: str, channel: str = "general") -> AsyncIterator[ClientWebSocketResponse]:
    """Somebody with the page open."""
    # Cookies of an address without a name are unsafe to a careful client; here it is this machine.
    async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as session:
        await session.get(f"{address}/commands.json")
        async with session.ws_connect(f"{address}/live", origin=address) as page:
            await page.send_json({"n": 0, "open": channel})
            await told(page, "cards")
            yield page


async def longest_block(address: str) -> float:
    """Seconds, since this was last asked."""
    async with ClientSession() as session, session.get(f"{address}/metrics") as response:
        found = LAG.search(await response.text())
    assert found is not None
    return float(found[1])


def processor_time(process: int) -> float:
    """Seconds that the process has computed, without its children."""
    user, system = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def memory(process: int) -> float:
    """Megabytes that the process has in memory."""
    status = Path(f"/proc/{process}/status").read_text()
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return int(kilobytes) / 1024
