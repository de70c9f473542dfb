"""The loss curve as a picture, and the same in words."""

import io
import math

import pytest
from PIL import Image

from bot.cards.card import Button, Card, CardCheckpoint, CardNote, CardPicture, Curve
from bot.cards.card_text import (
    bar,
    button_word,
    curve_words,
    number,
    recipe_line,
    short,
    stars_line,
    status,
    training_text,
)
from bot.images.loss_curve import HEIGHT, RIGHT, WIDTH, curve_png, plot_of, ticks
from bot.images.theme import ACCENT, CHECK, GOOD, font_for, truncate, wrap
from engine.messages import JobId, Sha256

FALLING = tuple((step, 0.05 + 0.1 * math.exp(-step / 100)) for step in range(1, 401, 4))
CURVE = Curve(
    losses=FALLING,
    smoothed=FALLING,
    validation=((100, 0.11), (200, 0.08), (300, 0.07), (400, 0.075)),
    best=300,
    steps=500,
)


def draw(curve: Curve) -> Image.Image:
    with Image.open(io.BytesIO(curve_png(curve))) as image:
        return image.convert("RGB")


def near(image: Image.Image, x: float, y: float, colour: tuple[int, int, int]) -> bool:
    """Whether this colour is within a few pixels of there."""
    box = image.crop((round(x) - 4, round(y) - 4, round(x) + 5, round(y) + 5))
    pixels = (box.getpixel((column, row)) for column in range(9) for row in range(9))
    return any(
        all(abs(value - other) < 24 for value, other in zip(pixel, colour, strict=True))
        for pixel in pixels
        if isinstance(pixel, tuple)
    )


def test_the_curve_shows_the_smoothed_loss_the_validation_and_the_best_step_where_they_are() -> None:
    image, plot = draw(CURVE), plot_of(CURVE)

    assert image.size == (WIDTH, HEIGHT)
    assert near(image, plot.x(41) / 2, plot.y(FALLING[10][1]) / 2, ACCENT)
    assert near(image, plot.x(200) / 2, plot.y(0.08) / 2, CHECK)
    assert near(image, plot.x(300) / 2, plot.y(0.07) / 2, GOOD)


def test_the_field_is_as_wide_as_the_whole_training() -> None:
    assert plot_of(CURVE).x(500) / 2 == WIDTH - RIGHT


def test_one_wild_loss_does_not_press_the_rest_flat() -> None:
    wild = Curve(losses=(*FALLING, (401, 40.0)), smoothed=FALLING, validation=(), best=None, steps=500)

    assert plot_of(wild).high < 0.3


@pytest.mark.parametrize(
    "curve",
    [
        Curve(losses=((1, 0.2),), smoothed=((1, 0.2),), validation=(), best=None, steps=0),
        Curve(losses=(), smoothed=(), validation=((5, 0.1),), best=5, steps=10),
        Curve(losses=((1, math.nan), (2, math.inf)), smoothed=(), validation=(), best=None, steps=3),
    ],
)
def test_a_curve_that_has_hardly_begun_is_drawn_too(curve: Curve) -> None:
    assert draw(curve).size == (WIDTH, HEIGHT)


def test_ticks_are_round_numbers() -> None:
    assert list(ticks(0, 500)) == [0, 100, 200, 300, 400, 500]
    assert [round(tick, 3) for tick in ticks(0.041, 0.16)] == [0.05, 0.1, 0.15]


def test_the_curve_is_told_in_words() -> None:
    assert (
        curve_words(CURVE) == "Loss from 0.149 to 0.0519 in 397 steps, best at step 300 (validation 0.0700)"
    )


@pytest.mark.parametrize(("value", "text"), [(0.0834, "0.0834"), (0.15, "0.150"), (12, "12.0"), (0, "0")])
def test_losses_have_three_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text


def test_long_words_are_cut_to_the_width_and_long_texts_to_the_lines() -> None:
    font = font_for(20)

    assert truncate("a red fox", font, 1000) == "a red fox"
    assert truncate("w" * 500, font, 100).endswith("…")
    lines = wrap("a red fox jumps over the lazy dog " * 5, font, 150, 2)
    assert len(lines) == 2
    assert all(font.getlength(line) <= 150 for line in lines)
    assert lines[1].endswith("…")


def test_the_bar_is_full_at_the_end() -> None:
    assert (bar(0.0, 4), bar(0.5, 4), bar(1.0, 4), bar(7.0, 4)) == ("░░░░", "▓▓░░", "▓▓▓▓", "▓▓▓▓")


def test_a_text_is_cut_at_a_word() -> None:
    assert short("a red fox jumps", 12) == "a red fox…"
    assert short("a red fox", 12) == "a red fox"


def a_card(**changes: object) -> Card:
    values: dict[str, object] = {
        "job": JobId("k3f9qa"),
        "kind": "paint",
        "number": 1,
        "person": "ana",
        "person_key": "1",
        "state": "succeeded",
        "title": "a red fox",
        "line": "Painted in 1.2 s",
        "done": None,
        "preview": None,
        "pictures": (),
        "recipe": (("steps", "20"), ("seed", "7")),
        "command": "",
        "buttons": (),
        "at": 0.0,
    }
    return Card(**{**values, **changes})  # type: ignore[arg-type]


def test_a_card_is_told_in_lines() -> None:
    picture = CardPicture(place=2, sha256=Sha256("0" * 64), seed=7, width=64, height=64, stars=3)
    card = a_card(pictures=(picture, CardPicture(**{**vars(picture), "place": 1, "stars": 0})))

    assert status(card) == "✅ Painted in 1.2 s"
    assert recipe_line(card) == "steps 20 · seed 7"
    assert stars_line(card) == "⭐ Picture 2: 3"


def test_a_training_is_told_in_lines() -> None:
    card = a_card(
        kind="train",
        state="draft",
        problems=("they are all alike",),
        notes=(
            CardNote(name="a.png", text="blurred", used=False),
            CardNote(name="b.png", text="", used=True),
        ),
        curve=CURVE,
        checkpoints=(
            CardCheckpoint(place=1, step=300, validation=0.07, chosen=True, samples=2),
            CardCheckpoint(place=0, step=400, validation=0.075, chosen=False, samples=2),
        ),
    )

    assert training_text(card).splitlines() == [
        "⚠️ they are all alike",
        "1 · a.png: blurred (left out)",
        "📉 Loss from 0.149 to 0.0519 in 397 steps, best at step 300 (validation 0.0700)",
        "☑️ Step 300, validation 0.0700, in use",
    ]


def test_a_button_says_what_it_does_in_a_word() -> None:
    choose = Button(id="choose:k3f9qa:1", emoji="☑️", label="", picture=1)
    checkpoint = CardCheckpoint(place=1, step=300, validation=None, chosen=False, samples=0)

    assert button_word(choose, a_card(checkpoints=(checkpoint,))) == "Use step 300"
    assert button_word(Button(id="keep:k3f9qa:2", emoji="⭐", label="", picture=2), a_card()) == "2"
    assert button_word(Button(id="delete:k3f9qa", emoji="🗑️", label=""), a_card(state="draft")) == "Discard"
