"""Captions from wherever training tools keep them: tables, names of folders, and the pictures themselves."""

import io
import json
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from bot.uploads.archive import CheckedPicture, check_folder
from bot.uploads.caption_table import read_table, write_table
from bot.uploads.image_check import ReencoderPool
from engine.messages import InvalidRequest

Got = dict[str, CheckedPicture]
ABSENT = "There is a caption for it and no such picture."


def a_picture(kind: str = "PNG", exif: Image.Exif | None = None, **texts: str) -> bytes:
    out, chunks = io.BytesIO(), PngInfo()
    for name, text in texts.items():
        chunks.add_text(name, text, zip=len(text) > 100)
    extra = {"pnginfo": chunks} if kind == "PNG" else {}
    Image.new("RGB", (8, 8), "red").save(out, kind, exif=b"" if exif is None else exif.tobytes(), **extra)
    return out.getvalue()


def exif(description: str = "", comment: bytes = b"") -> Image.Exif:
    made = Image.Exif()
    if description:
        made[0x010E] = description.encode()
    if comment:
        made.get_ifd(0x8769)[0x9286] = comment
    return made


async def folder_of(pool: ReencoderPool, folder: Path, files: dict[str, bytes]) -> Got:
    for name, content in files.items():
        path = folder / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return {picture.name: picture async for picture in check_folder(pool, folder / "pictures", folder)}


async def test_captions_come_from_texts_tables_folders_and_pictures_in_this_order(tmp_path: Path) -> None:
    rows = [
        {"file_name": "row.png", "text": "of its row"},
        {"file_name": "text.png", "text": "not taken"},
        {"file_name": "deeper/ROW.png", "text": "of a row in another folder"},
        {"file_name": "gone.png", "text": "of nothing"},
        {"file_name": "broken.gif", "text": "of what is refused anyway"},
    ]
    inside = a_picture(Description="of the file")
    async with ReencoderPool() as pool:
        got = await folder_of(
            pool,
            tmp_path,
            {
                "metadata.jsonl": "\r\n".join(map(json.dumps, rows)).encode("utf-16"),
                "row.png": inside,
                "text.png": inside,
                "text.caption": "\ufeffof its text\r\n".encode(),
                "deeper/row.PNG": inside,
                "alone.png": inside,
                "broken.gif": b"GIF89a",
                "10_ohwx woman/face.png": inside,
                "10_ohwx woman/named.png": inside,
                "10_ohwx woman/named.txt": b"a woman",
                "2024_holidays/beach.png": a_picture(),
            },
        )

    assert got.pop("gone.png").reason == ABSENT
    assert "no such picture" not in got.pop("broken.gif").reason
    assert {name: (picture.caption, picture.repeats) for name, picture in got.items()} == {
        "row.png": ("of its row", 1),
        "text.png": ("of its text", 1),
        "row.PNG": ("of a row in another folder", 1),
        "alone.png": ("of the file", 1),
        "face.png": ("ohwx woman", 10),
        "named.png": ("a woman", 10),
        "beach.png": ("", 1),
    }
    assert not any(picture.reason for picture in got.values())


async def test_what_pictures_say_of_themselves_is_read_and_what_cameras_write_is_not(tmp_path: Path) -> None:
    recipe = "a fox, café\nNegative prompt: blurry\nSteps: 20, Seed: 5"
    files = {
        "a1111.png": a_picture(parameters=recipe),
        "compressed.png": a_picture(Comment="a fox " * 50),
        "description.jpg": a_picture("JPEG", exif("a fox at a café")),
        "a1111.jpg": a_picture("JPEG", exif(comment=b"UNICODE\0" + recipe.encode("utf-16-be"))),
        "ascii.webp": a_picture("WEBP", exif(comment=b"ASCII\0\0\0a fox")),
        "camera.jpg": a_picture("JPEG", exif("OLYMPUS DIGITAL CAMERA         ")),
        "workflow.png": a_picture(prompt='{"3": {"class_type": "KSampler"}}'),
        "bell.png": a_picture(Description="\a"),
    }
    async with ReencoderPool() as pool:
        got = await folder_of(pool, tmp_path, files)

    assert {name: picture.caption for name, picture in got.items()} == {
        "a1111.png": "a fox, café",
        "compressed.png": ("a fox " * 50).strip(),
        "description.jpg": "a fox at a café",
        "a1111.jpg": "a fox, café",
        "ascii.webp": "a fox",
        "camera.jpg": "",
        "workflow.png": "",
        "bell.png": "",
    }


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metadata.csv", b"file_name,text\na.png,a fox\n"),
        ("metadata.csv", "\ufefffile_name;additional_feature\r\na.png;a fox\r\n".encode()),
        ("captions.csv", "caption\tfile\na fox\ta.png\n".encode("utf-16")),
        ("metadata.csv", b'file_name,width,text\n"a.png",64,"a fox"\n'),
        ("metadata.jsonl", b'{"file_name": "a.png", "prompt": "a fox", "width": 64}'),
        ("metadata.jsonl", b'{"image": "a.png", "text": ["a fox", "a red fox"]}\n\n'),
    ],
)
def test_a_table_is_read_as_spreadsheets_and_scripts_write_it(name: str, content: bytes) -> None:
    assert read_table(name, content).captions == {"a.png": "a fox"}


def test_a_table_that_was_written_is_read_again() -> None:
    captions = {"a.png": 'a "fox", 5 €\nin two lines', "b.png": ""}

    assert read_table("captions.csv", write_table(list(captions.items()))).captions == captions


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        (
            "metadata.csv",
            b"name,size\na,1\n",
            "It has name and size. One column must be file_name, and one text.",
        ),
        ("metadata.jsonl", b"not json\n", "It is not a JSON object."),
        ("metadata.csv", b"\xff\xfe\0", "It is not text in UTF-8, UTF-16 or Windows-1252."),
    ],
)
def test_a_table_of_which_nothing_can_be_read_says_why(name: str, content: bytes, sentence: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read_table(name, content)
    assert str(refusal.value) == sentence


async def test_rows_and_tables_that_cannot_be_read_are_named_and_the_rest_is_taken(tmp_path: Path) -> None:
    lines = ['{"file_name": "a.png", "text": "a fox"}', "oops", '{"file_name": "b.png", "text": 5}']
    async with ReencoderPool() as pool:
        got = await folder_of(
            pool,
            tmp_path,
            {
                "metadata.jsonl": "\n".join(lines).encode(),
                "metadata.csv": b"x,y,z\n1,2,3\n",
                "a.png": a_picture(),
                "b.png": a_picture(),
            },
        )

    assert got["a.png"].caption == "a fox"
    assert got["b.png"].image is not None
    assert got["metadata.jsonl"].reason == "Row 3 cannot be read. Its text is no text."
    assert "One column must be file_name" in got["metadata.csv"].reason
