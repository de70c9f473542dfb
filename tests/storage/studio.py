"""People who file jobs, and an engine that takes and ends them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from engine.messages import JobId, Paint, Sha256
from storage import jobs, people
from storage.database import Database
from storage.ids import new_job_id
from storage.jobs import Finished, Queued
from storage.views import JobView, views

T = TypeVar("T")

NOON = 1_800_000_000.0
LEASE = 120.0


@dataclass
class Studio:
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
        return (await self.write(people.space, "local", key, key)).id

    async def person(self, name: str) -> int:
        return (await self.write(people.person, "local", name, name.title())).id

    async def file(self, name: str = "ana", *, space: str = "general", prompt: str = "a fox") -> JobId:
        """A person files a job."""
        job = JobId(new_job_id())

        async def work(session: AsyncSession) -> Queued:
            return await jobs.file(
                session,
                id=job,
                space_id=(await people.space(session, "local", space, space)).id,
                person_id=(await people.person(session, "local", name, name.title())).id,
                channel=space,
                request=Paint(job=job, prompt=prompt, seed=7),
                parent=None,
                now=self.now,
            )

        self.filed[job] = (await self.database.write(work)).number
        return job

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
            Finished(place=place, sha256=Sha256(sha), seed=6 + place, width=64, height=64)
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
        (one,) = await self.read(views, [job])
        return one

    async def account(self, name: str) -> tuple[float, int]:
        """How much engine time somebody used of late, and how many of their jobs are queued."""
        person = await self.read(people.known, "local", name)
        assert person is not None
        return person.used, person.queued
