"""Draws the statistics of a space: bars by day and person, failures and refusals."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from PIL import Image, ImageDraw

from bot.images.encode import png
from bot.images.loss_curve import ticks
from bot.images.theme import ACCENT, CHECK, GOOD, INK, LINE, PAPER, QUIET, font_for, truncate
from storage.member_stats import DAY
from storage.statistics import DayShare, Statistics

Colour = tuple[int, int, int]
Value = Callable[[DayShare], float]

WIDTH = 1200  # pixels of the picture
LEFT, RIGHT = 84, 40  # margins
PANEL, GAP, HEAD = 220, 84, 56  # the height of a panel, of the gap below it, and of its title
ROW = 34  # the height of a reason
LETTERS = 20
COLOURS: tuple[Colour, ...] = (ACCENT, CHECK, GOOD, (230, 177, 85), (190, 140, 220), (120, 200, 205))
OTHERS: Colour = (112, 104, 97)
OTHER = "Others"
NAME = 90  # pixels of a name in the legend, so that all fit in a row
LABELS = 12  # dates under a panel, at most
REASONS = 6  # of each kind


def chart_png(statistics: Statistics) -> bytes:
    """The statistics as a PNG: people with the most engine time, and all others together."""
    lists = [
        ("Why jobs failed", [(why, count) for why, count in statistics.failures][:REASONS]),
        ("What was refused", [(f"{who}: {why}", count) for who, why, count in statistics.refusals][:REASONS]),
    ]
    height = 70 + 3 * (HEAD + PANEL + GAP) + sum(HEAD + ROW * max(1, len(rows)) + 20 for _, rows in lists)
    image = Image.new("RGB", (WIDTH, height), PAPER)
    draw = ImageDraw.Draw(image)
    colours = _colours(statistics)
    _draw_legend(draw, colours)
    top = 70
    for title, value in _panels():
        _draw_panel(draw, top, title, statistics, value, colours)
        top += HEAD + PANEL + GAP
    for title, rows in lists:
        top = _draw_reasons(draw, top, title, rows)
    return png(image)


def _panels() -> Iterator[tuple[str, Value]]:
    yield "Pictures", lambda share: share.pictures
    yield "Trainings", lambda share: share.trainings
    yield "Engine minutes", lambda share: share.seconds / 60


def _colours(statistics: Statistics) -> dict[str, Colour]:
    """A colour for each of the people with the most engine time."""
    names = list(dict.fromkeys(person.name for person in statistics.people))
    colours = dict(zip(names, COLOURS, strict=False))
    return colours | {OTHER: OTHERS} if len(names) > len(COLOURS) else colours


def _draw_legend(draw: ImageDraw.ImageDraw, colours: dict[str, Colour]) -> None:
    x = float(LEFT)
    for name, colour in colours.items():
        font = font_for(LETTERS, name)
        words = truncate(name, font, NAME)
        draw.rounded_rectangle((x, 28, x + 18, 46), 5, fill=colour)
        draw.text((x + 26, 37), words, font=font, fill=INK, anchor="lm")
        x += 60 + font.getlength(words)


def _draw_panel(
    draw: ImageDraw.ImageDraw,
    top: int,
    title: str,
    statistics: Statistics,
    value: Value,
    colours: dict[str, Colour],
) -> None:
    """Draw a bar for each day, in its people's colours."""
    sums = [sum(value(share) for share in _shares_of_day(statistics, day)) for day in _days(statistics)]
    most = max([*sums, 1.0])
    font, base = font_for(LETTERS), top + HEAD + PANEL
    draw.text((LEFT, top + 22), title, font=font_for(LETTERS + 4), fill=INK, anchor="lm")
    for tick in ticks(0, most):
        if tick == round(tick) or most < 2:
            y = base - PANEL * tick / most
            draw.line([(LEFT, y), (WIDTH - RIGHT, y)], fill=LINE, width=1)
            draw.text((LEFT - 12, y), f"{tick:g}", font=font, fill=QUIET, anchor="rm")
    for nth, day in enumerate(_days(statistics)):
        _draw_bar(
            draw,
            _column(nth, statistics.days),
            base,
            _shares_of_day(statistics, day),
            lambda share: value(share) / most,
            colours,
        )
    _draw_dates(draw, base, statistics)


def _draw_bar(
    draw: ImageDraw.ImageDraw,
    column: tuple[float, float],
    base: int,
    shares: Sequence[DayShare],
    share: Value,
    colours: dict[str, Colour],
) -> None:
    y = float(base)
    order = list(colours)
    for day_share in sorted(
        shares, key=lambda day_share: order.index(day_share.person) if day_share.person in order else 99
    ):
        height = PANEL * share(day_share)
        if height:
            draw.rectangle((column[0], y - height, column[1], y), fill=colours.get(day_share.person, OTHERS))
        y -= height


def _draw_dates(draw: ImageDraw.ImageDraw, base: int, statistics: Statistics) -> None:
    font, spacing = font_for(LETTERS), -(-statistics.days // LABELS)
    for nth, day in enumerate(_days(statistics)):
        if (statistics.days - 1 - nth) % spacing == 0:
            left, right = _column(nth, statistics.days)
            words = f"{datetime.fromtimestamp(day * DAY, UTC):%m-%d}"
            draw.text(((left + right) / 2, base + 12), words, font=font, fill=QUIET, anchor="mt")


def _draw_reasons(draw: ImageDraw.ImageDraw, top: int, title: str, rows: Sequence[tuple[str, int]]) -> int:
    """Draw a bar for each reason; where the next part starts."""
    draw.text((LEFT, top + 16), title, font=font_for(LETTERS + 4), fill=INK, anchor="lm")
    most = max((count for _, count in rows), default=1)
    y = top + HEAD
    for words, count in rows:
        font = font_for(LETTERS, words)
        long = 260 * count / most
        draw.rounded_rectangle((LEFT, y - 9, LEFT + max(4, long), y + 9), 5, fill=ACCENT)
        draw.text((LEFT + long + 12, y), str(count), font=font_for(LETTERS), fill=INK, anchor="lm")
        draw.text(
            (LEFT + 340, y),
            truncate(words, font, WIDTH - LEFT - 340 - RIGHT),
            font=font,
            fill=QUIET,
            anchor="lm",
        )
        y += ROW
    if not rows:
        draw.text((LEFT, y), "Nothing", font=font_for(LETTERS), fill=QUIET, anchor="lm")
        y += ROW
    return y + 20


def _days(statistics: Statistics) -> range:
    return range(statistics.last - statistics.days + 1, statistics.last + 1)


def _shares_of_day(statistics: Statistics, day: int) -> list[DayShare]:
    return [share for share in statistics.shares if share.day == day]


def _column(nth: int, days: int) -> tuple[float, float]:
    """The left and right end of a day's bar."""
    wide = (WIDTH - LEFT - RIGHT) / days
    return LEFT + wide * (nth + 0.12), LEFT + wide * (nth + 0.88)
