"""People in a chat: their words and clicks become answers, and answers become rows, in a real database."""

import json
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncSession

from bot.dispatch.apply import apply_answer
from bot.dispatch.lora_library import PersonLibrary
from commands.actions import press, read_button
from commands.admission import check_not_blocked
from commands.answers import Answer, CreateJob, SizedText, Text
from commands.context import ChatContext
from commands.forms import read_form
from commands.job_lookup import find_job
from commands.limits import MEGABYTE
from commands.paint_settings import complete_values
from commands.permissions import Admins, check_allowed
from commands.registry import find
from commands.sent_files import check_sent
from commands.syntax.lora_syntax import Lora, Mention, OperatorFiles
from commands.text_command import read_line
from engine.messages import CheckpointSaved, JobId, Paint, PictureNote, Sha256, Trained
from storage import jobs, limits, people, space_settings, trainings, uploads
from storage.database import Database
from storage.ids import new_job_id
from storage.jobs import FinishedPicture
from storage.views import JobView, views

LORAS = {"ink": Sha256("1" * 64), "maria": Sha256("2" * 64)}


@dataclass(frozen=True)
class Shelf:
    """A folder of two LoRAs."""

    files: OperatorFiles | None = None

    async def names(self) -> Collection[str]:
        return list(self.files.offered if self.files else LORAS)

    async def list_files(self) -> OperatorFiles:
        return self.files or OperatorFiles(
            offered={name: f"{name}.safetensors" for name in await self.names()}
        )

    async def find(self, name: str) -> Lora | None:
        if name not in await self.names():
            return None
        return Lora(name=name, sha256=LORAS.get(name, Sha256("3" * 64)))

    async def usual_loras(self) -> Collection[Mention]:
        return ()


def request_of(answer: Answer) -> Paint:
    """The pictures that an answer asks for."""
    assert isinstance(answer, CreateJob)
    assert isinstance(answer.request, Paint)
    return answer.request


class TenSeconds:
    """An engine that takes so long for everything."""

    def seconds(self, request: Paint) -> float:
        return 10.0


@dataclass
class Chat:
    """Everybody is in the space "general" unless a test says otherwise."""

    database: Database
    admins: Collection[str] = ("root",)
    moderators: Collection[str] = ()  # admins by the chat's own roles
    per_person: int = 3
    file_size: int = 1_000_000  # bytes of every file in the store
    small: bool = False
    adult: bool = False  # the channels are kept for adults
    direct: bool = False  # everybody writes to the bot directly
    now: float = field(default=1_700_000_000.0)
    list_files: OperatorFiles | None = None  # in the operator's folder, where not the usual two

    async def says(self, name: str, line: str, space: str = "general") -> Answer:
        """What somebody's line is answered with."""
        command, given = read_line(line)

        async def run(context: ChatContext) -> Answer:
            check_allowed(context, command)
            await check_sent(context, command, given)
            return await command(context, **await complete_values(context, command, given))

        return await self._run_command(name, space, run, command.name)

    async def presses(self, name: str, button: str, space: str = "general") -> Answer:
        """What somebody's click is answered with."""
        action, job, picture = read_button(button)

        async def run(context: ChatContext) -> Answer:
            return await press(context, await find_job(context, job), action, picture)

        return await self._run_command(name, space, run, action)

    async def files(self, name: str, line: str, space: str = "general") -> JobId:
        """The job of somebody who says /imagine."""
        answer = await self.says(name, line, space)
        assert isinstance(answer, CreateJob)
        return answer.request.job

    async def fills(
        self, name: str, command: str, texts: Mapping[str, str], space: str = "general"
    ) -> Answer:
        """What the form that somebody filled in is answered with."""
        filled = find(command)
        given = read_form(filled, texts)

        async def run(context: ChatContext) -> Answer:
            await check_sent(context, filled, given)
            return await filled(context, **given)

        return await self._run_command(name, space, run, command)

    async def sends(self, name: str, *hashes: str, size: tuple[int, int] = (0, 0)) -> str:
        """Somebody sends pictures; what a form to learn from them says of them."""

        async def work(session: AsyncSession) -> None:
            person = await people.upsert_person(session, "local", name, name)
            for sha256 in map(Sha256, hashes):
                await uploads.record(session, person.id, [sha256], self.now, sizes={sha256: size})

        await self.database.write(work)
        return json.dumps(
            [{"sha256": sha256, "name": f"{sha256[:2]}.png", "caption": ""} for sha256 in hashes]
        )

    async def drafts(self, name: str, lora: str = "ana", **texts: str) -> JobId:
        """The training that somebody files with one picture, seen by the engine."""
        pictures = texts.pop("pictures", "") or await self.sends(name, "a" * 64)
        form = {"name": lora, "pictures": pictures, "consent": "true", **texts}
        answer = await self.fills(name, "train", form)
        assert isinstance(answer, CreateJob)
        await self.reports(answer.request.job)
        return answer.request.job

    async def reports(self, job: JobId, *, used: bool = True) -> None:
        """The engine has looked at the pictures of a draft."""
        number = (await self.sees(job)).number
        note = PictureNote(
            name="a.png", width=640, height=640, crop=(0, 0, 640, 640), size=(640, 640), used=used
        )
        await self.database.write(
            lambda session: trainings.save_report(
                session, number, notes=[note], problems=(), steps=500, seconds=60.0, sheet=Sha256("5" * 64)
            )
        )

    async def trains(self, job: JobId, steps: Sequence[int] = (100,), tokens: int = 0) -> JobView:
        """A draft is started, and the engine makes a LoRA of it with checkpoints at these steps."""
        view = await self.sees(job)
        await self.presses(view.person, f"start:{job}")
        await self.starts(job)

        async def work(session: AsyncSession) -> None:
            for step in steps:
                checkpoint = CheckpointSaved(
                    job=job,
                    step=step,
                    adapter=Sha256(f"{view.number:032x}{step:032x}"),
                    state=Sha256(f"{view.number:032x}{step + 1:032x}"),
                    validation=1 / step,
                    losses=(0.5,),
                )
                await trainings.save_checkpoint(session, view.number, checkpoint, ())
            ending = Trained(
                job=job,
                best=steps[0],
                candidates=tuple(steps[1:]),
                step=steps[-1],
                seconds=50.0,
                new_tokens=tokens,
            )
            await trainings.complete(session, view.number, ending, self.now)
            await jobs.finish(session, view.number, state="succeeded", seconds=50.0, now=self.now)

        await self.database.write(work)
        return await self.sees(job)

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
        assert isinstance(view.request, Paint)
        seed, variation = view.request.seed, view.request.variation
        pictures = [
            FinishedPicture(
                place=place,
                sha256=Sha256(f"{view.number:032x}{place:032x}"),
                seed=seed if variation else seed + place - 1,
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

    async def fails(self, job: JobId) -> None:
        """The engine takes the job and fails it."""
        await self.starts(job)
        number, why = (await self.sees(job)).number, "it did not work."
        await self.database.write(
            lambda session: jobs.finish(
                session, number, state="failed", reason=why, seconds=4.0, now=self.now
            )
        )

    async def sees(self, job: JobId) -> JobView:
        """The job as everybody knows it."""
        async with self.database.reading() as session:
            (view,) = await views(session, [job])
        return view

    async def posts(self, job: JobId, message: str) -> None:
        """The job's card is shown in this message."""

        async def work(session: AsyncSession) -> None:
            (view,) = await views(session, [job])
            await jobs.mark_shown(session, view.number, view.revision, message)

        await self.database.write(work)

    async def forgets_uploads(self) -> None:
        """A day goes by, after which only what rows need is kept of what was sent."""
        await self.database.write(lambda session: uploads.delete_old(session, self.now + 1))

    def megabytes(self, hashes: Collection[Sha256]) -> float:
        """Every file has as many bytes."""
        return self.file_size * len(hashes) / MEGABYTE

    async def _run_command(
        self, name: str, space: str, run: Callable[[ChatContext], Awaitable[Answer]], what: str
    ) -> Answer:
        async def work(session: AsyncSession) -> Answer:
            here = await people.upsert_space(session, "local", space, space)
            person = await people.upsert_person(session, "local", name, name)
            settings = await space_settings.effective_settings(session, here.id, name)
            check_not_blocked(settings, what)
            context = ChatContext(
                job=new_job_id(),
                library=PersonLibrary(
                    session=session,
                    space_id=here.id,
                    person_id=person.id,
                    folder=Shelf(self.list_files),
                    mixed=settings.mixed,
                ),
                small=self.small,
                largest_rank=64,
                session=session,
                space=here,
                person=person,
                channel=space,
                admin=name in (*self.admins, *self.moderators),
                adult=self.adult,
                direct=self.direct,
                space_settings=settings,
                admins=Admins(named={"local": self.admins}),
                now=self.now,
                estimates=TenSeconds(),
                per_person=self.per_person,
                megabytes=self.megabytes(await limits.files(session, here.id, person.id)),
            )
            answer = await run(context)
            await apply_answer(context, answer, lambda job: 0.0)
            if isinstance(answer, SizedText):
                return Text(text=answer.write(self.megabytes(answer.files)))
            return answer

        return await self.database.write(work)
