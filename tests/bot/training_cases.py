"""Somebody who wants to teach something: pictures sent, the form filled in, the training started."""

import io
import json
import time
from collections.abc import Mapping

from PIL import Image, ImageDraw
from sqlalchemy.ext.asyncio import AsyncSession

from bot.cards.card import Card
from engine.messages import JobId, Sha256
from storage import people, uploads
from tests.bot.fake_chat import Chat, Seen, caller

PATIENCE = 100.0  # seconds, for machines with much to do
QUICK = {"trigger": "ohwx", "subject": "gear", "preset": "object", "consent": "true"}


def a_picture(number: int, side: int = 128) -> bytes:
    """A bar across a background, different for each number: no two are near-duplicates."""
    picture = Image.new("RGB", (side, side), (20 * number % 256, 200, 255 - 20 * number % 256))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((number * 9, 10 + 5 * number, number * 9 + 40, 90), fill=(250, 30 * number % 256, 20))
    draw.ellipse((100 - 11 * number, 60, 124 - 9 * number, 110), fill=(0, 0, 25 * number))
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


async def sends(chat: Chat, who: str, content: bytes, at: float | None = None) -> Sha256:
    """A picture comes into the store as somebody's, as front ends do it; `at`: not now, but then."""
    sha256 = await chat.bot.files.put(content)

    async def work(session: AsyncSession) -> None:
        person = await people.upsert_person(session, "fake", who, who)
        await uploads.record(session, person.id, [sha256], time.time() if at is None else at)

    await chat.bot.database.write(work)
    return sha256


async def drafts(
    chat: Chat, who: str, name: str, pictures: Mapping[str, bytes] | None = None, **values: str
) -> Seen:
    """The form of /train, filled in with pictures by name, and sent."""
    pictures = pictures or {f"{number}.png": a_picture(number) for number in range(3)}
    examples = [
        {"sha256": await sends(chat, who, content), "name": named, "caption": ""}
        for named, content in pictures.items()
    ]
    filled = {**QUICK, "name": name, "pictures": json.dumps(examples), **values}
    return await Seen.of(chat.bot.dispatch.fill(caller(who), "train", filled))


async def wait_for_report(chat: Chat, job: JobId | None) -> Card:
    """The draft's card with the report on its pictures."""
    return await chat.shows(job, lambda card: card.sheet is not None, PATIENCE)


async def starts(
    chat: Chat, who: str, name: str, pictures: Mapping[str, bytes] | None = None, **values: str
) -> JobId:
    """A training that was asked for, looked at and started; its job."""
    reply = await drafts(chat, who, name, pictures, **values)
    assert reply.job is not None, reply.text
    await wait_for_report(chat, reply.job)
    started = await chat.presses(who, "start", reply.job)
    assert started.ok, started.text
    return reply.job


async def learns(chat: Chat, job: JobId) -> Card:
    """Wait until a checkpoint of the training is seen."""
    return await chat.shows(job, lambda card: card.state == "running" and bool(card.checkpoints), PATIENCE)
