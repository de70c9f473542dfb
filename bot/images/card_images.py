"""The images of a card, drawn when a chat does not show them yet."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from bot.cards.card import Card, CardCheckpoint, Curve
from bot.cards.card_text import number
from bot.images.encode import Fitted, TooLarge, enlarged, fitted, fitting, opened
from bot.images.loss_curve import curve_png
from bot.images.samples import SampleRow, samples_sheet
from engine.messages import JobId, Sha256
from storage.database import Database
from storage.files import Files
from storage.training_views import CheckpointView
from storage.views import views

CURVES = 50  # at most so many drawings of a curve in the life of a training
NEWEST = 3  # checkpoints on the sheet while it trains


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """An image on a card. While `key` stays the same, so does the image: a chat that has it needs no bytes.

    `what` is "picture", "preview", "curve", "samples" or "report"; `title` is what to write above it.
    `draw(limit)` makes it a file of at most so many bytes, whose name ends as its format does; it raises
    TooLarge, or OSError when a stored file cannot be read. What is `hidden` is seen once somebody opens it.
    """

    key: str
    what: str
    title: str
    draw: Callable[[int], Awaitable[Fitted]]
    hidden: bool = False


class Drawings:
    """Draws what a card shows beside its words."""

    def __init__(self, files: Files, database: Database) -> None:
        self._files = files
        self._database = database

    def of(self, card: Card) -> tuple[Drawing, ...]:
        """The images of this card, the most important one first; none is drawn yet."""
        if card.bare:
            return ()
        return tuple(self._training(card) if card.kind == "train" else self._painting(card))

    def _painting(self, card: Card) -> Iterator[Drawing]:
        hashes = [one.sha256 for one in card.pictures]
        if hashes:
            yield Drawing(
                key=_key(card, "picture", *hashes),
                what="picture",
                title=card.title,
                draw=partial(self._pictures, hashes),
                hidden=any(one.hidden for one in card.pictures),
            )
        elif card.preview is not None:
            yield Drawing(
                key=_key(card, "preview", hashlib.sha256(card.preview).hexdigest()),
                what="preview",
                title="a glimpse of it",
                draw=partial(_preview, card.preview),
            )

    def _training(self, card: Card) -> Iterator[Drawing]:
        if card.curve is not None:
            key = _key(card, "curve", card.state, _moment(card.curve))
            yield Drawing(key=key, what="curve", title="Loss", draw=partial(_curve, card.curve))
        painted = _painted(card)
        if painted or card.untrained:
            shown = [(one.step, one.samples, one.chosen, one.place) for one in painted]
            yield Drawing(
                key=_key(card, "samples", repr(shown), str(card.untrained), *card.prompts),
                what="samples",
                title="What it paints",
                draw=partial(self._samples, card),
            )
        if card.sheet is not None and card.state in ("draft", "queued"):
            yield Drawing(
                key=_key(card, "report", card.sheet),
                what="report",
                title="The pictures",
                draw=partial(self._report, card.sheet),
            )

    async def _pictures(self, hashes: Sequence[Sha256], limit: int) -> Fitted:
        contents = [await self._files.get(one) for one in hashes]
        return await asyncio.to_thread(fitted, contents, limit)

    async def _report(self, sheet: Sha256, limit: int) -> Fitted:
        content = await self._files.get(sheet)
        if len(content) <= limit:
            return Fitted(name="report.jpg", content=content)
        return await asyncio.to_thread(lambda: fitting("report", opened(content), limit))

    async def _samples(self, card: Card, limit: int) -> Fitted:
        rows = [row async for row in self._rows(card)]
        return await asyncio.to_thread(lambda: fitting("samples", samples_sheet(rows, card.prompts), limit))

    async def _rows(self, card: Card) -> AsyncIterator[SampleRow]:
        found = {one.step: one for one in await self._checkpoints(card.job)}
        if card.untrained and 0 in found:
            yield SampleRow(
                title="Untrained", about="without the LoRA", samples=await self._contents(found[0])
            )
        best = None if card.curve is None else card.curve.best
        for one in _painted(card):
            if one.step in found:
                told = (
                    "best" if one.step == best else "",
                    "in use" if one.chosen else "",
                    "" if one.validation is None else f"validation {number(one.validation)}",
                )
                yield SampleRow(
                    title=f"Step {one.step:,}",
                    about=", ".join(filter(None, told)),
                    samples=await self._contents(found[one.step]),
                    chosen=one.chosen,
                )

    async def _contents(self, one: CheckpointView) -> tuple[bytes, ...]:
        return tuple([await self._files.get(sample) for sample in one.samples])

    async def _checkpoints(self, job: JobId) -> Sequence[CheckpointView]:
        async with self._database.reading() as session:
            found = await views(session, [job])
        training = found[0].training if found else None
        return () if training is None else training.checkpoints


def _painted(card: Card) -> list[CardCheckpoint]:
    """The states worth a look: those to choose from, and while it trains the newest."""
    painted = [one for one in card.checkpoints if one.samples]
    return [one for one in painted if one.place] or painted[-NEWEST:]


def _moment(curve: Curve) -> str:
    """What a curve is drawn anew for: a validation, a best step, or another fiftieth of the steps."""
    last = curve.losses[-1][0] if curve.losses else 0
    return repr((last * CURVES // max(curve.steps, 1), curve.validation, curve.best, curve.steps))


def _key(card: Card, what: str, *about: str) -> str:
    digest = hashlib.sha256("\n".join(about).encode()).hexdigest()[:10]
    return f"atelier-{card.job}-{what}-{digest}"


async def _preview(content: bytes, limit: int) -> Fitted:
    with suppress(OSError):  # it may be none that can be enlarged
        content = await asyncio.to_thread(enlarged, content)
    return _within(limit, Fitted(name="preview.jpg", content=content))


async def _curve(curve: Curve, limit: int) -> Fitted:
    return _within(limit, Fitted(name="curve.png", content=await asyncio.to_thread(curve_png, curve)))


def _within(limit: int, made: Fitted) -> Fitted:
    if len(made.content) > limit:
        raise TooLarge(f"{made.name} has {len(made.content)} bytes.")
    return made
