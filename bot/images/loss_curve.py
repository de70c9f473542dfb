"""Draws a loss curve: each step's loss thin, smoothed bold, the validation's with dots."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from bot.cards.card import Curve
from bot.cards.card_text import number
from bot.images.encode import png
from bot.images.theme import ACCENT, CHECK, GOOD, INK, LINE, PAPER, QUIET, font_for

Points = Sequence[tuple[int, float]]
Colour = tuple[int, int, int]

WIDTH, HEIGHT = 1200, 560  # pixels of the picture
FINER = 2  # drawn so many times larger and scaled down, which makes lines smooth
LEFT, RIGHT, TOP, BOTTOM = 96, 40, 92, 64  # margins around the plot
OUTLIERS = 0.02  # this share of the raw losses may lie outside the plot at either end
PADDING = 0.08  # of the range, above and below
TICKS = 5
LETTERS = 22
RAW: Colour = (112, 66, 52)


@dataclass(frozen=True, kw_only=True)
class Plot:
    """The plot: where steps and values are in the picture."""

    last: int
    low: float
    high: float

    def x(self, step: float) -> float:
        """The column of this step, in pixels of the large drawing."""
        return FINER * (LEFT + (WIDTH - LEFT - RIGHT) * step / self.last)

    def y(self, value: float) -> float:
        """The row of this value; values outside are drawn at the edge."""
        share = min(1.0, max(0.0, (self.high - value) / (self.high - self.low)))
        return FINER * (TOP + (HEIGHT - TOP - BOTTOM) * share)

    def points(self, line: Points) -> list[tuple[float, float]]:
        """The points of a line of steps and values."""
        return [(self.x(step), self.y(value)) for step, value in line]


def curve_png(curve: Curve) -> bytes:
    """The curve as a PNG with labelled axes; an empty plot while there is nothing to draw."""
    plot = plot_of(curve)
    fine = Image.new("RGB", (FINER * WIDTH, FINER * HEIGHT), PAPER)
    draw = ImageDraw.Draw(fine)
    _draw_axes(draw, plot)
    _draw_line(draw, plot.points(curve.losses), RAW, 2)
    _draw_line(draw, plot.points(curve.smoothed), ACCENT, 5)
    _draw_line(draw, plot.points(curve.validation), CHECK, 3)
    for step, value in curve.validation:
        _draw_dot(draw, (plot.x(step), plot.y(value)), 7, GOOD if step == curve.best else CHECK)
    _draw_best(draw, plot, curve)
    _draw_legend(draw, curve)
    return png(fine.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS))


def plot_of(curve: Curve) -> Plot:
    """The plot's range: all smoothed losses and validations, and all but the wildest raw losses."""
    seen = [value for _, value in (*curve.smoothed, *curve.validation) if math.isfinite(value)]
    raw = sorted(value for _, value in curve.losses if math.isfinite(value))
    if raw:
        seen += [raw[round(share * (len(raw) - 1))] for share in (OUTLIERS, 1 - OUTLIERS)]
    low, high = (min(seen), max(seen)) if seen else (0.0, 1.0)
    padding = (high - low or abs(high) or 1.0) * PADDING
    steps = [step for step, _ in (*curve.losses, *curve.validation)]
    return Plot(last=max([curve.steps, 1, *steps]), low=max(0.0, low - padding), high=high + padding)


def ticks(low: float, high: float) -> Iterator[float]:
    """About TICKS round numbers from one value to the other."""
    rough = (high - low) / TICKS
    ten = 10.0 ** math.floor(math.log10(rough))
    spacing = next(times * ten for times in (1, 2, 5, 10) if times * ten >= rough * (1 - 1e-9))
    nth = math.ceil(low / spacing - 1e-9)
    while nth * spacing <= high + spacing * 1e-9:
        yield nth * spacing
        nth += 1


def _draw_axes(draw: ImageDraw.ImageDraw, plot: Plot) -> None:
    font = font_for(FINER * LETTERS)
    values = [f"{value:.10f}".rstrip("0") for value in ticks(plot.low, plot.high)]
    decimals = max((len(text.partition(".")[2]) for text in values), default=0)
    for value in ticks(plot.low, plot.high):
        y = plot.y(value)
        draw.line([(FINER * LEFT, y), (FINER * (WIDTH - RIGHT), y)], fill=LINE, width=FINER)
        draw.text(
            (FINER * (LEFT - 14), y), f"{value:.{min(decimals, 6)}f}", font=font, fill=QUIET, anchor="rm"
        )
    bottom = FINER * (HEIGHT - BOTTOM)
    for step in ticks(0, plot.last):
        if step == round(step):
            words = f"{round(step):,}" if step else "Step 0"
            draw.text((plot.x(step), bottom + FINER * 14), words, font=font, fill=QUIET, anchor="mt")


def _draw_line(
    draw: ImageDraw.ImageDraw, points: list[tuple[float, float]], colour: Colour, width: int
) -> None:
    if len(points) > 1:
        draw.line(points, fill=colour, width=FINER * width, joint="curve")
    elif points:
        _draw_dot(draw, points[0], width + 2, colour)


def _draw_dot(draw: ImageDraw.ImageDraw, at: tuple[float, float], radius: int, colour: Colour) -> None:
    draw.circle(at, FINER * radius, fill=colour, outline=PAPER, width=FINER * 2)


def _draw_best(draw: ImageDraw.ImageDraw, plot: Plot, curve: Curve) -> None:
    """A ring around the best checkpoint, and a line down to its step."""
    for step, value in curve.validation:
        if step == curve.best:
            x, y = plot.x(step), plot.y(value)
            draw.line([(x, y + FINER * 16), (x, FINER * (HEIGHT - BOTTOM))], fill=GOOD, width=FINER)
            draw.circle((x, y), FINER * 14, outline=GOOD, width=FINER * 3)


def _draw_legend(draw: ImageDraw.ImageDraw, curve: Curve) -> None:
    font, x, y = font_for(FINER * LETTERS), FINER * LEFT, FINER * 44
    for words, colour in _legend_entries(curve):
        draw.rounded_rectangle((x, y - FINER * 3, x + FINER * 28, y + FINER * 3), FINER * 3, fill=colour)
        draw.text((x + FINER * 38, y), words, font=font, fill=INK, anchor="lm")
        x += round(FINER * 76 + font.getlength(words))


def _legend_entries(curve: Curve) -> Iterator[tuple[str, Colour]]:
    if curve.smoothed:
        yield f"Loss, smoothed: {number(curve.smoothed[-1][1])}", ACCENT
    if curve.losses:
        yield "Each step", RAW
    if curve.validation:
        yield "Validation", CHECK
    for step, value in curve.validation:
        if step == curve.best:
            yield f"Best: step {step:,}, {number(value)}", GOOD
