"""Block Kit of a job's card and of its images in Slack."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from bot.cards.card import Button, Card, CardOrigin
from bot.cards.card_text import (
    bar,
    bare_line,
    button_word,
    option_word,
    recipe_line,
    short,
    stars_line,
    status,
    training_text,
)
from bot.chats.slack.mrkdwn import (
    JSON,
    LARGEST,
    context,
    escape,
    literal,
    plain,
    section,
    size_of,
)

TITLE = 2900  # characters of a prompt
LINES = 2900  # of what a training has to say
SMALL = 2000  # of a small line
SHARES = (1.0, 0.5, 0.25, 0.1)  # of all that to try, one after another
ALT = 1900  # of the description of an image for those who do not see it
CONFIRMED = {
    "delete": "It is gone for good, with its pictures.",
    "stop": "What it has done so far is lost.",
}
LIST = "list"  # the action id of the list of actions without a button
STYLES = {"start": "primary", "delete": "danger"}


@dataclass(frozen=True, kw_only=True)
class SlackImage:
    """An image that Slack has: `key` is its drawing's, `file` the id under which Slack knows it."""

    key: str
    what: str
    title: str
    file: str


def blocks(card: Card, images: Sequence[SlackImage], note: str = "") -> list[JSON]:
    """The card's message, from its title to its buttons; `note` is said in a line of its own.

    Its texts are cut so far that Slack takes all of them together.
    """
    made: list[JSON] = []
    for share in SHARES:
        made = _blocks(card, images, note, share)
        if size_of(made) <= LARGEST:
            break
    return made


def _blocks(card: Card, images: Sequence[SlackImage], note: str, share: float) -> list[JSON]:
    """All of it, with this share of its long texts."""
    made = [section(short(card.title, int(share * TITLE)))] if card.title else []
    made.append(context(f"{card.person} · {status(card)}"))
    if card.done is not None:
        made.append(section(f"{bar(card.done, 20)} {card.done:.0%}"))
    if card.kind == "train" and (text := training_text(card)):
        made.append(section(short(text, int(share * LINES))))
    made.extend(_image(card, image, int(share * ALT)) for image in images)
    if card.line_to_copy:
        made.append(literal(card.line_to_copy))
    made.extend(map(_origin, card.origins))
    lines = (recipe_line(card), stars_line(card), card.hint, bare_line(card), note)
    made.extend(context(short(line, int(share * SMALL))) for line in lines if line)
    return [*made, *_rows(card)]


def _origin(origin: CardOrigin) -> JSON:
    """What it started from, with a link to the message that shows it."""
    if not origin.link:
        return context(f"From {origin.text}")
    return {
        "type": "context",
        "elements": [{"type": "mrkdwn", "text": f"From <{origin.link}|{escape(origin.text)}>"}],
    }


def fallback(card: Card) -> str:
    """The card in one line, for notifications and for screen readers."""
    return escape(f"{status(card)}: {short(card.title, 150)}" if card.title else status(card))


def _image(card: Card, image: SlackImage, most: int) -> JSON:
    alt = card.title if image.what == "picture" else f"{image.title} of {card.title}"
    return {
        "type": "image",
        "block_id": image.key,
        "slack_file": {"id": image.file},
        "alt_text": short(alt, most) or image.what,
        **({} if image.what == "picture" else {"title": plain(image.title, 150)}),
    }


def _rows(card: Card) -> Iterator[JSON]:
    """A row of buttons for the whole job, and one for each picture where there are several."""
    ordered = sorted(card.buttons, key=_place)
    for _, row in groupby(ordered, key=_place):
        buttons = list(row)
        elements = [_button(card, button) for button in buttons if not button.more]
        more = [_more_list(buttons)] if any(button.more for button in buttons) else []
        yield {"type": "actions", "elements": [*elements, *more]}


def _place(button: Button) -> int:
    return button.picture or 0


def _more_list(buttons: Sequence[Button]) -> JSON:
    """The list of the actions for which there is no button."""
    options = [
        {"text": plain(short(f"{button.emoji} {option_word(button)}", 75)), "value": button.id}
        for button in buttons
        if button.more
    ]
    return {"type": "static_select", "action_id": LIST, "placeholder": plain("More"), "options": options}


def _button(card: Card, button: Button) -> JSON:
    name = button.id.partition(":")[0]
    made: JSON = {
        "type": "button",
        "action_id": button.id,
        "value": button.id,
        "text": {"type": "plain_text", "text": f"{button.emoji} {button_word(button, card)}", "emoji": True},
        "accessibility_label": short(button.label, 75),
    }
    if name in STYLES:
        made["style"] = STYLES[name]
    if name in CONFIRMED and card.kind == "train":
        made["confirm"] = _confirm(button, CONFIRMED[name])
    return made


def _confirm(button: Button, text: str) -> JSON:
    return {
        "title": plain(short(button.label, 100)),
        "text": plain(text, 300),
        "confirm": plain("Yes"),
        "deny": plain("No"),
    }
