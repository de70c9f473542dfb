"""What a space did, as a picture: bars where and as high as they should be."""

import io

from PIL import Image

from bot.images.stats import GAP, HEAD, LEFT, PANEL, RIGHT, WIDTH, chart_png
from bot.images.theme import ACCENT, CHECK, PAPER
from storage.member_stats import MemberStats
from storage.statistics import DayShare, Statistics

TODAY = 20_000


def share(day: int, person: str, pictures: int, trainings: int = 0, seconds: float = 60.0) -> DayShare:
    return DayShare(day=day, person=person, pictures=pictures, trainings=trainings, seconds=seconds)


def member_stats(number: int, name: str) -> MemberStats:
    return MemberStats(
        person_id=number,
        key=name,
        name=name,
        paintings=1,
        trainings=0,
        failed=0,
        cancelled=0,
        open=0,
        seconds=1.0,
    )


TOLD = Statistics(
    last=TODAY,
    days=10,
    shares=(share(TODAY - 1, "ana", 3), share(TODAY - 1, "bo", 1), share(TODAY, "bo", 2, 1, 600.0)),
    people=(member_stats(1, "ana"), member_stats(2, "bo")),
    failures=(("the engine ran out of memory", 4),),
    refusals=(("bo", "rule: gore", 2),),
)


def draw(statistics: Statistics) -> Image.Image:
    with Image.open(io.BytesIO(chart_png(statistics))) as image:
        return image.convert("RGB")


def at(image: Image.Image, panel: int, day: int, share: float) -> object:
    """The colour in the bar of a day, at this share of the panel's height."""
    wide = (WIDTH - LEFT - RIGHT) / 10
    base = 70 + panel * (HEAD + PANEL + GAP) + HEAD + PANEL
    return image.getpixel((round(LEFT + wide * (day + 0.5)), round(base - PANEL * share)))


def test_each_day_is_a_bar_in_the_colours_of_its_people() -> None:
    image = draw(TOLD)

    assert [at(image, 0, 8, share) for share in (0.35, 0.85)] == [ACCENT, CHECK]
    assert [at(image, 0, 9, share) for share in (0.4, 0.6)] == [CHECK, PAPER]
    assert [at(image, 1, day, 0.5) for day in (8, 9)] == [PAPER, CHECK]
    assert [at(image, 2, day, 0.5) for day in (8, 9)] == [PAPER, CHECK]


def test_a_space_in_which_nothing_was_done_is_drawn_too() -> None:
    nothing = Statistics(last=TODAY, days=90, shares=(), people=(), failures=(), refusals=())

    assert draw(nothing).width == WIDTH


def test_many_people_long_names_and_reasons_stay_within_the_picture() -> None:
    names = [f"{'名' * 9} {'x' * nth * 9}" for nth in range(12)]
    crowded = Statistics(
        last=TODAY,
        days=90,
        shares=tuple(share(TODAY - nth, name, nth) for nth, name in enumerate(names)),
        people=tuple(member_stats(nth, name) for nth, name in enumerate(names)),
        failures=tuple((f"{nth}: {'why ' * 40}", 10**nth) for nth in range(9)),
        refusals=(),
    )

    image = draw(crowded)

    margin = image.crop((WIDTH - 8, 0, WIDTH, image.height))
    assert margin.getcolors() == [(margin.width * margin.height, PAPER)]
