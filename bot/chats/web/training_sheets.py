"""Pictures on a training's card, over HTTP: the contact sheet, and what its checkpoints paint."""

from aiohttp import web

from bot.chats.web.file_responses import Shelf
from engine.messages import JobId, Sha256
from storage.training_views import TrainingView
from storage.views import view


class Sheets:
    """Pictures of trainings, looked up in their own channel only."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def routes(self) -> list[web.RouteDef]:
        """Where all of it is found; samples are counted from 1, and step 0 is the model without the LoRA."""
        job = "{channel}/{job:[0-9a-z]+}"
        sample = r"{step:\d{1,6}}-{nth:\d{1,2}}"
        return [
            web.get(f"/sheets/{job}/report.jpg", self._report),
            web.get(f"/sheets/{job}/{sample}.png", self._sample),
            web.get(f"/sheets/{job}/{sample}.webp", self._small_sample),
        ]

    async def _report(self, request: web.Request) -> web.StreamResponse:
        sheet = (await self._training(request)).sheet
        if sheet is None:
            raise web.HTTPNotFound(text="nobody has looked at these pictures yet.")
        return await self._shelf.whole(request, sheet, "image/jpeg")

    async def _sample(self, request: web.Request) -> web.StreamResponse:
        return await self._shelf.whole(request, await self._find(request), "image/png")

    async def _small_sample(self, request: web.Request) -> web.StreamResponse:
        return await self._shelf.small(await self._find(request))

    async def _find(self, request: web.Request) -> Sha256:
        step, nth = int(request.match_info["step"]), int(request.match_info["nth"])
        for checkpoint in (await self._training(request)).checkpoints:
            if checkpoint.step == step and 1 <= nth <= len(checkpoint.samples):
                return checkpoint.samples[nth - 1]
        raise web.HTTPNotFound(text="there is no such picture.")

    async def _training(self, request: web.Request) -> TrainingView:
        async with self._shelf.database.reading() as session:
            space = await self._shelf.space(session, request.match_info["channel"])
            seen = await view(session, space, JobId(request.match_info["job"])) if space else None
        if seen is None or seen.training is None:
            raise web.HTTPNotFound(text="there is no such training.")
        return seen.training
