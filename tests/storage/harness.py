"""People who file jobs, and an engine that takes and ends them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from engine.messages import (
    AdapterUse,
    CheckpointSaved,
    Example,
    JobId,
    Paint,
    PictureNote,
    Sha256,
    Train,
    Trained,
    pair_masks,
)
from storage import adapters, jobs, people, trainings
from storage.adapters import LoraView
from storage.database import Database
from storage.ids import new_job_id
from storage.jobs import FinishedPicture, NewJob
from storage.views import JobView, views

T = TypeVar("T")

NOON = 1_800_000_000.0
LEASE = 120.0


@dataclass
class StorageHarness:
    """A database in use, at a time that the test sets."""

    database: Database
    now: float = NOON
    filed: dict[JobId, int] = field(default_factory=dict)

    async def write(self, work: Callable[..., Awaitable[T]], *given: Any, **named: Any) -> T:
        """One of storage's functions, in a transaction."""
        return await self.database.write(lambda session: work(session, *given, **named))

    async def read(self, question: Callable[..., Awaitable[T]], *given: Any, **named: Any) -> T:
        """One of storage's functions, with a session that only reads."""
        async with self.database.reading() as session:
            return await question(session, *given, **named)

    async def space(self, key: str = "general") -> int:
        return (await self.write(people.upsert_space, "local", key, key)).id

    async def person(self, name: str) -> int:
        return (await self.write(people.upsert_person, "local", name, name.title())).id

    async def file(
        self, name: str = "ana", *loras: AdapterUse, space: str = "general", prompt: str = "a fox"
    ) -> JobId:
        """A person files a job, with these LoRAs."""
        job = JobId(new_job_id())

        async def work(session: AsyncSession) -> NewJob:
            return await jobs.create(
                session,
                id=job,
                space_id=(await people.upsert_space(session, "local", space, space)).id,
                person_id=(await people.upsert_person(session, "local", name, name.title())).id,
                channel=space,
                request=Paint(job=job, prompt=prompt, seed=7, adapters=loras),
                parent=None,
                now=self.now,
            )

        self.filed[job] = (await self.database.write(work)).number
        return job

    async def draft(
        self,
        name: str = "ana",
        *pictures: str,
        lora: str = "maria",
        space: str = "general",
        trigger: str = "ohwx",
    ) -> JobId:
        """A person files a training with these pictures, and waits for the report."""
        job = JobId(new_job_id())
        request = Train(
            job=job,
            name=lora,
            examples=pair_masks(
                [Example(sha256=Sha256(sha), name=f"{sha}.png") for sha in pictures or ("p1", "p2")]
            ),
            trigger=trigger,
            subject="woman",
            preset="face",
        )

        async def work(session: AsyncSession) -> NewJob:
            filed = await jobs.create(
                session,
                id=job,
                space_id=(await people.upsert_space(session, "local", space, space)).id,
                person_id=(await people.upsert_person(session, "local", name, name.title())).id,
                channel=space,
                request=request,
                parent=None,
                now=self.now,
                state="draft",
            )
            await trainings.create(session, filed.number, request, self.now)
            return filed

        self.filed[job] = (await self.database.write(work)).number
        return job

    async def report(self, job: JobId, sheet: str = "sheet") -> list[Sha256]:
        """The engine has looked at a draft's pictures."""
        note = PictureNote(
            name="a.png", width=9, height=8, crop=(1, 0, 8, 8), size=(8, 8), problems=("It is blurred.",)
        )
        return await self.write(
            trainings.save_report,
            self.filed[job],
            notes=[note],
            problems=["few."],
            steps=500,
            seconds=60.0,
            sheet=Sha256(sheet),
        )

    async def training(self, name: str = "ana", *pictures: str, **named: str) -> JobId:
        """A training that the engine has."""
        job = await self.draft(name, *pictures, **named)
        await self.report(job)
        assert await self.write(jobs.enqueue, self.filed[job], self.now)
        assert await self.start(job)
        return job

    async def save(
        self, job: JobId, step: int, *, made: str = "", validation: float = 0.5, steps: int = 100
    ) -> list[Sha256]:
        """A checkpoint at this step: its LoRA, state and two samples; the losses of the steps before it."""
        made = made or f"{job}-{step}"
        checkpoint = CheckpointSaved(
            job=job,
            step=step,
            adapter=Sha256(f"lora-{made}") if step else None,
            state=Sha256(f"state-{made}") if step else None,
            validation=validation if step else None,
            losses=tuple(1 / at for at in range(step - steps + 1, step + 1)) if step else (),
        )
        samples = [Sha256(f"sample-{made}-{place}") for place in (1, 2)]
        return await self.write(trainings.save_checkpoint, self.filed[job], checkpoint, samples)

    async def learn(self, job: JobId, best: int, *candidates: int, tokens: int = 0) -> list[Sha256]:
        """The engine ends the training well, with these checkpoints to choose from."""
        ending = Trained(
            job=job,
            best=best,
            candidates=candidates,
            step=300,
            seconds=40.0,
            new_tokens=tokens,
            note="early.",
        )

        async def work(session: AsyncSession) -> list[Sha256]:
            gone = await trainings.complete(session, self.filed[job], ending, self.now)
            await jobs.finish(session, self.filed[job], state="succeeded", seconds=40.0, now=self.now)
            return gone

        return await self.database.write(work)

    async def loras(self, name: str = "ana", space: str = "general") -> list[LoraView]:
        """What a person may use in a space."""
        return await self.read(adapters.list_usable, await self.space(space), await self.person(name))

    async def next(self) -> JobId | None:
        """Whose turn it is."""
        job = await self.read(jobs.next_queued)
        return JobId(job.id) if job else None

    async def start(self, job: JobId, *, expected: float = 10.0) -> bool:
        until = self.now + LEASE
        return await self.write(
            jobs.start, self.filed[job], expected=expected, lease_until=until, now=self.now
        )

    async def paint(self, job: JobId, *shas: str, seconds: float = 10.0) -> bool:
        """The engine takes the job and ends it with these pictures."""
        await self.start(job)
        return await self.end(job, *shas, seconds=seconds)

    async def end(self, job: JobId, *shas: str, seconds: float = 10.0) -> bool:
        made = [
            FinishedPicture(place=place, sha256=Sha256(sha), seed=6 + place, width=64, height=64)
            for place, sha in enumerate(shas, start=1)
        ]
        return await self.write(
            jobs.finish,
            self.filed[job],
            state="succeeded",
            seconds=seconds,
            pictures=made,
            now=self.now,
        )

    async def see(self, job: JobId) -> JobView:
        (job_view,) = await self.read(views, [job])
        return job_view

    async def account(self, name: str) -> tuple[float, int]:
        """How much engine time somebody used of late, and how many of their jobs are queued."""
        person = await self.read(people.find_person, "local", name)
        assert person is not None
        return person.used, person.queued
