"""Pictures made to do harm: each costs its sender one sentence, and nobody else anything."""

import asyncio
import io
import resource
import signal
import sys
import zipfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import ClientSession, CookieJar
from PIL import Image

from bot.chats.interface import Caller
from bot.garbage_collection import GarbageCollector
from bot.uploads.archive import CheckedPicture, check_file
from bot.uploads.image_check import ReencoderPool
from bot.uploads.intake import Intake, IntakeResult
from bot.uploads.reencoder import reencode_or_refuse
from engine.messages import InvalidRequest
from storage.database import Database
from storage.files import Files
from tests.bot.running_bot import quick_config, serving, until
from tests.bot.uploads import hostile
from tests.bot.uploads.coming import pieces
from tests.new_database import new_database

LARGEST = (8000, 4000)  # pixels


@pytest.fixture
async def intake(tmp_path: Path) -> AsyncIterator[Intake]:
    database, files = await Database.open(new_database(tmp_path)), Files(tmp_path / "files")
    intake = Intake(database, files, GarbageCollector(database, files))
    yield intake
    await intake.close()
    await database.close()


async def sends(intake: Intake, who: str, content: bytes, name: str = "a.png") -> IntakeResult:
    caller = Caller(chat="fake", space="1", space_name="one", channel="2", person=who, person_name=who)
    return await intake.take(caller, name, pieces(content))


def make_zip(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def flat(size: tuple[int, int]) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "red").save(out, "PNG")
    return out.getvalue()


async def test_a_picture_of_countless_parts_is_refused_before_it_is_decoded(intake: Intake) -> None:
    with pytest.raises(InvalidRequest, match=r"^The picture has more than 100 scans\. Save it again and"):
        await sends(intake, "ana", hostile.many_scans(6000))
    with pytest.raises(InvalidRequest, match=r"^The picture has more than 20,000 chunks\. Save it again"):
        await sends(intake, "ana", hostile.many_chunks(200_000))


async def test_others_send_their_pictures_while_somebodys_are_slow(intake: Intake) -> None:
    slow = hostile.many_scans(90, LARGEST)
    anas = asyncio.create_task(
        sends(intake, "ana", make_zip({f"{number}.jpg": slow for number in range(12)}))
    )
    await asyncio.sleep(0.5)

    bens = await sends(intake, "ben", flat((60, 40)))

    assert len(bens.pictures) == 1
    assert not anas.done()
    anas.cancel()
    async with asyncio.timeout(10):  # at once: nothing of it is finished first
        await asyncio.wait({anas})
    assert anas.cancelled()


async def test_a_picture_that_takes_too_long_or_too_much_memory_is_given_up(tmp_path: Path) -> None:
    async def wait_until_given_up(limit: str, content: bytes) -> str:
        (tmp_path / "came").write_bytes(content)
        program = f"from bot.uploads import reencoder; reencoder.{limit}; reencoder.main()"
        async with ReencoderPool((sys.executable, "-c", program)) as pool:
            with pytest.raises(InvalidRequest) as refusal:
                await anext(check_file(pool, "a", tmp_path / "came"))
        return str(refusal.value)

    slow = hostile.many_scans(90, LARGEST)

    assert await wait_until_given_up("SECONDS = 0.2", slow) == (
        "The picture takes too long to read. Save it again and send that."
    )
    assert await wait_until_given_up("MEMORY = 200 * 2**20", hostile.large_png(LARGEST, 20)) == (
        "The picture takes too much memory to read. Save it again and send that."
    )


async def test_a_process_that_dies_of_a_picture_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "came").write_bytes(flat((8, 8)))
    dies_first = f"""
import os, pathlib
from bot.uploads import reencoder
if not pathlib.Path({str(tmp_path / "died")!r}).exists():
    pathlib.Path({str(tmp_path / "died")!r}).touch()
    input()
    os.abort()
reencoder.main()
"""
    async with ReencoderPool((sys.executable, "-c", dies_first)) as pool:
        with pytest.raises(InvalidRequest, match="This is not a picture that can be read"):
            await anext(check_file(pool, "a", tmp_path / "came"))

        assert (await anext(check_file(pool, "a", tmp_path / "came"))).image is not None


async def test_odd_exif_loses_neither_its_picture_nor_the_others(intake: Intake) -> None:
    odd = {f"{name}.jpg": content for name, content in hostile.odd_exif().items()}

    sent = await sends(intake, "ana", make_zip({**odd, "good.png": flat((60, 40))}), "odd.zip")

    assert sent.refused == ()
    assert {picture.name: (picture.width, picture.height) for picture in sent.pictures} == (
        dict.fromkeys(odd, (40, 60)) | {"good.png": (60, 40)}
    )


def test_whatever_a_file_is_made_of_it_is_a_picture_or_one_sentence(tmp_path: Path) -> None:
    for content in hostile.mutants(400, seed=18):
        (tmp_path / "came").write_bytes(content)

        answer = reencode_or_refuse(tmp_path / "came", tmp_path / "made")

        keys = {"kind", "width", "height", "recipe", "caption", "animated", "origin"}
        assert answer.keys() in ({"refused"}, keys)


async def test_whatever_a_zip_is_made_of_it_gives_pictures_or_one_sentence(tmp_path: Path) -> None:
    whole = make_zip({"a.png": flat((8, 8)), "a.txt": b"words", "b.jpg": hostile.jpeg()})
    got: list[CheckedPicture] = []
    async with ReencoderPool() as pool:
        for content in hostile.mutate([whole], 150, seed=19):
            (tmp_path / "came").write_bytes(b"PK\x03\x04" + content[4:])
            try:
                got += [picture async for picture in check_file(pool, "a.zip", tmp_path / "came")]
            except InvalidRequest as refusal:
                got.append(CheckedPicture(name="all", reason=str(refusal)))

    assert all(picture.image is not None or picture.reason.endswith(".") for picture in got)
    assert len({picture.reason for picture in got}) > 3


async def test_a_zip_of_the_largest_pictures_fills_no_memory(intake: Intake) -> None:
    content = make_zip({f"{shade}.png": hostile.large_png(LARGEST, shade) for shade in (20, 120, 220)})
    await sends(intake, "ana", flat((8, 8)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    sent = await sends(intake, "ana", content, "large.zip")

    assert len(sent.pictures) == 3
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000  # kilobytes


async def test_a_bot_stops_while_it_reads_slow_pictures_and_leaves_no_process(tmp_path: Path) -> None:
    slow = hostile.many_scans(90, LARGEST)
    many = io.BytesIO(make_zip({f"{number}.jpg": slow for number in range(50)}))
    async with serving(quick_config(tmp_path)) as service:
        await service.ready()
        async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as session:
            await session.get(f"{service.address}/commands.json")
            sending = asyncio.create_task(
                session.post(
                    f"{service.address}/uploads?name=a.zip", data=many, headers={"Origin": service.address}
                )
            )
            await until(lambda: bool(readers(service.process.pid)), 60)
            reading = readers(service.process.pid)

            async with asyncio.timeout(30):
                assert await service.end(signal.SIGTERM) == 0
            await asyncio.wait({sending})

    await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in reading))
    sending.exception()


def readers(bot: int) -> list[str]:
    """The processes that read pictures for this bot."""
    pids = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            if parent == str(bot) and b"bot.uploads.reencoder" in (folder / "cmdline").read_bytes():
                pids.append(folder.name)
    return pids
