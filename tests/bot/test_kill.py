"""kill -9 at random moments under load: every job ends once, every card ends right, the database is whole."""

import asyncio
import os
import random
import signal
from collections import defaultdict
from contextlib import suppress
from functools import partial
from pathlib import Path

from aiohttp import ClientError

from tests.bot.running_bot import Service, SocketClient, connect, quick_config, rows, serving, until

KILLS = 20
BUSY = 6  # jobs that the people keep in line
ENDED = ("succeeded", "failed", "cancelled")
GONE = (ConnectionError, ClientError, AssertionError)


class Load:
    """People who ask for pictures as long as there is a bot, and note what was promised to them."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.random = random.Random(seed)
        self.promised: list[str] = []
        self.seen: defaultdict[str, list[str]] = defaultdict(list)

    async def ask(self, service: Service) -> None:
        """Ask until the bot is gone."""
        with suppress(*GONE):
            async with connect(service.address) as client:
                try:
                    while not client.alone:
                        await self._one_more(client)
                finally:
                    for job, state in client.seen:
                        self.seen[job].append(state)

    async def _one_more(self, client: SocketClient) -> None:
        if self.waiting() >= BUSY:
            await asyncio.sleep(0.05)
            return
        steps, count = self.random.randint(1, 12), self.random.randint(1, 2)
        reply = await client.says(f"/imagine fox {len(self.promised)} --steps {steps} --count {count}")
        assert reply["ok"], reply["text"]
        self.promised.append(reply["job"])

    def more_than(self, promised: int) -> bool:
        return len(self.promised) > promised

    def waiting(self) -> int:
        return int(rows(self.folder, "SELECT count(*) FROM jobs WHERE ended_at IS NULL")[0][0])


async def kill_the_engine(service: Service) -> None:
    pid = (await service.health())["engine"]["pid"]
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def test_twenty_kills_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    config, load, kills, idle = quick_config(tmp_path), Load(tmp_path, seed=3), 0, False
    while kills < KILLS or len(load.promised) <= KILLS:
        async with serving(config, 0.02) as service:
            await service.ready()
            asking, promised = asyncio.create_task(load.ask(service)), len(load.promised)
            while kills < KILLS and load.random.random() < 0.6:  # these are the engine's
                await asyncio.sleep(load.random.uniform(0.05, 0.6))
                await kill_the_engine(service)
                kills += 1
            if idle:  # on a slow machine lives that end at once would never end a job to make room for others
                await until(partial(load.more_than, promised), 60)
            await asyncio.sleep(load.random.uniform(0.05, 0.6))
            service.process.kill()
            kills += 1
            await asking
            idle = not load.more_than(promised)

    async with serving(config) as service:
        await service.ready()
        async with connect(service.address) as client:
            await until(lambda: load.waiting() == 0, 40)
            history = {card["job"]: card for card in (await client.ask(open="general", limit=200))["cards"]}
            for job, state in client.seen:
                load.seen[job].append(state)
        assert await service.end(signal.SIGTERM) == 0

    outcomes = {job: (state, pictures) for job, state, pictures in rows(tmp_path, OUTCOMES)}
    assert len(load.promised) > KILLS
    assert set(load.promised) <= set(outcomes)
    for job, (state, pictures) in outcomes.items():
        assert state == "succeeded" or "The engine died 3 times" in reason(tmp_path, job)
        assert pictures == (count(tmp_path, job) if state == "succeeded" else 0)
    for job, states in load.seen.items():
        last = next((number for number, state in enumerate(states) if state in ENDED), len(states))
        assert set(states[last:]) <= {outcomes[job][0]}, f"{job} ended more than once: {states}"
    assert set(history) == set(outcomes)
    for job, card in history.items():
        assert card["state"] == outcomes[job][0]
    assert rows(tmp_path, "SELECT count(*) FROM jobs WHERE shown < revision") == [(0,)]
    assert rows(tmp_path, "SELECT sum(queued) FROM people") == [(0,)]
    assert rows(tmp_path, "PRAGMA integrity_check") == [("ok",)]


OUTCOMES = """
    SELECT jobs.id, state, count(pictures.id)
    FROM jobs LEFT JOIN pictures ON job_number = number GROUP BY number
"""


def reason(folder: Path, job: str) -> str:
    return str(rows(folder, f"SELECT reason FROM jobs WHERE id = '{job}'")[0][0])


def count(folder: Path, job: str) -> int:
    return int(rows(folder, f"SELECT json_extract(request, '$.count') FROM jobs WHERE id = '{job}'")[0][0])


async def test_the_real_engine_and_then_the_bot_are_killed_and_the_pictures_come(tmp_path: Path) -> None:
    config = quick_config(tmp_path)
    config.write_text(config.read_text().replace('"quick"', '"demo"'))
    async with serving(config, 0, "bot", "serve") as service:
        await service.ready()
        async with connect(service.address) as client:
            for seed in range(3):
                await client.says(f"/imagine a red circle --steps 60 --seed {seed} --size 128x128")
            await until(lambda: ("running",) in rows(tmp_path, "SELECT state FROM jobs"), 90)
            await kill_the_engine(service)
            await until(lambda: sum(job == "running" for _, job in client.seen) > 3, 90)
        service.process.kill()

    async with serving(config, 0, "bot", "serve") as service:
        await service.ready()
        await until(lambda: rows(tmp_path, "SELECT DISTINCT state FROM jobs") == [("succeeded",)], 100)
        assert await service.end(signal.SIGTERM) == 0

    assert rows(tmp_path, "SELECT count(*) FROM pictures") == [(3,)]
    assert rows(tmp_path, "PRAGMA integrity_check") == [("ok",)]


async def test_a_bot_whose_database_is_removed_says_so_and_ends(tmp_path: Path) -> None:
    async with serving(quick_config(tmp_path)) as service:
        await service.ready()
        async with connect(service.address) as client:
            assert (await client.says("/imagine a fox --steps 2"))["ok"]
            (tmp_path / "atelier.db").unlink()

            with suppress(*GONE):
                reply = await client.says("/imagine a fox --steps 2")
                assert not reply["ok"]
                assert "was removed or replaced" in reply["text"]

        assert await service.end() == 1
        assert "was removed or replaced while the bot ran" in "".join(service.logged)


async def test_an_engine_that_hangs_ends_with_its_bot(tmp_path: Path) -> None:
    config = quick_config(tmp_path)
    config.write_text(config.read_text().replace('"quick"', '"demo"'))
    async with serving(config, 0, "bot", "serve") as service:
        await service.ready()
        async with asyncio.timeout(90):
            while (await service.health())["engine"]["state"] != "ready":  # noqa: ASYNC110  in another process
                await asyncio.sleep(0.1)
        pid = (await service.health())["engine"]["pid"]
        os.kill(pid, signal.SIGSTOP)  # no thread of it runs any more

        service.process.kill()

        await until(lambda: not Path(f"/proc/{pid}/stat").exists(), 30)


async def test_a_bot_that_stood_still_lets_its_engine_live(tmp_path: Path) -> None:
    async with serving(quick_config(tmp_path), 0.2) as service:  # each step may take a second
        await service.ready()
        async with connect(service.address) as client:
            await client.says("/imagine a fox --steps 40")
            await until(lambda: ("running",) in rows(tmp_path, "SELECT state FROM jobs"))
            await asyncio.sleep(0.5)
            service.process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(3)
            service.process.send_signal(signal.SIGCONT)
            await until(lambda: rows(tmp_path, "SELECT state FROM jobs") == [("succeeded",)], 40)

    starts = [line for line in (tmp_path / "notes").read_text().splitlines() if line.startswith("start")]
    assert len(starts) == 1
