"""Pictures on a training's card, over HTTP: the contact sheet, and what its checkpoints paint."""

from aiohttp import web

from bot.chats.web.file_responses import FileResponses
from engine.messages import JobId, Sha256
from storage.training_views import TrainingView
from storage.views import view


class TrainingSheets:
    """Pictures of trainings, looked up in their own channel only."""

    def __init__(self, responses: FileResponses) -> None:
        self._responses = responses

    def routes(self) -> list[web.RouteDef]:
        """Where all of it is found; samples are counted from 1, and step 0 is the model without the LoRA."""
        job = "{channel}/{job:[0-9a-z]+}"
        sample = r"{step:\d{1,6}}-{nth:\d{1,2}}"
        return [
            web.get(f"/sheets/{job}/report.jpg", self._send_report),
            web.get(f"/sheets/{job}/{sample}.png", self._send_sample),
            web.get(f"/sheets/{job}/{sample}.webp", self._send_thumbnail),
        ]

    async def _send_report(self, request: web.Request) -> web.StreamResponse:
        sheet = (await self._training(request)).sheet
        if sheet is None:
            raise web.HTTPNotFound(text="These pictures were not checked yet.")
        return await self._responses.original(request, sheet, "image/jpeg")

    async def _send_sample(self, request: web.Request) -> web.StreamResponse:
        return await self._responses.original(request, await self._find(request), "image/png")

    async def _send_thumbnail(self, request: web.Request) -> web.StreamResponse:
        return await self._responses.thumbnail(await self._find(request))

    async def _find(self, request: web.Request) -> Sha256:
        step, nth = int(request.match_info["step"]), int(request.match_info["nth"])
        for checkpoint in (await self._training(request)).checkpoints:
            if checkpoint.step == step and 1 <= nth <= len(checkpoint.samples):
                return checkpoint.samples[nth - 1]
        raise web.HTTPNotFound(text="There is no such picture.")

    async def _training(self, request: web.Request) -> TrainingView:
        async with self._responses.database.reading() as session:
            space = await self._responses.space(session, request.match_info["channel"])
            row = await view(session, space, JobId(request.match_info["job"])) if space else None
        if row is None or row.training is None:
            raise web.HTTPNotFound(text="There is no such training.")
        return row.training
