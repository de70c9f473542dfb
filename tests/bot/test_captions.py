"""Captions of a draft: described by the captioner, read as a file, changed and sent back."""

import json

import pytest

from bot.cards.card import Card
from bot.uploads.caption_table import read_table
from bot.uploads.file_fields import FormFiles, IncomingFile, Open, take_files
from bot.uploads.intake import Intake
from commands.train import train
from engine.messages import JobId
from tests.bot.fake_chat import Chat, OpenChat, Seen, caller
from tests.bot.training_cases import a_picture, drafts, wait_for_report
from tests.bot.uploads.coming import pieces
from tests.bot.uploads.one_pixel import png as one_pixel

MANY = 60  # more than a request names itself


@pytest.fixture
async def chat(open_chat: OpenChat) -> Chat:
    return await open_chat()


async def in_form(chat: Chat, job: JobId | None) -> dict[str, str]:
    """The captions that the draft's form shows, by picture."""
    form = (await chat.presses("ana", "edit", job)).form
    assert form is not None
    return {picture["name"]: picture["caption"] for picture in json.loads(form.values["pictures"])}


async def downloads(chat: Chat, job: JobId | None) -> tuple[str, dict[str, str]]:
    """The name of the captions file, and what is in it."""
    [(name, sha256)] = (await chat.presses("ana", "captions", job)).files
    return name, dict(read_table(name, await chat.bot.files.get(sha256)).captions)


def buttons(card: Card) -> set[str]:
    return {button.id.partition(":")[0] for button in card.buttons}


@pytest.mark.parametrize("count", [3, MANY])
async def test_pictures_without_a_caption_are_described_and_others_left(chat: Chat, count: int) -> None:
    pictures = {f"{number}.png": one_pixel(number) for number in range(count)}
    job = (await drafts(chat, "ana", "maria", pictures)).job
    card = await wait_for_report(chat, job)
    assert {"describe", "captions"} <= buttons(card)

    assert not (await chat.presses("bob", "describe", job)).ok
    assert (await chat.presses("ana", "describe", job)).ok
    await chat.shows(job, lambda card: "describe" not in buttons(card) and card.sheet is not None, 20)

    assert await in_form(chat, job) == {name: f"the captioner's {name}" for name in pictures}
    assert not (await chat.presses("ana", "describe", job)).ok
    assert (await chat.presses("ana", "start", job)).ok


async def test_captions_go_as_a_file_and_come_back_with_the_form(chat: Chat) -> None:
    pictures = {"a.png": a_picture(1), "b.png": a_picture(2), "c.png": a_picture(3)}
    job = (await drafts(chat, "ana", "maria", pictures)).job
    await wait_for_report(chat, job)
    name, sent = await downloads(chat, job)
    assert (name, sent) == ("maria-captions.csv", {"a.png": "", "b.png": "", "c.png": ""})

    form = (await chat.presses("ana", "edit", job)).form
    assert form is not None
    changed = 'file_name;text\r\na.png;a fox\r\nB.PNG;"a hen, ""red"""\r\nz.png;nobody\r\n'
    files = await comes_back(chat, form.values["pictures"], {name: changed.encode(), "c.txt": b"a crow"})
    again = await Seen.of(chat.bot.dispatch.fill(caller("ana"), "train", {**form.values, **files.texts}))
    await wait_for_report(chat, again.job)

    assert files.refused == (("z.png", "There is a caption for it and no such picture."),)
    captions = {"a.png": "a fox", "b.png": 'a hen, "red"', "c.png": "a crow"}
    assert await downloads(chat, again.job) == (name, captions)
    assert not (await chat.presses("bob", "captions", again.job)).ok


async def comes_back(chat: Chat, before: str, files: dict[str, bytes]) -> FormFiles:
    """The form's texts with these files added to its pictures."""
    intake = Intake(chat.bot.database, chat.bot.files, chat.bot.garbage)

    def opening(name: str, content: bytes) -> Open:
        async def open_file() -> IncomingFile:
            return IncomingFile(name=name, chunks=pieces(content))

        return open_file

    uploaded = {"pictures": [opening(name, content) for name, content in files.items()]}
    return await take_files(intake, caller("ana"), train, uploaded, {"pictures": before})
