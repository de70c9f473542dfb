"""Many pictures at once, in a zip or a folder: what is taken, what is refused, and what never happens."""

import io
import re
import resource
import struct
import tempfile
import zipfile
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
from PIL import Image
from pillow_heif import register_heif_opener

from bot.uploads.archive import BundleLimits, CheckedPicture, check_file, check_folder, read_folder
from bot.uploads.image_check import ReencoderPool
from commands.syntax.form_files import printable_name
from engine.messages import InvalidRequest

UNREADABLE = "This is not a picture that can be read. Send a PNG, JPEG or WebP."


def a_picture(kind: str = "PNG", size: tuple[int, int] = (60, 40), colour: str = "red") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, kind)
    return out.getvalue()


def moving_gif() -> bytes:
    out = io.BytesIO()
    blue = Image.new("RGB", (8, 8), "blue")
    Image.new("RGB", (8, 8), "red").save(out, "GIF", save_all=True, append_images=[blue])
    return out.getvalue()


def huge_png() -> bytes:
    """13,000 x 13,000 pixels of one bit, whole and valid, in 20 KB."""
    header = struct.pack(">IIBBBBB", 13_000, 13_000, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((13_000 // 8 + 1) * 13_000), 9)
    chunks = ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def make_zip(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


@pytest.fixture
async def pool() -> AsyncIterator[ReencoderPool]:
    async with ReencoderPool() as pool:
        yield pool


class Send(Protocol):
    """Somebody sends a file; what is taken of it, by name."""

    async def __call__(self, content: bytes, name: str = "pictures.zip") -> dict[str, CheckedPicture]: ...


@pytest.fixture
def upload(pool: ReencoderPool, tmp_path: Path) -> Send:
    async def send(content: bytes, name: str = "pictures.zip") -> dict[str, CheckedPicture]:
        path = tmp_path / "came"
        path.write_bytes(content)
        return {picture.name: picture async for picture in check_file(pool, name, path)}

    return send


async def test_a_zip_is_taken_with_captions_from_the_text_files_beside_its_pictures(upload: Send) -> None:
    got = await upload(
        make_zip(
            {
                "maria/one.png": a_picture(),
                "maria/one.txt": "\ufeffa photo of ohwx woman, Zürich\n".encode(),
                "maria/two.jpg": a_picture("JPEG"),
                "other/two.txt": b"of another folder",
                "three.webp": a_picture("WEBP"),
                "__MACOSX/maria/._one.png": b"\0\5\x16\7",
                "maria/.DS_Store": b"\0",
            }
        )
    )

    assert got.pop("two.txt").reason == "It is a text without a picture of the same name."
    assert list(got) == ["one.png", "two.jpg", "three.webp"]
    assert [picture.caption for picture in got.values()] == ["a photo of ohwx woman, Zürich", "", ""]
    kinds = [picture.image.kind for picture in got.values() if picture.image is not None]
    assert kinds == ["png", "jpeg", "png"]
    assert not any(picture.reason for picture in got.values())


async def test_what_cannot_be_used_is_told_with_its_reason_and_the_rest_is_taken(upload: Send) -> None:
    got = await upload(
        make_zip(
            {
                "good.png": a_picture(),
                "cut.jpg": a_picture("JPEG", (400, 300))[:-400],
                "moving.gif": moving_gif(),
                "renamed.png": moving_gif(),
                "text.png": b"This is a text file.",
                "huge.png": huge_png(),
                "more.zip": make_zip({"a.png": a_picture()}),
                "long.png": a_picture(),
                "long.txt": b"x" * 50_000,
                "bytes.png": a_picture(),
                "bytes.txt": b"\xff\xfe\0",
                "bell.png": a_picture(),
                "bell.txt": b"\a",
            }
        )
    )

    assert {name: picture.reason for name, picture in got.items()} == {
        "good.png": "",
        "cut.jpg": UNREADABLE,
        "moving.gif": "It is not a PNG, JPEG or WebP.",
        "renamed.png": "It is not a PNG, JPEG or WebP.",
        "text.png": "It is not a PNG, JPEG or WebP.",
        "huge.png": "The picture has far too many pixels. At most 32 megapixels are allowed.",
        "more.zip": "It is a zip inside the zip. Unpack it first.",
        "long.png": "Its caption has more than 10,000 characters.",
        "bytes.png": "Its caption is not text in UTF-8, UTF-16 or Windows-1252.",
        "bell.png": "Its caption has the control character U+0007. Leave it out.",
    }
    assert [name for name, picture in got.items() if picture.image is not None] == ["good.png"]


async def test_content_says_what_is_a_picture_and_others_are_counted(upload: Send) -> None:
    caches = {f"img/10_ohwx woman/{number}_sdxl.npz": bytes(2**16) for number in range(29)}
    got = await upload(
        make_zip(
            {
                "img/10_ohwx woman/1.jfif": a_picture("JPEG"),
                "img/10_ohwx woman/1.txt": b"a woman",
                "img/10_ohwx woman/2.JPE": a_picture("JPEG"),
                "img/10_ohwx woman/3.PNG": a_picture("WEBP"),
                "img/10_ohwx woman/4": a_picture(),
                "img/10_ohwx woman/moving.GIF": moving_gif(),
                "img/Thumbs.db": b"\xd0\xcf\x11\xe0",
                "train.log": b"step 1 loss 0.1\n" * 2**17,
                **caches,
            }
        )
    )

    assert {name: picture.reason for name, picture in got.items()} == {
        "1.jfif": "",
        "2.JPE": "",
        "3.PNG": "",
        "4": "",
        "moving.GIF": "It is not a PNG, JPEG or WebP.",
        "": "31 other files were skipped.",
    }
    assert got["1.jfif"].caption == "a woman"


async def test_captions_are_found_by_every_name_that_trainers_give_them(upload: Send) -> None:
    got = await upload(
        make_zip(
            {
                "a.png": a_picture(),
                "a.png.txt": b"of its whole name",
                "IMG_1.JPG": a_picture("JPEG"),
                "img_1.txt": b"in small letters",
                "zu\u0308rich.png": a_picture(),
                "z\u00fcrich.txt": b"composed",
                "b.png": a_picture(),
                "b.caption": b"of another ending",
                "C.png": a_picture(),
                "c.png": a_picture(),
                "c.txt": b"small",
                "C.TXT": b"large",
                "d.png": a_picture(),
                "d.txt": b"taken",
                "d.caption": b"not taken",
                "readme.txt": b"words",
            }
        )
    )

    assert {name: picture.caption for name, picture in got.items() if picture.image is not None} == {
        "a.png": "of its whole name",
        "IMG_1.JPG": "in small letters",
        "z\u00fcrich.png": "composed",
        "b.png": "of another ending",
        "C.png": "large",
        "c.png": "small",
        "d.png": "taken",
    }
    assert {name: picture.reason for name, picture in got.items() if picture.image is None} == {
        "d.caption": "Its picture has another caption, which is used.",
        "readme.txt": "It is a text without a picture of the same name.",
    }


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"], ids=str
)
async def test_captions_are_read_as_editors_write_them(upload: Send, encoding: str) -> None:
    words = "ohwx woman at a café, 5 € each"

    got = await upload(make_zip({"a.png": a_picture(), "a.txt": words.encode(encoding)}))

    assert got["a.png"].caption == words


def test_the_huge_picture_is_as_small_as_people_send_it() -> None:
    assert len(huge_png()) < 21_000


async def test_a_caption_may_have_ten_thousand_characters_of_any_script(upload: Send) -> None:
    got = await upload(make_zip({"a.png": a_picture(), "a.txt": ("好" * 10_000).encode()}))
    longer = await upload(make_zip({"a.png": a_picture(), "a.txt": ("好" * 10_001).encode()}))

    assert got["a.png"].caption == "好" * 10_000
    assert longer["a.png"].reason == "Its caption has 10,001 characters. At most 10,000 are allowed."


async def test_a_single_picture_is_taken_as_it_is(upload: Send) -> None:
    got = await upload(a_picture(size=(1, 1)), name="C:\\Users\\maria\\dot.png")

    assert [(picture.name, picture.caption, picture.reason) for picture in got.values()] == [
        ("dot.png", "", "")
    ]
    image = got["dot.png"].image
    assert image is not None and (image.width, image.height) == (1, 1)


@pytest.mark.parametrize("name", ["../a.png", "a/../../b.png", "/etc/a.png", "..\\a.png", "C:\\a.png"])
async def test_a_zip_with_names_that_lead_out_of_it_is_refused(upload: Send, name: str) -> None:
    with pytest.raises(InvalidRequest, match="which leads out of it"):
        await upload(make_zip({"good.png": a_picture(), name: a_picture()}))


async def test_a_zip_bomb_is_refused_before_it_fills_the_memory(upload: Send) -> None:
    bomb = make_zip({"good.png": a_picture(), "bomb.png": bytes(40 * 2**20)})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(InvalidRequest, match=r"The zip unpacks to far too much\. At most 4 GB are allowed"):
        await upload(bomb)

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kilobytes


async def test_many_files_that_each_are_allowed_are_refused_when_they_are_too_much_together(
    upload: Send,
) -> None:
    files = bytearray(make_zip({f"{number}.png": a_picture() for number in range(20)}))
    for listed in re.finditer(b"PK\x01\x02", bytes(files)):
        struct.pack_into("<II", files, listed.start() + 20, 250 * 2**20, 250 * 2**20)

    with pytest.raises(InvalidRequest, match="At most 4 GB are allowed"):
        await upload(bytes(files))


async def test_a_zip_that_lies_about_its_sizes_gives_no_more_than_it_says(upload: Send) -> None:
    honest = make_zip({"a.png": bytes(8 * 2**20)})
    true_size, lie = struct.pack("<I", 8 * 2**20), struct.pack("<I", 1000)

    got = await upload(honest.replace(true_size, lie))

    assert got["a.png"].image is None
    assert got["a.png"].reason == "It cannot be unpacked."


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            make_zip({f"{number}.png": b"" for number in range(10_000)}),
            "The zip has more than 4,000 files in it. Send fewer pictures at once.",
        ),
        (
            make_zip({f"{number}.txt": b"" for number in range(4001)}),
            "The zip has more than 4,000 files in it. Send fewer pictures at once.",
        ),
        (
            make_zip({f"{number}.png": a_picture() for number in range(1001)}),
            "It has 1,001 pictures. At most 1,000 are allowed in a chat, and more in a terminal "
            "(python -m bot train).",
        ),
        (make_zip({}), "It has no picture in it."),
        (make_zip({"a.txt": b"words"}), "It has no picture in it."),
        (
            make_zip({"a.png": a_picture()}, zipfile.ZIP_LZMA),
            "The zip is packed in an unusual way. Pack the pictures as a plain zip.",
        ),
        (
            make_zip({"a.png": a_picture()})[:-30],
            "This is not a zip that can be read. Pack the pictures again.",
        ),
        (b"PK\x03\x04 is not all of it", "This is not a zip that can be read. Pack the pictures again."),
        (b"no picture at all", UNREADABLE),
    ],
    ids=["10000", "4001", "1001", "empty", "texts", "lzma", "cut", "start", "words"],
)
async def test_a_file_of_which_nothing_can_be_taken_is_refused_in_one_sentence(
    upload: Send, content: bytes, sentence: str
) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        await upload(content)

    assert str(refusal.value) == sentence


async def test_a_locked_zip_is_refused(upload: Send) -> None:
    locked = bytearray(make_zip({"a.png": a_picture()}))
    for start, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[locked.index(start) + flags] |= 1

    with pytest.raises(InvalidRequest, match="The zip has a password"):
        await upload(bytes(locked))


async def test_a_folder_is_read_in_the_order_of_its_names(pool: ReencoderPool, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    (folder / "deeper").mkdir(parents=True)
    (folder / "b.jpg").write_bytes(a_picture("JPEG"))
    (folder / "a.png").write_bytes(a_picture())
    (folder / "a.txt").write_text("a red field")
    (folder / "notes.md").write_text("not one of them")

    got = [picture async for picture in check_folder(pool, folder, tmp_path)]

    assert [(picture.name, picture.caption, picture.reason) for picture in got] == [
        ("a.png", "a red field", ""),
        ("b.jpg", "", ""),
        ("", "", "1 other file was skipped."),
    ]
    assert [picture.image.kind for picture in got if picture.image is not None] == ["png", "jpeg"]


async def test_a_folder_of_folders_is_read_as_the_same_zip_is(
    pool: ReencoderPool, upload: Send, tmp_path: Path
) -> None:
    files = {
        "img/10_ohwx woman/1.png": a_picture(),
        "img/10_ohwx woman/1.txt": b"a woman",
        "img/1_dog/1.jpg": a_picture("JPEG"),
        "img/1_dog/.hidden.png": a_picture(),
        "img/1_dog/1.npz": b"cache",
        "__MACOSX/img/1_dog/._1.jpg": a_picture(),
        "log/other.txt": b"no caption",
    }
    for name, content in files.items():
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(content)

    in_a_folder = [picture async for picture in check_folder(pool, tmp_path / "set", tmp_path)]
    in_a_zip = await upload(make_zip(files))

    pictures = [(picture.name, picture.caption, picture.reason) for picture in in_a_folder]
    assert pictures == [(picture.name, picture.caption, picture.reason) for picture in in_a_zip.values()]
    assert pictures == [
        ("1.png", "a woman", ""),
        ("1.jpg", "dog", ""),
        ("other.txt", "", "It is a text without a picture of the same name."),
        ("", "", "1 other file was skipped."),
    ]


async def test_a_folder_of_far_too_many_files_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.uploads.archive.TERMINAL", BundleLimits(pictures=2, content=2**20))
    for number in range(9):
        (tmp_path / f"{number}.png").write_bytes(a_picture())

    with pytest.raises(InvalidRequest, match=r"has more than 8 files in it\. Name a smaller one\.$"):
        list(read_folder(tmp_path))
    for number in range(3, 9):
        (tmp_path / f"{number}.png").unlink()
    with pytest.raises(InvalidRequest, match=r"^It has 3 pictures\. At most 2 are allowed"):
        list(read_folder(tmp_path))


def test_a_folder_that_is_not_there_or_empty_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"There is no folder .*nowhere\."):
        list(read_folder(tmp_path / "nowhere"))
    with pytest.raises(InvalidRequest, match="It has no picture in it"):
        list(read_folder(tmp_path))


def test_names_lose_their_folders_and_what_cannot_be_shown() -> None:
    assert printable_name("a/b\\c\u202e\x07d.png") == "cd.png"
    assert len(printable_name("x" * 500)) == 80


async def test_folders_of_several_concepts_and_of_a_class_are_told_apart(upload: Send) -> None:
    got = await upload(
        make_zip(
            {
                "img/10_ohwx woman/a.png": a_picture(),
                "img/5_sks dog/b.png": a_picture(),
                "img/5_sks dog/b.txt": b"a dog in the snow",
                "reg/1_woman/c.png": a_picture(),
            }
        )
    )

    assert {
        name: (picture.caption, picture.repeats, picture.concept, picture.regularization)
        for name, picture in got.items()
    } == {
        "a.png": ("ohwx woman", 10, "ohwx woman", False),
        "b.png": ("a dog in the snow", 5, "sks dog", False),
        "c.png": ("woman", 1, "", True),
    }


def _saved(picture: Image.Image, kind: str, **how: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **how)
    return out.getvalue()


async def test_every_kind_of_picture_among_many_is_used_rightly_or_named(upload: Send) -> None:
    register_heif_opener()
    red, blue = (Image.new("RGB", (60, 40), colour) for colour in ("red", "blue"))
    deep = Image.fromarray(np.full((40, 60), 0x8000, np.uint16))
    files = {
        "cmyk.jpg": _saved(red.convert("CMYK"), "JPEG"),
        "deep.png": _saved(deep, "PNG"),
        "palette.png": _saved(red.quantize(4), "PNG"),
        "moving.webp": _saved(red, "WEBP", save_all=True, append_images=[blue], lossless=True),
        "phone.heic": _saved(red, "HEIF", quality=90),
        "small.avif": _saved(red, "AVIF", quality=90),
        "wrong.jpg": _saved(red, "PNG"),
        "wide.png": _saved(Image.new("RGB", (9000, 8), "red"), "PNG"),
        "cut.jpg": _saved(Image.effect_noise((300, 300), 90), "JPEG")[:3000],
    }

    colours: dict[str, tuple[int, ...]] = {}
    got = await upload(make_zip(files))
    async with ReencoderPool() as pool:
        for name, content in files.items():
            if got[name].image is not None:
                (path := Path(tempfile.mkdtemp()) / "a").write_bytes(content)
                made = await pool.reencode(path, path.with_name("b"))
                with Image.open(made.path) as shown:
                    colours[name] = tuple(int(value) for value in np.asarray(shown.convert("RGB"))[5, 5])

    assert {name for name in files if got[name].image is None} == {"wide.png", "cut.jpg"}
    assert got["wide.png"].reason.startswith("The picture has 9000 x 8 pixels.")
    assert got["cut.jpg"].reason.startswith("This is not a picture that can be read.")
    assert colours.pop("deep.png") == (128, 128, 128)
    assert all(red > 230 and green < 30 and blue < 30 for red, green, blue in colours.values()), colours
