"""A command with a picture, which Slack was never told of: its modal, its upload and its answer."""

import pytest

from tests.bot.slack.harness import Atelier
from tests.bot.training_cases import a_picture
from tests.fakes.slack import View

pytestmark = pytest.mark.usefixtures("mirror")


async def opens(atelier: Atelier, words: str = "a fox") -> View:
    heard = await atelier.says(atelier.ana, "/mirror", words)
    assert heard.view is not None, heard.words
    return heard.view


async def test_its_modal_takes_one_picture_and_shows_its_choices(atelier: Atelier) -> None:
    view = await opens(atelier)

    fields = {element["block_id"]: element for element in view.elements}
    assert (fields["picture"]["type"], fields["picture"]["max_files"]) == ("file_input", 1)
    assert fields["picture"]["filetypes"] == ["png", "jpg", "jpeg", "webp", "gif"]
    assert fields["words"]["initial_value"] == "a fox"
    assert [option["value"] for option in fields["side"]["options"]] == ["top", "left hand"]


async def test_its_modal_opens_where_the_command_is_said_alone(atelier: Atelier) -> None:
    view = await opens(atelier, "")

    assert [element["block_id"] for element in view.elements] == ["words", "picture", "side"]


async def test_a_picture_goes_in_and_comes_back(atelier: Atelier) -> None:
    picture = atelier.slack.upload(atelier.ana, "fox.png", a_picture(1))

    sent = await atelier.slack.submit(
        atelier.ana, await opens(atelier), {"picture": [picture], "side": "left hand"}
    )

    assert not sent.errors
    direct = atelier.slack.direct(atelier.ana)
    await atelier.slack.until(
        lambda: any("a fox, left hand up" in message.words for message in direct.messages)
    )
    (file,) = [file for message in direct.messages for file in message.files]
    assert file.name == "mirrored.png"


async def test_what_is_no_picture_is_refused_at_its_field(atelier: Atelier) -> None:
    broken = atelier.slack.upload(atelier.ana, "fox.png", b"these are no pixels")

    sent = await atelier.slack.submit(atelier.ana, await opens(atelier), {"picture": [broken]})

    assert list(sent.errors) == ["picture"]
    assert "not a picture that can be read" in sent.errors["picture"]


async def test_a_picture_of_somebody_else_is_not_taken(atelier: Atelier) -> None:
    theirs = atelier.slack.upload(atelier.bo, "theirs.png", a_picture(1))

    sent = await atelier.slack.submit(atelier.ana, await opens(atelier), {"picture": [theirs]})

    assert "theirs.png is not yours" in sent.errors["picture"]
