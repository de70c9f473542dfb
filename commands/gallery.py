"""/gallery: somebody's pictures or favourites as one sheet of small pictures."""

from collections.abc import Sequence
from typing import Annotated

from commands.answers import PictureSheet, SmallPicture, Text
from commands.context import ChatContext
from commands.help import align
from commands.syntax.parser import shorten
from commands.syntax.spec import Option, command
from storage import pictures
from storage.pictures import GalleryPicture

ON_A_SHEET = 9
PAGES = (1, 10_000)


@command
async def gallery(
    context: ChatContext,
    *,
    starred: Annotated[bool, Option("Only your favourites")] = False,
    page: Annotated[int, Option("Page 1 has the newest", *PAGES)] = 1,
) -> PictureSheet | Text:
    """Show your pictures or favourites here, on one sheet that only you see."""
    rows = await pictures.gallery(
        context.session,
        context.person.id,
        None if context.direct else context.space.id,
        starred=starred,
        before=None,
        limit=ON_A_SHEET + 1,
        skip=(page - 1) * ON_A_SHEET,
    )
    if not rows:
        return Text(text=_empty_text(starred=starred, page=page))
    shown = rows[:ON_A_SHEET]
    small = [
        SmallPicture(
            sha256=None if _is_hidden(picture, context) else picture.sha256,
            caption=f"{nth}  {picture.job}{_mark(picture, context)}",
        )
        for nth, picture in enumerate(shown, 1)
    ]
    whose = "Your favourites" if starred else "Your pictures"
    where = "" if context.direct else " here"
    head = f"{whose}{where}, newest first{f', page {page}' if page > 1 else ''}:"
    # Of what one keeps some is by others, whose cards do not come into a direct message.
    back = [f"/show {shown[0].job} brings a card back with its buttons."]
    older = [f"/gallery{' --starred' if starred else ''} --page {page + 1} shows older ones."]
    lines = [head, *_rows(shown, context)]
    lines += [] if starred and context.direct else back
    lines += older if len(rows) > ON_A_SHEET else []
    return PictureSheet(pictures=tuple(small), text="\n".join(lines))


def _rows(shown: Sequence[GalleryPicture], context: ChatContext) -> list[str]:
    return align(
        [
            (
                f"{nth} {picture.job}",
                "for adults only" if _is_for_adults(picture, context) else shorten(picture.prompt),
            )
            for nth, picture in enumerate(shown, 1)
        ]
    )


def _is_hidden(picture: GalleryPicture, context: ChatContext) -> bool:
    """Whether the picture is shown only after it is opened, or not in this channel."""
    return picture.hidden or _is_for_adults(picture, context)


def _mark(picture: GalleryPicture, context: ChatContext) -> str:
    if _is_hidden(picture, context):
        return ", hidden"
    return ", favourite" if picture.starred else ""


def _is_for_adults(picture: GalleryPicture, context: ChatContext) -> bool:
    return picture.adult and not (context.adult or context.direct)


def _empty_text(*, starred: bool, page: int) -> str:
    if page > 1:
        return f"There is no page {page}. /gallery shows the first."
    if starred:
        return "You have no favourites here yet. Press ⭐ under a picture to add it."
    return "You have no pictures here yet. Start with /imagine a red fox."
