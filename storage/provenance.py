"""By what a picture is known again: hashes, the number in its watermark, and a perceptual hash in bands."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from engine.messages import JobId, Sha256
from storage.tables import Job, Picture, PictureMark, Upload

BANDS, BAND_BITS = 4, 16  # of a perceptual hash of 63 bits
DIFFERENT_BITS = 2 * BANDS - 1  # then one of the bands differs in one bit at most (Norouzi et al. 2012)
DIFFERENT_COLOUR = 40  # of 255, anywhere in a thumbnail of 8 x 8
MOST = 20  # pictures that are told of


@dataclass(frozen=True, kw_only=True)
class PictureMarks:
    """What a picture's pixels say: the watermark's number, the perceptual hash, 8 x 8 RGB colours.

    `model`: what painted it, where that is known.
    """

    watermark: int | None
    bits: int
    colours: bytes
    model: str = ""


@dataclass(frozen=True, kw_only=True)
class ContentClaim:
    """What a file's Content Credentials say. `ours`: signed with our own key, and whole."""

    valid: bool
    ours: bool = False
    signer: str = ""
    software: str = ""
    title: str = ""


@dataclass(frozen=True, kw_only=True)
class FileOrigin:
    """What a file said before its picture was made anew: its own hash, and its credentials."""

    sha256: Sha256
    claim: ContentClaim | None = None


Place = tuple[JobId, int]  # a job and the place of its picture


def mark_row(job_number: int, place: int, marks: PictureMarks) -> PictureMark:
    """The row of a picture's marks."""
    bands = {f"band{number}": band for number, band in enumerate(_bands(marks.bits))}
    return PictureMark(
        job_number=job_number,
        place=place,
        watermark=marks.watermark,
        colours=marks.colours,
        model=marks.model,
        **bands,
    )


async def read_marks(session: AsyncSession, job_number: int) -> dict[int, PictureMarks]:
    """The marks of a job's pictures, by their places."""
    rows = await session.scalars(select(PictureMark).where(PictureMark.job_number == job_number))
    return {
        row.place: PictureMarks(watermark=row.watermark, bits=_bits(row), colours=row.colours) for row in rows
    }


async def find_origin(session: AsyncSession, person_id: int, sha256: Sha256) -> FileOrigin | None:
    """What the file said that this person sent lately, and from which this picture was made."""
    theirs = select(Upload.origin).where(Upload.person_id == person_id, Upload.sha256 == sha256)
    origin = await session.scalar(theirs)
    if not origin:
        return None
    claim = origin.get("claim")
    return FileOrigin(sha256=Sha256(origin["sha256"]), claim=ContentClaim(**claim) if claim else None)


async def find_files(session: AsyncSession, hashes: Iterable[Sha256]) -> list[Place]:
    """The pictures whose file is one of these."""
    query = select(Job.id, Picture.place).join(Job, Job.number == Picture.job_number)
    rows = await session.execute(query.where(Picture.sha256.in_(list(hashes))).limit(MOST))
    return [(JobId(job), place) for job, place in rows]


async def find_places(session: AsyncSession, places: Iterable[Place]) -> list[Place]:
    """Those of the pictures that are still there."""
    pictures = select(Job.id, Picture.place).join(Job, Job.number == Picture.job_number)
    rows = await session.execute(pictures.where(tuple_(Job.id, Picture.place).in_(list(places))))
    return [(JobId(job), place) for job, place in rows]


async def find_model(session: AsyncSession, job_number: int, place: int) -> str:
    """What painted the picture; "" where that is not known."""
    models = select(PictureMark.model).where(PictureMark.job_number == job_number, PictureMark.place == place)
    return await session.scalar(models) or ""


async def find_file(session: AsyncSession, place: Place) -> Sha256 | None:
    """The file of this picture, if it is still there."""
    files = select(Picture.sha256).join(Job, Job.number == Picture.job_number)
    sha256 = await session.scalar(files.where(Job.id == place[0], Picture.place == place[1]))
    return None if sha256 is None else Sha256(sha256)


async def find_watermark(session: AsyncSession, marks: PictureMarks) -> list[Place]:
    """The pictures with the number that was read from this one, the most similar first."""
    if marks.watermark is None:
        return []
    return await _find(session, PictureMark.watermark == marks.watermark, marks, similar=False)


async def find_near_duplicates(session: AsyncSession, marks: PictureMarks) -> list[Place]:
    """The pictures that people would take for this one, the most similar first, then the oldest.

    Each band is looked up by an index, as it is and with each of its bits turned: of a million pictures about
    a thousand are compared.
    """
    columns = [getattr(PictureMark, f"band{number}") for number in range(BANDS)]
    near = or_(
        *(
            column.in_([band, *(band ^ 1 << bit for bit in range(BAND_BITS))])
            for column, band in zip(columns, _bands(marks.bits), strict=True)
        )
    )
    return await _find(session, near, marks, similar=True)


async def _find(
    session: AsyncSession, condition: ColumnElement[bool], marks: PictureMarks, *, similar: bool
) -> list[Place]:
    query = select(PictureMark, Job.id).join(Job, Job.number == PictureMark.job_number).where(condition)
    ranked = []
    for row, job in await session.execute(query):
        distance = (_bits(row) ^ marks.bits).bit_count()
        gap = max(abs(a - b) for a, b in zip(row.colours, marks.colours, strict=True))
        if not similar or (distance <= DIFFERENT_BITS and gap <= DIFFERENT_COLOUR):
            ranked.append((distance, gap, row.job_number, (JobId(job), row.place)))
    return [place for *_, place in sorted(ranked)[:MOST]]


def _bands(bits: int) -> Sequence[int]:
    return [bits >> BAND_BITS * number & (1 << BAND_BITS) - 1 for number in range(BANDS)]


def _bits(row: PictureMark) -> int:
    bands = row.band0, row.band1, row.band2, row.band3
    return sum(band << BAND_BITS * number for number, band in enumerate(bands))
