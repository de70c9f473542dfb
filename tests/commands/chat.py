"""People in a chat: their words and clicks become answers, and answers become rows, in a real database."""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncSession

from commands.actions import press, read_button
from commands.answers import Answer, Filed
from commands.context import ChatContext
from commands.jobs import job_here
from commands.limits import check_room
from commands.settings import with_defaults
from commands.text import read
from engine.messages import JobId, Paint, Sha256
from storage import jobs, people
from storage.database import Database
from storage.ids import new_job_id
from storage.jobs import Finished
from storage.views import JobView, views

LORAS = {"ink": Sha256("1" * 64), "maria": Sha256("2" * 64)}


class Shelf:
    """A library of two LoRAs."""

    async def names(self) -> Collection[str]:
        return list(LORAS)

    async def find(self, name: str) -> Sha256:
        return LORAS[name]


class TenSeconds:
    """An engine that takes so long for everything."""

    def seconds(self, request: Paint) -> float:
        return 10.0


@dataclass
class Chat:
    """Everybody is in the space "general" unless a test says otherwise."""

    database: Database
    admins: Collection[str] = ("root",)
    per_person: int = 3
    now: float = field(default=1_700_000_000.0)

    async def says(self, name: str, line: str, space: str = "general") -> Answer:
        """What somebody's line is answered with."""
        command, values = read(line)

        async def run(context: ChatContext) -> Answer:
            return await command(context, **with_defaults(context.person.settings, command, values))

        return await self._carried_out(name, space, run)

    async def presses(self, name: str, button: str, space: str = "general") -> Answer:
        """What somebody's click is answered with."""
        action, job, picture = read_button(button)

        async def run(context: ChatContext) -> Answer:
            return await press(context, await job_here(context, job), action, picture)

        return await self._carried_out(name, space, run)

    async def files(self, name: str, line: str, space: str = "general") -> JobId:
        """The job of somebody who says /imagine."""
        answer = await self.says(name, line, space)
        assert isinstance(answer, Filed)
        return answer.request.job

    async def starts(self, job: JobId) -> None:
        """The engine takes the job."""
        number = (await self.sees(job)).number
        lease = self.now + 60
        assert await self.database.write(
            lambda session: jobs.start(session, number, expected=10.0, lease_until=lease, now=self.now)
        )

    async def paints(self, job: JobId, count: int = 1) -> JobView:
        """The engine takes the job and ends it with so many pictures."""
        await self.starts(job)
        view = await self.sees(job)
        assert view.request is not None
        pictures = [
            Finished(
                place=place,
                sha256=Sha256(f"{view.number:032x}{place:032x}"),
                seed=view.request.seed if view.request.variation else view.request.seed + place - 1,
                width=128,
                height=128,
            )
            for place in range(1, count + 1)
        ]
        await self.database.write(
            lambda session: jobs.finish(
                session, view.number, state="succeeded", seconds=9.0, pictures=pictures, now=self.now
            )
        )
        return await self.sees(job)

    async def sees(self, job: JobId) -> JobView:
        """The job as everybody knows it."""
        async with self.database.reading() as session:
            (view,) = await views(session, [job])
        return view

    async def _carried_out(
        self, name: str, space: str, run: Callable[[ChatContext], Awaitable[Answer]]
    ) -> Answer:
        async def work(session: AsyncSession) -> Answer:
            context = ChatContext(
                job=new_job_id(),
                library=Shelf(),
                session=session,
                space=await people.space(session, "local", space, space),
                person=await people.person(session, "local", name, name),
                channel=space,
                admin=name in self.admins,
                now=self.now,
                pace=TenSeconds(),
                per_person=self.per_person,
            )
            answer = await run(context)
            if isinstance(answer, Filed):
                await _file(context, answer)
            return answer

        return await self.database.write(work)


async def _file(context: ChatContext, answer: Filed) -> None:
    check_room(context)
    await jobs.file(
        context.session,
        id=context.job,
        space_id=context.space.id,
        person_id=context.person.id,
        channel=context.channel,
        request=answer.request,
        parent=answer.parent,
        now=context.now,
    )
