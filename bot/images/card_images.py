"""The images of a card, drawn only when a chat does not show them yet."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from bot.cards.card import Card, CardCheckpoint, Curve
from bot.cards.card_text import number
from bot.images.encode import EncodedImage, TooLarge, enlarge_preview, fit_pictures, fit_sheet, open_image
from bot.images.loss_curve import curve_png
from bot.images.samples import SampleRow, samples_sheet
from engine.messages import JobId, Sha256
from storage.database import Database
from storage.files import Files
from storage.training_views import CheckpointView
from storage.views import views

CURVES = 50  # at most so many drawings of the curve during a training
NEWEST = 3  # checkpoints on the sheet while it trains


@dataclass(frozen=True, kw_only=True)
class CardImage:
    """An image of a card. While `key` stays the same, so does the image: it need not be sent again.

    `what` is "picture", "preview", "curve", "samples" or "report"; `title` stands above it.
    `draw(limit)` makes it a file of at most so many bytes, whose name ends as its format does; it raises
    TooLarge, or OSError when a stored file cannot be read. A `hidden` one is shown once somebody opens it.
    """

    key: str
    what: str
    title: str
    draw: Callable[[int], Awaitable[EncodedImage]]
    hidden: bool = False


class CardImages:
    """Makes the images of cards."""

    def __init__(self, files: Files, database: Database) -> None:
        self._files = files
        self._database = database

    def of(self, card: Card) -> tuple[CardImage, ...]:
        """The images of this card, the most important one first; none is drawn yet."""
        if card.bare:
            return ()
        return tuple(self._training_images(card) if card.kind == "train" else self._picture_images(card))

    def _picture_images(self, card: Card) -> Iterator[CardImage]:
        hashes = [picture.sha256 for picture in card.pictures]
        if hashes:
            yield CardImage(
                key=_key(card, "picture", *hashes),
                what="picture",
                title=card.title,
                draw=partial(self._draw_pictures, hashes),
                hidden=any(picture.hidden for picture in card.pictures),
            )
        elif card.preview is not None:
            yield CardImage(
                key=_key(card, "preview", hashlib.sha256(card.preview).hexdigest()),
                what="preview",
                title="Preview",
                draw=partial(_draw_preview, card.preview),
            )

    def _training_images(self, card: Card) -> Iterator[CardImage]:
        if card.curve is not None:
            key = _key(card, "curve", card.state, _curve_state(card.curve))
            yield CardImage(key=key, what="curve", title="Loss", draw=partial(_draw_curve, card.curve))
        checkpoints = _shown_checkpoints(card)
        if checkpoints or card.untrained:
            shown = [
                (checkpoint.step, checkpoint.samples, checkpoint.chosen, checkpoint.place)
                for checkpoint in checkpoints
            ]
            yield CardImage(
                key=_key(card, "samples", repr(shown), str(card.untrained), *card.prompts),
                what="samples",
                title="What it paints",
                draw=partial(self._draw_samples, card),
            )
        if card.sheet is not None and card.state in ("draft", "queued"):
            yield CardImage(
                key=_key(card, "report", card.sheet),
                what="report",
                title="The pictures",
                draw=partial(self._draw_report, card.sheet),
            )

    async def _draw_pictures(self, hashes: Sequence[Sha256], limit: int) -> EncodedImage:
        contents = [await self._files.get(sha256) for sha256 in hashes]
        return await asyncio.to_thread(fit_pictures, contents, limit)

    async def _draw_report(self, sheet: Sha256, limit: int) -> EncodedImage:
        content = await self._files.get(sheet)
        if len(content) <= limit:
            return EncodedImage(name="report.jpg", content=content)
        return await asyncio.to_thread(lambda: fit_sheet("report", open_image(content), limit))

    async def _draw_samples(self, card: Card, limit: int) -> EncodedImage:
        rows = [row async for row in self._rows(card)]
        return await asyncio.to_thread(lambda: fit_sheet("samples", samples_sheet(rows, card.prompts), limit))

    async def _rows(self, card: Card) -> AsyncIterator[SampleRow]:
        views_by_step = {checkpoint.step: checkpoint for checkpoint in await self._checkpoints(card.job)}
        if card.untrained and 0 in views_by_step:
            yield SampleRow(
                title="Untrained", about="Without the LoRA", samples=await self._contents(views_by_step[0])
            )
        best = None if card.curve is None else card.curve.best
        for checkpoint in _shown_checkpoints(card):
            if checkpoint.step in views_by_step:
                remarks = (
                    "best" if checkpoint.step == best else "",
                    "in use" if checkpoint.chosen else "",
                    "" if checkpoint.validation is None else f"validation {number(checkpoint.validation)}",
                )
                yield SampleRow(
                    title=f"Step {checkpoint.step:,}",
                    about=_label(remarks),
                    samples=await self._contents(views_by_step[checkpoint.step]),
                    chosen=checkpoint.chosen,
                )

    async def _contents(self, view: CheckpointView) -> tuple[bytes, ...]:
        return tuple([await self._files.get(sample) for sample in view.samples])

    async def _checkpoints(self, job: JobId) -> Sequence[CheckpointView]:
        async with self._database.reading() as session:
            job_views = await views(session, [job])
        training = job_views[0].training if job_views else None
        return () if training is None else training.checkpoints


def _shown_checkpoints(card: Card) -> list[CardCheckpoint]:
    """The checkpoints to show: those to choose from, and the newest ones while it trains."""
    checkpoints = [checkpoint for checkpoint in card.checkpoints if checkpoint.samples]
    return [checkpoint for checkpoint in checkpoints if checkpoint.place] or checkpoints[-NEWEST:]


def _curve_state(curve: Curve) -> str:
    """A key that changes when a curve is to be drawn again: at each validation, and 50 times in all."""
    last = curve.losses[-1][0] if curve.losses else 0
    return repr((last * CURVES // max(curve.steps, 1), curve.validation, curve.best, curve.steps))


def _key(card: Card, what: str, *about: str) -> str:
    digest = hashlib.sha256("\n".join(about).encode()).hexdigest()[:10]
    return f"atelier-{card.job}-{what}-{digest}"


def _label(remarks: Sequence[str]) -> str:
    """Remarks as one label: "Best, in use"."""
    text = ", ".join(filter(None, remarks))
    return text[:1].upper() + text[1:]


async def _draw_preview(content: bytes, limit: int) -> EncodedImage:
    with suppress(OSError):  # it may not be readable
        content = await asyncio.to_thread(enlarge_preview, content)
    return _check_limit(limit, EncodedImage(name="preview.jpg", content=content))


async def _draw_curve(curve: Curve, limit: int) -> EncodedImage:
    return _check_limit(
        limit, EncodedImage(name="curve.png", content=await asyncio.to_thread(curve_png, curve))
    )


def _check_limit(limit: int, made: EncodedImage) -> EncodedImage:
    if len(made.content) > limit:
        raise TooLarge(f"{made.name} has {len(made.content)} bytes.")
    return made
