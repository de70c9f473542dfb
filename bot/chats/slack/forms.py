"""Modals of commands' forms, and what was filled in when they are sent."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from dataclasses import field as dataclass_field
from typing import Any

from bot.chats.slack.fields import field
from bot.chats.slack.mrkdwn import JSON, plain, section
from commands.forms import definition
from commands.registry import find
from commands.syntax.numbers import pluralize
from commands.syntax.spec import UPLOADED

FORM = "form"  # what our modals are called
SENT = "-sent"  # ends the name of the field for a file where another field takes a picture of a job
SENT_HELP = "Or send one"
MORE = "more"  # the button that unfolds the rest
PUNCTUATION = str.maketrans(",.:;?'\"", "       ")


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a modal was opened, which comes back with it.

    `source` is the button whose form this is: it knows the pictures that are too many to write down here.
    `files` are Slack's ids of the pictures of a message whose menu was opened. `hidden` are values
    that nobody sees. `answer` is the address for answers that came with what opened it.
    """

    command: str
    channel: str
    source: str = ""
    files: tuple[str, ...] = ()
    answer: str = ""
    hidden: Mapping[str, str] = dataclass_field(default_factory=dict)

    @classmethod
    def of(cls, view: JSON) -> "Origin":
        """The origin of a modal that is sent or changed."""
        metadata = json.loads(view.get("private_metadata") or "{}")
        return cls(**{**metadata, "files": tuple(metadata.get("files", ()))})


def modal(
    origin: Origin,
    title: str,
    values: Mapping[str, str],
    usual: Mapping[str, Any] | None = None,
) -> JSON:
    """The modal of a command with these values in it; `usual` are somebody's own defaults."""
    defined = definition(find(origin.command), usual or {})
    parameters = defined["parameters"]
    whole = any(values.get(parameter["name"]) for parameter in parameters if parameter["more"])
    shown = [parameter for parameter in parameters if whole or not parameter["more"]]
    hidden = {
        parameter["name"]: values[parameter["name"]]
        for parameter in parameters
        if _has_hidden_value(parameter, values)
    }
    blocks = [block for parameter in shown for block in _blocks(parameter, values, origin)]
    if len(shown) < len(parameters):
        blocks.append(_unfold_button())
    origin = Origin(**{**_plain(origin), "hidden": hidden})
    return {
        "type": "modal",
        "callback_id": FORM,
        "title": plain(title, 24),
        "submit": plain(defined["submit"], 24),
        "close": plain("Cancel"),
        "private_metadata": json.dumps(_plain(origin)),
        "blocks": blocks,
    }


def unfold(view: JSON) -> JSON:
    """The same modal with all that it can ask; what was filled in stays where it is."""
    origin = Origin.of(view)
    there = [block for block in view["blocks"] if block["type"] != "actions"]
    seen = {block.get("block_id") for block in there}
    rest = [
        parameter
        for parameter in _parameters(origin.command)
        if parameter["more"] and parameter["name"] not in seen
    ]
    more = [block for parameter in rest for block in _blocks(parameter, {}, origin)]
    names = ("type", "callback_id", "title", "submit", "close", "private_metadata")
    return {**{name: view[name] for name in names}, "blocks": [*there, *more]}


def notice(title: str, text: str) -> JSON:
    """A modal that only says something."""
    blocks = [section(part) for part in text.splitlines() if part.strip()]
    return {"type": "modal", "title": plain(title, 24), "close": plain("Close"), "blocks": blocks[:50]}


def texts(view: JSON) -> dict[str, str]:
    """What somebody filled in, by parameter; fields left empty are left out."""
    state = view["state"]["values"]
    filled = {name: _text(element) for name, elements in state.items() for element in elements.values()}
    return {**Origin.of(view).hidden, **{name: text for name, text in filled.items() if text}}


def files(view: JSON) -> dict[str, list[str]]:
    """The ids of the files in it, by parameter."""
    state = view["state"]["values"]
    ids: dict[str, list[str]] = {}
    for name, elements in state.items():
        found = [str(file["id"]) for element in elements.values() for file in element.get("files") or ()]
        ids.setdefault(name.removesuffix(SENT), []).extend(found)
    return ids


def field_of(view: JSON, refusal: str) -> str:
    """The field that a refusal is about, as far as its words tell; else the first."""
    names = [str(block["block_id"]) for block in view["blocks"] if block["type"] == "input"]
    words = refusal.lower().translate(PUNCTUATION).split()
    flagged = [name for name in names if f"--{_label(name)}" in words]
    named = sorted(
        (name for name in names if _label(name) in words),
        key=lambda name: words.index(_label(name)),
    )
    return (flagged or named or names)[0]


def _label(name: str) -> str:
    return name.replace("_", "-")


def _parameters(command: str, usual: Mapping[str, Any] | None = None) -> list[JSON]:
    parameters: list[JSON] = definition(find(command), usual or {})["parameters"]
    return parameters


def _plain(origin: Origin) -> JSON:
    return {**asdict(origin), "hidden": dict(origin.hidden)}


def _has_hidden_value(parameter: JSON, values: Mapping[str, str]) -> bool:
    return bool(parameter["type"] == "hidden" and values.get(parameter["name"]))


def _unfold_button() -> JSON:
    button = {"type": "button", "action_id": MORE, "value": MORE, "text": plain("More settings")}
    return {"type": "actions", "block_id": MORE, "elements": [button]}


def _blocks(parameter: JSON, values: Mapping[str, str], origin: Origin) -> Iterator[JSON]:
    """The field of a parameter; above that of pictures, what is there already."""
    kind, name = parameter["type"], parameter["name"]
    if kind == "hidden":
        return
    value = values.get(name, "")
    there = _there(value, origin) if kind == "pictures" else 0
    if there:
        yield section(f"{pluralize(there, 'picture')} will be taken. You can add more below.")
    elif value and kind in UPLOADED:
        yield section(f"The {parameter['label']} from before will be taken. You can replace it below.")
    elif kind == "image" and origin.files:
        yield section("The picture of the message will be taken. You can replace it below.")
    yield field(parameter, values.get(name, ""))
    if kind == "image":
        yield field({**parameter, "name": f"{name}{SENT}", "type": "picture", "help": SENT_HELP}, "")


def _there(text: str, origin: Origin) -> int:
    return (len(json.loads(text)) if text else 0) + len(origin.files)


def _text(element: JSON) -> str:
    """What is in a filled-in element, as the command's form reads it."""
    chosen: Sequence[JSON] | None = element.get("selected_options")
    if chosen is not None:
        return ", ".join(str(option["value"]) for option in chosen)
    if element.get("selected_option"):
        return str(element["selected_option"]["value"])
    return str(element.get("value") or "")
