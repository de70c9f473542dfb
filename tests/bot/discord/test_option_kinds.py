"""A command with a picture, which Discord was never told of: its options, its form and its uploads."""

import io
import zipfile

import pytest

from tests.bot.discord.harness import DiscordBot
from tests.bot.training_cases import a_picture
from tests.fakes.discord import Attached

ATTACHMENT = 11  # Discord's type of such an option
pytestmark = pytest.mark.usefixtures("mirror")


def make_zip(*pictures: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number, picture in enumerate(pictures):
            archive.writestr(f"{number}.png", picture)
    return out.getvalue()


async def comes_back(harness: DiscordBot, words: str) -> None:
    """The picture is in Ana's direct messages, made anew, with these words."""
    direct = harness.discord.direct(harness.ana)
    await harness.discord.until(lambda: any(words in message.text for message in direct.messages))
    (files,) = [message.files for message in direct.messages if message.files]
    assert list(files) == ["mirrored.png"]
    assert files["mirrored.png"].startswith(b"\x89PNG")


async def test_it_is_an_option_to_attach_a_file_to(harness: DiscordBot) -> None:
    (mirror,) = [command for command in harness.discord.commands if command["name"] == "mirror"]

    types = {option["name"]: (option["type"], option.get("required", False)) for option in mirror["options"]}
    assert types == {"words": (3, True), "picture": (ATTACHMENT, False), "side": (3, False)}
    (side,) = [option for option in mirror["options"] if option["name"] == "side"]
    assert [choice["value"] for choice in side["choices"]] == ["top", "left hand"]


async def test_an_attached_picture_goes_in_and_comes_back(harness: DiscordBot) -> None:
    picture = Attached("fox.png", a_picture(1))

    await harness.discord.command(
        harness.ana, harness.channel, "mirror", words="a fox", picture=picture, side="left hand"
    )

    await comes_back(harness, "a fox, left hand up")


async def test_its_form_has_a_row_for_one_file_and_one_for_the_rest(harness: DiscordBot) -> None:
    heard = await harness.discord.command(harness.ana, harness.channel, "mirror", words="a fox")
    assert heard.modal is not None and heard.modal.title == "/mirror"
    assert heard.modal.field("words")["value"] == "a fox"
    assert heard.modal.field("picture")["max_values"] == 1

    await harness.discord.submit(
        harness.ana,
        heard.modal,
        {"picture": [Attached("fox.png", a_picture(1))], "rest": "--side left hand"},
    )

    await comes_back(harness, "a fox, left hand up")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Attached("fox.png", b"these are no pixels"), "not a picture that can be read"),
        (Attached("fox.png", b"", gone=True), "no longer has this file"),
        (Attached("foxes.zip", make_zip(a_picture(1), a_picture(2))), "Only one picture is wanted here"),
    ],
    ids=["no picture", "lost", "several"],
)
async def test_what_cannot_be_taken_is_refused_to_who_sent_it(
    harness: DiscordBot, bad: Attached, reason: str
) -> None:
    heard = await harness.discord.command(harness.ana, harness.channel, "mirror", words="a fox", picture=bad)

    await harness.discord.until(lambda: reason in heard.text)
    assert heard.ephemeral
