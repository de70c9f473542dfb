"""Pictures from every chat come in by one door: made anew, kept, and their sender's alone."""

import io
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image

from bot.chats.interface import Caller
from bot.garbage_collection import GarbageCollector
from bot.uploads.intake import Intake, check_size
from engine.messages import InvalidRequest, stored_path
from storage import people, uploads
from storage.database import Database
from storage.files import Files
from tests.bot.uploads.coming import pieces
from tests.new_database import new_database


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = await Database.open(new_database(tmp_path))
    yield database
    await database.close()


@pytest.fixture
async def intake(database: Database, tmp_path: Path) -> AsyncIterator[Intake]:
    files = Files(tmp_path / "files")
    intake = Intake(database, files, GarbageCollector(database, files))
    yield intake
    await intake.close()


def ana(chat: str, key: str) -> Caller:
    return Caller(chat=chat, space="1", space_name="one", channel="2", person=key, person_name="ana")


def a_picture(colour: str = "red") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (60, 40), colour).save(out, "PNG")
    return out.getvalue()


async def test_a_picture_is_kept_as_its_senders(intake: Intake, database: Database, tmp_path: Path) -> None:
    sent = await intake.take(ana("discord", "17"), "../fox.png", pieces(a_picture()))

    (picture,) = sent.pictures
    assert (picture.name, picture.kind, picture.width, picture.height) == ("fox.png", "png", 60, 40)
    assert stored_path(tmp_path / "files", picture.sha256).is_file()
    async with database.reading() as session:
        me = await people.find_person(session, "discord", "17")
        assert me is not None
        assert await uploads.own(session, me.id, [picture.sha256]) == {picture.sha256}
        assert await people.find_person(session, "local", "17") is None


async def test_a_zip_brings_captions_and_says_what_is_refused(intake: Intake) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in {"a.png": a_picture(), "a.txt": b"a fox", "b.png": b"no picture"}.items():
            archive.writestr(name, content)

    sent = await intake.take(ana("slack", "U1"), "foxes.zip", pieces(out.getvalue()))

    assert [(picture.name, picture.caption) for picture in sent.pictures] == [("a.png", "a fox")]
    assert sent.refused == (("b.png", "It is not a PNG, JPEG or WebP."),)


async def test_what_is_no_picture_leaves_nothing_behind(intake: Intake, tmp_path: Path) -> None:
    for content in (b"", b"GIF89a" + bytes(100), b"<html>404</html>"):
        with pytest.raises(InvalidRequest, match="not a picture that can be read"):
            await intake.take(ana("discord", "17"), "fox.png", pieces(content))

    assert [path for path in (tmp_path / "files").rglob("*") if path.is_file()] == []


def test_too_much_is_known_before_it_is_read() -> None:
    check_size(20 * 2**20, b"\x89PNG")
    check_size(2 * 2**30, b"PK\x03\x04")
    with pytest.raises(InvalidRequest, match=r"^The picture is larger than 20 MB\. Send a smaller one\.$"):
        check_size(20 * 2**20 + 1, b"\x89PNG")
    with pytest.raises(InvalidRequest, match=r"^The zip is larger than 2 GB\. Send a smaller one"):
        check_size(2 * 2**30 + 1, b"PK\x03\x04")
