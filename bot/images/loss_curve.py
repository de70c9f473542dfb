"""A loss curve as a picture: each step's loss thin, the same smoothed bold, the validation's as dots."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from bot.cards.card import Curve
from bot.cards.card_text import number
from bot.images.encode import png
from bot.images.theme import ACCENT, CHECK, GOOD, INK, LINE, PAPER, QUIET, letters

Points = Sequence[tuple[int, float]]
Colour = tuple[int, int, int]

WIDTH, HEIGHT = 1200, 560  # pixels of the picture
FINER = 2  # drawn so many times larger: slanted lines are smooth when it is made small again
LEFT, RIGHT, TOP, BOTTOM = 96, 40, 92, 64  # margins around the field
OUTLIERS = 0.02  # this share of the raw losses may leave the field at either end
AIR = 0.08  # of the range, above and below
TICKS = 5
LETTERS = 22
RAW: Colour = (112, 66, 52)


@dataclass(frozen=True, kw_only=True)
class Field:
    """Where steps and values lie in the picture."""

    last: int
    low: float
    high: float

    def x(self, step: float) -> float:
        """The column of this step, in pixels of the fine drawing."""
        return FINER * (LEFT + (WIDTH - LEFT - RIGHT) * step / self.last)

    def y(self, value: float) -> float:
        """The row of this value; what lies outside is drawn at the edge."""
        share = min(1.0, max(0.0, (self.high - value) / (self.high - self.low)))
        return FINER * (TOP + (HEIGHT - TOP - BOTTOM) * share)

    def points(self, line: Points) -> list[tuple[float, float]]:
        """A line of steps and values as it is drawn."""
        return [(self.x(step), self.y(value)) for step, value in line]


def curve_png(curve: Curve) -> bytes:
    """The curve as a PNG with labelled axes; an empty field where there is nothing to draw yet."""
    field = field_of(curve)
    fine = Image.new("RGB", (FINER * WIDTH, FINER * HEIGHT), PAPER)
    draw = ImageDraw.Draw(fine)
    _axes(draw, field)
    _line(draw, field.points(curve.losses), RAW, 2)
    _line(draw, field.points(curve.smoothed), ACCENT, 5)
    _line(draw, field.points(curve.validation), CHECK, 3)
    for step, value in curve.validation:
        _dot(draw, (field.x(step), field.y(value)), 7, GOOD if step == curve.best else CHECK)
    _best(draw, field, curve)
    _legend(draw, curve)
    return png(fine.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS))


def field_of(curve: Curve) -> Field:
    """From which value to which: what is smooth is all in sight, single wild losses need not be."""
    seen = [value for _, value in (*curve.smoothed, *curve.validation) if math.isfinite(value)]
    raw = sorted(value for _, value in curve.losses if math.isfinite(value))
    if raw:
        seen += [raw[round(share * (len(raw) - 1))] for share in (OUTLIERS, 1 - OUTLIERS)]
    low, high = (min(seen), max(seen)) if seen else (0.0, 1.0)
    air = (high - low or abs(high) or 1.0) * AIR
    steps = [step for step, _ in (*curve.losses, *curve.validation)]
    return Field(last=max([curve.steps, 1, *steps]), low=max(0.0, low - air), high=high + air)


def ticks(low: float, high: float) -> Iterator[float]:
    """Round numbers from one to the other, about TICKS of them."""
    rough = (high - low) / TICKS
    ten = 10.0 ** math.floor(math.log10(rough))
    pace = next(times * ten for times in (1, 2, 5, 10) if times * ten >= rough * (1 - 1e-9))
    nth = math.ceil(low / pace - 1e-9)
    while nth * pace <= high + pace * 1e-9:
        yield nth * pace
        nth += 1


def _axes(draw: ImageDraw.ImageDraw, field: Field) -> None:
    font = letters(FINER * LETTERS)
    values = [f"{value:.10f}".rstrip("0") for value in ticks(field.low, field.high)]
    decimals = max((len(one.partition(".")[2]) for one in values), default=0)
    for value in ticks(field.low, field.high):
        y = field.y(value)
        draw.line([(FINER * LEFT, y), (FINER * (WIDTH - RIGHT), y)], fill=LINE, width=FINER)
        draw.text(
            (FINER * (LEFT - 14), y), f"{value:.{min(decimals, 6)}f}", font=font, fill=QUIET, anchor="rm"
        )
    bottom = FINER * (HEIGHT - BOTTOM)
    for step in ticks(0, field.last):
        if step == round(step):
            words = f"{round(step):,}" if step else "step 0"
            draw.text((field.x(step), bottom + FINER * 14), words, font=font, fill=QUIET, anchor="mt")


def _line(draw: ImageDraw.ImageDraw, points: list[tuple[float, float]], colour: Colour, width: int) -> None:
    if len(points) > 1:
        draw.line(points, fill=colour, width=FINER * width, joint="curve")
    elif points:
        _dot(draw, points[0], width + 2, colour)


def _dot(draw: ImageDraw.ImageDraw, at: tuple[float, float], radius: int, colour: Colour) -> None:
    draw.circle(at, FINER * radius, fill=colour, outline=PAPER, width=FINER * 2)


def _best(draw: ImageDraw.ImageDraw, field: Field, curve: Curve) -> None:
    """A ring around the best checkpoint, and a line down to its step."""
    for step, value in curve.validation:
        if step == curve.best:
            x, y = field.x(step), field.y(value)
            draw.line([(x, y + FINER * 16), (x, FINER * (HEIGHT - BOTTOM))], fill=GOOD, width=FINER)
            draw.circle((x, y), FINER * 14, outline=GOOD, width=FINER * 3)


def _legend(draw: ImageDraw.ImageDraw, curve: Curve) -> None:
    font, x, y = letters(FINER * LETTERS), FINER * LEFT, FINER * 44
    for words, colour in _entries(curve):
        draw.rounded_rectangle((x, y - FINER * 3, x + FINER * 28, y + FINER * 3), FINER * 3, fill=colour)
        draw.text((x + FINER * 38, y), words, font=font, fill=INK, anchor="lm")
        x += round(FINER * 76 + font.getlength(words))


def _entries(curve: Curve) -> Iterator[tuple[str, Colour]]:
    if curve.smoothed:
        yield f"loss, smoothed: {number(curve.smoothed[-1][1])}", ACCENT
    if curve.losses:
        yield "each step", RAW
    if curve.validation:
        yield "validation", CHECK
    for step, value in curve.validation:
        if step == curve.best:
            yield f"best: step {step:,}, {number(value)}", GOOD
