"""/verify tells of a picture that comes back what may be told, and how sure it is."""

import io
from pathlib import Path

import pytest
from PIL import Image

from bot.config import PictureSettings
from bot.provenance.marking import Marker
from tests.bot.fake_chat import Chat, OpenChat, Seen, a_config, caller
from tests.bot.training_cases import a_picture
from tests.bot.uploads.coming import pieces


@pytest.fixture
async def chat(open_chat: OpenChat, tmp_path: Path) -> Chat:
    return await open_chat(config=a_config(tmp_path, pictures=PictureSettings()))


async def painted(chat: Chat, who: str = "ana", space: str = "home") -> tuple[str, bytes]:
    """A picture that somebody had painted, and its file."""
    reply = await chat.says(who, "/imagine a drawing --steps 2 --seed 7", space)
    card = await chat.ends(reply.job)
    return str(reply.job), await chat.bot.files.get(card.pictures[0].sha256)


async def asks(chat: Chat, who: str, content: bytes, words: str = "", space: str = "home") -> Seen:
    """Somebody sends a picture and asks where it is from."""
    taken = await chat.bot.intake.take(caller(who, space), "a.png", pieces(content))
    return await chat.says(who, f"/verify {taken.pictures[0].sha256} {words}", space)


def saved(content: bytes, kind: str, **options: int) -> bytes:
    """The picture as a chat saves it anew."""
    file = io.BytesIO()
    Image.open(io.BytesIO(content)).convert("RGB").save(file, kind, **options)
    return file.getvalue()


async def test_the_very_file_is_known_and_what_a_chat_made_of_it(chat: Chat) -> None:
    job, content = await painted(chat)

    seen = await asks(chat, "ana", content)

    assert "byte for byte" in seen.text
    assert f"Job: {job}, picture 1" in seen.text
    assert "By: you" in seen.text
    assert "Model: quick" in seen.text
    for_others = await asks(chat, "bo", saved(content, "JPEG", quality=85))
    assert "watermark" in for_others.text and f"Job: {job}" in for_others.text
    assert "By:" not in for_others.text


async def test_who_does_not_see_its_space_is_told_no_more_than_that_it_is_from_here(chat: Chat) -> None:
    job, content = await painted(chat, space="elsewhere")

    seen = await asks(chat, "bo", content)
    mine = await asks(chat, "ana", content)

    assert "in a place that you do not see" in seen.text
    assert job not in seen.text and "elsewhere" not in seen.text and "ana" not in seen.text
    assert f"Job: {job}" in mine.text and "Space: elsewhere" in mine.text


async def test_a_deleted_picture_is_from_here_and_nothing_else_is_known(chat: Chat) -> None:
    job, content = await painted(chat)
    await chat.presses("ana", "delete", job)  # type: ignore[arg-type]

    for file in (content, saved(content, "JPEG", quality=85)):
        seen = await asks(chat, "bo", file)
        assert "The picture is not here any more" in seen.text
        assert job not in seen.text


async def test_a_picture_from_elsewhere_is_not_from_here(chat: Chat) -> None:
    await painted(chat)

    assert (await asks(chat, "ana", a_picture(3, 256))).text.startswith("It is not from here")
    small = await asks(chat, "ana", a_picture(3, 100))
    assert "too few for a watermark" in small.text


async def test_what_has_no_marks_is_told_as_likely(open_chat: OpenChat, tmp_path: Path) -> None:
    unmarked = PictureSettings(watermark=False, content_credentials=False)
    chat = await open_chat(config=a_config(tmp_path, pictures=unmarked))
    job, content = await painted(chat)

    seen = await asks(chat, "bo", saved(content, "WEBP", quality=80))

    assert "likely, not certain" in seen.text and f"Job: {job}" in seen.text


async def test_forged_credentials_and_those_of_others_are_told(chat: Chat, tmp_path: Path) -> None:
    other = Marker(tmp_path / "other" / "files", watermark=False, credentials=True)
    theirs = (await other.mark(a_picture(4, 256), "k3f9qa-1")).png
    start = theirs.index(b"caBX") - 4
    chunk = theirs[start : start + 12 + int.from_bytes(theirs[start : start + 4])]
    plain = a_picture(5, 256)
    forged = plain[:33] + chunk + plain[33:]  # behind the head

    assert "whole, and claim: signed by Atelier" in (await asks(chat, "ana", theirs)).text
    assert "They are forged" in (await asks(chat, "ana", forged)).text


async def test_it_is_painted_again_and_the_difference_is_shown(chat: Chat) -> None:
    job, content = await painted(chat)

    again = await asks(chat, "ana", saved(content, "JPEG", quality=85), "--repaint")
    card = await chat.ends(again.job)
    shown = await chat.says("ana", f"/verify {again.job}")

    assert f"Painted again from {job}:1. Nothing differs." in card.line
    assert shown.drawn is not None and shown.drawn[0] == "difference.png"
    assert Image.open(io.BytesIO(shown.drawn[1])).getextrema() == ((0, 0),) * 3


async def test_a_picture_of_a_space_that_one_does_not_see_is_not_painted_again(chat: Chat) -> None:
    _, content = await painted(chat, space="elsewhere")

    assert not (await asks(chat, "bo", content, "--repaint")).ok
