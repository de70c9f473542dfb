"""Somebody's pictures on one sheet: each in its place, and an empty one for what is not to be seen."""

from pathlib import Path

from bot.images.encode import open_image
from bot.images.gallery_sheet import TALL, draw_gallery, gallery_sheet
from bot.images.samples import GAP, MARGIN, SIDE
from bot.images.theme import PAPER, WELL
from commands.answers import SmallPicture
from engine.messages import Sha256
from storage.files import Files
from tests.bot.fake_chat import OpenChat, Seen, caller
from tests.bot.images.test_encode import BLUE, GREEN, RED, a_picture


def middle(nth: int) -> tuple[int, int]:
    """The middle of the picture in this place."""
    row, column = divmod(nth, 3)
    return MARGIN + column * (SIDE + GAP) + SIDE // 2, MARGIN + row * TALL + SIDE // 2


def test_three_stand_in_a_row_and_the_fourth_begins_the_next_one() -> None:
    whole = gallery_sheet([a_picture(RED), a_picture(GREEN), None, a_picture(BLUE)], ["1", "2", "3", "4"])

    assert [whole.getpixel(middle(nth)) for nth in range(4)] == [RED, GREEN, WELL, BLUE]
    assert whole.getpixel(middle(4)) == PAPER


async def test_a_file_that_is_gone_leaves_its_place_empty(tmp_path: Path) -> None:
    files = Files(tmp_path)
    sha256 = await files.put(a_picture(GREEN))

    made = await draw_gallery(
        files,
        [SmallPicture(sha256=Sha256("0" * 64), caption="1"), SmallPicture(sha256=sha256, caption="2")],
    )

    image = open_image(made.content)
    assert [image.getpixel(middle(nth)) for nth in range(2)] == [WELL, GREEN]


async def test_what_is_hidden_until_it_is_opened_is_not_on_the_sheet(open_chat: OpenChat) -> None:
    chat = await open_chat()
    await Seen.of(chat.bot.dispatch.say(caller("root", admin=True), "/admin rules --filtered spoiler"))
    flagged = "/imagine a flag --count 2 --seed 200 --steps 2"  # the first one is
    painted = await chat.says("ana", flagged)
    await chat.ends(painted.job)

    reply = await chat.says("ana", "/gallery")

    assert reply.ok and reply.drawn is not None
    assert f"1 {painted.job}  a flag" in reply.text
    name, content = reply.drawn
    assert name == "gallery.png"
    assert [open_image(content).getpixel(middle(nth)) for nth in range(2)] == [WELL, (201, 0, 0)]
