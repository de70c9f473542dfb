"""Pictures as chats take them: one grid, within the limit, and what it had to lose is said."""

import io
import random

import pytest
from PIL import Image

from bot.images.encode import EncodedImage, TooLarge, enlarge_preview, fit_pictures, grid, open_image
from bot.images.samples import SampleRow, samples_sheet

RED, GREEN, BLUE, GOLD = (220, 30, 30), (30, 160, 60), (40, 70, 220), (230, 180, 40)
MB = 2**20


def a_picture(colour: tuple[int, int, int], width: int = 64, height: int = 64) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(file, "PNG")
    return file.getvalue()


def a_noisy_picture(side: int = 256) -> bytes:
    """One that no format makes much smaller."""
    noise = random.Random(7).randbytes(3 * side * side)
    file = io.BytesIO()
    Image.frombytes("RGB", (side, side), noise).save(file, "PNG")
    return file.getvalue()


def decode(content: bytes) -> Image.Image:
    with Image.open(io.BytesIO(content)) as image:
        return image.convert("RGB")


def test_four_pictures_are_two_rows_of_two_in_their_order() -> None:
    whole = grid([a_picture(colour) for colour in (RED, GREEN, BLUE, GOLD)]).convert("RGB")

    corners = [
        (10, 10),
        (whole.width - 10, 10),
        (10, whole.height - 10),
        (whole.width - 10, whole.height - 10),
    ]
    assert [whole.getpixel(at) for at in corners] == [RED, GREEN, BLUE, GOLD]


def test_two_pictures_stand_side_by_side_and_three_leave_the_last_place_clear() -> None:
    two = grid([a_picture(RED), a_picture(GREEN)])
    three = grid([a_picture(RED), a_picture(GREEN), a_picture(BLUE)])

    assert two.height == 64
    assert two.width > 128
    assert three.getpixel((three.width - 1, three.height - 1)) == (0, 0, 0, 0)


def test_a_single_picture_that_fits_stays_the_file_that_it_is() -> None:
    picture = a_picture(RED)

    assert fit_pictures([picture], 10 * MB) == EncodedImage(name="painting.png", content=picture)


def test_a_picture_that_is_too_large_becomes_webp_and_says_so() -> None:
    picture = a_picture(RED, 512, 512)

    made = fit_pictures([picture], len(picture) - 1)

    assert made.name == "painting.webp"
    assert decode(made.content).size == (512, 512)
    assert made.note.startswith("Shown as WebP. The chat takes at most")


def test_one_that_is_still_too_large_becomes_smaller_and_says_so() -> None:
    made = fit_pictures([a_noisy_picture()], 20_000)

    assert len(made.content) <= 20_000
    assert max(decode(made.content).size) < 256
    assert made.note == "Shown smaller. The chat takes at most 20 KB."


def test_nothing_that_nobody_could_see_is_made() -> None:
    with pytest.raises(TooLarge):
        fit_pictures([a_noisy_picture()], 500)


def test_a_preview_is_as_large_as_a_picture_in_a_chat() -> None:
    assert decode(enlarge_preview(a_picture(RED, 96, 128))).size == (384, 512)


def test_the_samples_sheet_has_a_row_for_the_untrained_model_and_one_for_each_checkpoint() -> None:
    rows = [
        SampleRow(title="Untrained", about="without the LoRA", samples=(a_picture(RED), a_picture(RED))),
        SampleRow(title="Step 200", samples=(a_picture(GREEN), a_picture(GREEN)), chosen=True),
    ]

    sheet = samples_sheet(rows, ["a photo of ohwx", "ohwx in the snow, " * 20])

    upper, lower = sheet.height // 4, sheet.height * 3 // 4
    assert [sheet.getpixel((x, upper)) for x in (150, sheet.width - 150)] == [RED, RED]
    assert [sheet.getpixel((x, lower)) for x in (150, sheet.width - 150)] == [GREEN, GREEN]


def test_prompts_of_any_script_are_written_under_the_samples() -> None:
    row = SampleRow(title="Step 1", samples=(a_picture(RED),))

    written = samples_sheet([row], ["портрет в стиле барокко"])
    empty = samples_sheet([row], [""])

    assert written.tobytes() != empty.tobytes()


def test_our_own_pictures_are_opened_and_other_formats_are_not() -> None:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "GIF")

    with pytest.raises(OSError, match="cannot identify"):
        open_image(file.getvalue())
