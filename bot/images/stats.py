"""The statistics of a space as a picture: bars by day and person, engine time, failures, refusals."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from PIL import Image, ImageDraw

from bot.images.encode import png
from bot.images.loss_curve import ticks
from bot.images.theme import ACCENT, CHECK, GOOD, INK, LINE, PAPER, QUIET, cut, letters
from storage.member_stats import DAY
from storage.statistics import DayShare, Statistics

Colour = tuple[int, int, int]
Value = Callable[[DayShare], float]

WIDTH = 1200  # pixels of the picture
LEFT, RIGHT = 84, 40  # margins
PANEL, GAP, HEAD = 220, 84, 56  # the height of a panel, what is between two, and what is above its field
ROW = 34  # the height of a reason
LETTERS = 20
COLOURS: tuple[Colour, ...] = (ACCENT, CHECK, GOOD, (230, 177, 85), (190, 140, 220), (120, 200, 205))
OTHERS: Colour = (112, 104, 97)
OTHER = "others"
NAME = 90  # pixels of a name, so that all fit beside each other
LABELS = 12  # dates under a panel, at most
REASONS = 6  # of each kind


def chart_png(told: Statistics) -> bytes:
    """The statistics as a PNG; its people are those with the most engine time, the rest stand together."""
    lists = [
        ("Why jobs failed", [(why, count) for why, count in told.failures][:REASONS]),
        ("What was refused", [(f"{who}: {why}", count) for who, why, count in told.refusals][:REASONS]),
    ]
    height = 70 + 3 * (HEAD + PANEL + GAP) + sum(HEAD + ROW * max(1, len(rows)) + 20 for _, rows in lists)
    image = Image.new("RGB", (WIDTH, height), PAPER)
    draw = ImageDraw.Draw(image)
    colours = _colours(told)
    _legend(draw, colours)
    top = 70
    for title, value in _panels():
        _panel(draw, top, title, told, value, colours)
        top += HEAD + PANEL + GAP
    for title, rows in lists:
        top = _reasons(draw, top, title, rows)
    return png(image)


def _panels() -> Iterator[tuple[str, Value]]:
    yield "Pictures", lambda one: one.pictures
    yield "Trainings", lambda one: one.trainings
    yield "Minutes of the engine", lambda one: one.seconds / 60


def _colours(told: Statistics) -> dict[str, Colour]:
    """A colour for each of those who did the most."""
    names = list(dict.fromkeys(one.name for one in told.people))
    found = dict(zip(names, COLOURS, strict=False))
    return found | {OTHER: OTHERS} if len(names) > len(COLOURS) else found


def _legend(draw: ImageDraw.ImageDraw, colours: dict[str, Colour]) -> None:
    x = float(LEFT)
    for name, colour in colours.items():
        font = letters(LETTERS, name)
        words = cut(name, font, NAME)
        draw.rounded_rectangle((x, 28, x + 18, 46), 5, fill=colour)
        draw.text((x + 26, 37), words, font=font, fill=INK, anchor="lm")
        x += 60 + font.getlength(words)


def _panel(
    draw: ImageDraw.ImageDraw,
    top: int,
    title: str,
    told: Statistics,
    value: Value,
    colours: dict[str, Colour],
) -> None:
    """Bars of days, each in its people's colours."""
    sums = [sum(value(one) for one in _of(told, day)) for day in _days(told)]
    most = max([*sums, 1.0])
    font, base = letters(LETTERS), top + HEAD + PANEL
    draw.text((LEFT, top + 22), title, font=letters(LETTERS + 4), fill=INK, anchor="lm")
    for tick in ticks(0, most):
        if tick == round(tick) or most < 2:
            y = base - PANEL * tick / most
            draw.line([(LEFT, y), (WIDTH - RIGHT, y)], fill=LINE, width=1)
            draw.text((LEFT - 12, y), f"{tick:g}", font=font, fill=QUIET, anchor="rm")
    for nth, day in enumerate(_days(told)):
        _stack(draw, _column(nth, told.days), base, _of(told, day), lambda one: value(one) / most, colours)
    _dates(draw, base, told)


def _stack(
    draw: ImageDraw.ImageDraw,
    column: tuple[float, float],
    base: int,
    shares: Sequence[DayShare],
    share: Value,
    colours: dict[str, Colour],
) -> None:
    y = float(base)
    order = list(colours)
    for one in sorted(shares, key=lambda one: order.index(one.person) if one.person in order else 99):
        height = PANEL * share(one)
        if height:
            draw.rectangle((column[0], y - height, column[1], y), fill=colours.get(one.person, OTHERS))
        y -= height


def _dates(draw: ImageDraw.ImageDraw, base: int, told: Statistics) -> None:
    font, pace = letters(LETTERS), -(-told.days // LABELS)
    for nth, day in enumerate(_days(told)):
        if (told.days - 1 - nth) % pace == 0:
            left, right = _column(nth, told.days)
            words = f"{datetime.fromtimestamp(day * DAY, UTC):%m-%d}"
            draw.text(((left + right) / 2, base + 12), words, font=font, fill=QUIET, anchor="mt")


def _reasons(draw: ImageDraw.ImageDraw, top: int, title: str, rows: Sequence[tuple[str, int]]) -> int:
    """A bar for each reason; where the next part begins."""
    draw.text((LEFT, top + 16), title, font=letters(LETTERS + 4), fill=INK, anchor="lm")
    most = max((count for _, count in rows), default=1)
    y = top + HEAD
    for words, count in rows:
        font = letters(LETTERS, words)
        long = 260 * count / most
        draw.rounded_rectangle((LEFT, y - 9, LEFT + max(4, long), y + 9), 5, fill=ACCENT)
        draw.text((LEFT + long + 12, y), str(count), font=letters(LETTERS), fill=INK, anchor="lm")
        draw.text(
            (LEFT + 340, y), cut(words, font, WIDTH - LEFT - 340 - RIGHT), font=font, fill=QUIET, anchor="lm"
        )
        y += ROW
    if not rows:
        draw.text((LEFT, y), "nothing", font=letters(LETTERS), fill=QUIET, anchor="lm")
        y += ROW
    return y + 20


def _days(told: Statistics) -> range:
    return range(told.last - told.days + 1, told.last + 1)


def _of(told: Statistics, day: int) -> list[DayShare]:
    return [one for one in told.shares if one.day == day]


def _column(nth: int, days: int) -> tuple[float, float]:
    """Where the bar of a day begins and ends."""
    wide = (WIDTH - LEFT - RIGHT) / days
    return LEFT + wide * (nth + 0.12), LEFT + wide * (nth + 0.88)
