"""What Discord refuses: lengths, counts and names, with its own error codes."""

import re
from collections import Counter
from collections.abc import Iterable

from tests.fakes.discord.accounts import Json
from tests.fakes.discord.message import inner

BUTTON, SELECT, TEXT_INPUT, LABEL, FILE_UPLOAD, LINK_STYLE = 2, 3, 4, 18, 19, 5
ROW, TEXT_DISPLAY, RADIO, CHECKBOXES, CHECKBOX = 1, 10, 21, 22, 23
INVALID = 50035
COMPONENTS_V2 = 1 << 15
COMMAND_NAME = re.compile(r"[-_'\w]{1,32}")


class Refused(Exception):
    """An answer other than 2xx, with Discord's own code and words."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(f"{status} {code} {message}")
        self.status, self.code, self.message = status, code, message


def invalid(what: str) -> Refused:
    """400, as for every form that is filled in wrongly."""
    return Refused(400, INVALID, f"Invalid Form Body: {what}")


def need(what: str, holds: bool) -> None:
    """Refuse the form unless it is so."""
    if not holds:
        raise invalid(what)


def length(what: str, text: str | None, most: int, least: int = 0) -> None:
    """Refuse text that is longer or shorter than allowed."""
    need(f"{what} must be {least} to {most} characters", least <= len(text or "") <= most)


def check_message(sent: Json, *, files: int = 0) -> None:
    """A message that is posted or edited: its text, embeds, rows and nonce."""
    length("content", sent.get("content"), 2000)
    length("nonce", str(sent.get("nonce") or ""), 25)
    need("at most 10 files", files <= 10)
    embeds = sent.get("embeds") or []
    need("at most 10 embeds", len(embeds) <= 10)
    need("embeds hold at most 6000 characters", sum(map(check_embed, embeds)) <= 6000)
    rows = sent.get("components") or []
    check_rows(rows, v2=bool((sent.get("flags") or 0) & COMPONENTS_V2))


def check_embed(embed: Json) -> int:
    """One embed; returns how many characters it counts."""
    author, footer = (embed.get(key) or {} for key in ("author", "footer"))
    length("embed title", embed.get("title"), 256)
    length("embed description", embed.get("description"), 4096)
    length("embed footer", footer.get("text"), 2048)
    length("embed author", author.get("name"), 256)
    fields = embed.get("fields") or []
    need("an embed has at most 25 fields", len(fields) <= 25)
    for part in fields:
        length("embed field name", part.get("name"), 256, 1)
        length("embed field value", part.get("value"), 1024, 1)
    texts = [embed.get("title"), embed.get("description"), footer.get("text"), author.get("name")]
    texts += [part[key] for part in fields for key in ("name", "value")]
    return sum(len(text or "") for text in texts)


def check_rows(rows: list[Json], *, v2: bool = False) -> None:
    """The buttons and menus of a message."""
    if not v2:
        need("at most 5 rows", len(rows) <= 5)
        need("a message holds rows of components", all(row.get("type") == ROW for row in rows))
    parts = [part for row in rows for part in inner(row)]
    need("at most 40 components", len(parts) + len(rows) <= 40)
    for row in rows:
        if row.get("type") == ROW:
            held = row.get("components", [])
            need("a row holds 1 to 5 buttons", 1 <= len(held) <= 5)
            need("a menu fills its row", len(held) == 1 or all(part["type"] == BUTTON for part in held))
    for part in parts:
        check_component(part)
    unique([part["custom_id"] for part in parts if "custom_id" in part])


def check_component(part: Json) -> None:
    """One button or menu."""
    if "custom_id" in part:
        length("custom_id", part["custom_id"], 100, 1)
    if part["type"] == BUTTON:
        length("button label", part.get("label"), 80)
        need("a button has a label or an emoji", bool(part.get("label") or part.get("emoji")))
        need("a link has a url, other buttons a custom_id", ("url" in part) == (part["style"] == LINK_STYLE))
    if part["type"] == SELECT:
        check_options(part.get("options") or [])
        length("placeholder", part.get("placeholder"), 150)


def check_options(options: list[Json]) -> None:
    """The choices of a menu."""
    need("a menu has 1 to 25 options", 1 <= len(options) <= 25)
    for option in options:
        length("option label", option.get("label"), 100, 1)
        length("option value", option.get("value"), 100, 1)
        length("option description", option.get("description"), 100)
    unique([option["value"] for option in options])


def unique(names: Iterable[str]) -> None:
    """Refuse an id or value that comes twice."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    need(f"duplicated: {twice}", not twice)


def check_choices(choices: list[Json]) -> None:
    """What an autocomplete suggests, or an option offers."""
    need("at most 25 choices", len(choices) <= 25)
    for choice in choices:
        length("choice name", choice.get("name"), 100, 1)
        if isinstance(choice.get("value"), str):
            length("choice value", choice["value"], 100)


def check_modal(modal: Json) -> None:
    """A modal: its title and one to five components, each in a label or a row of its own."""
    length("modal title", modal.get("title"), 45, 1)
    length("modal custom_id", modal.get("custom_id"), 100, 1)
    parts = modal.get("components") or []
    need("a modal has 1 to 5 components", 1 <= len(parts) <= 5)
    for part in parts:
        need("a modal holds labels, rows and text", part["type"] in (ROW, LABEL, TEXT_DISPLAY))
        if part["type"] == LABEL:
            length("label", part.get("label"), 45, 1)
            length("label description", part.get("description"), 100)
    questions = [question for part in parts for question in inner(part)]
    for question in questions:
        check_question(question)
    unique([question["custom_id"] for question in questions if "custom_id" in question])


def check_question(part: Json) -> None:
    """One thing that a modal asks."""
    if "custom_id" in part:
        length("custom_id", part["custom_id"], 100, 1)
    if part["type"] == TEXT_INPUT:
        length("text input label", part.get("label"), 45)
        length("placeholder", part.get("placeholder"), 100)
        length("value", part.get("value"), part.get("max_length") or 4000)
        need("max_length is 1 to 4000", 1 <= (part.get("max_length") or 4000) <= 4000)
    if part["type"] == SELECT:
        check_options(part.get("options") or [])
        length("placeholder", part.get("placeholder"), 150)
    if part["type"] == FILE_UPLOAD:
        need("a file upload takes 1 to 10 files", 1 <= (part.get("max_values") or 1) <= 10)
        need("a file upload needs 0 to 10 files", 0 <= (part.get("min_values") or 0) <= 10)
    if part["type"] in (RADIO, CHECKBOXES):
        least = 2 if part["type"] == RADIO else 1
        need("a group has at most 10 options", least <= len(part.get("options") or []) <= 10)


def check_commands(commands: list[Json]) -> None:
    """The application commands of a sync."""
    kinds = Counter(command.get("type", 1) for command in commands)
    need("at most 100 commands and 15 menus", kinds[1] <= 100 and kinds[2] <= 15 and kinds[3] <= 15)
    unique([f"{command.get('type', 1)} {command['name']}" for command in commands])
    for command in commands:
        if command.get("type", 1) != 1:
            length("menu name", command["name"], 32, 1)
            need("a menu has no options", not command.get("options"))
            continue
        check_named(command)
        check_command_options(command.get("options") or [])
        need("a command holds at most 8000 characters", characters_of(command) <= 8000)


def check_named(part: Json) -> None:
    """The name and description of a command or an option."""
    name = part["name"]
    need(f"{name!r} is no command name", bool(COMMAND_NAME.fullmatch(name)) and name == name.lower())
    length(f"description of {name}", part.get("description"), 100, 1)


def check_command_options(options: list[Json]) -> None:
    """The options of a command, or its subcommands."""
    need("at most 25 options", len(options) <= 25)
    unique([option["name"] for option in options])
    required = [bool(option.get("required")) for option in options]
    need("required options come first", required == sorted(required, reverse=True))
    for option in options:
        check_named(option)
        check_choices(option.get("choices") or [])
        both = option.get("choices") and option.get("autocomplete")
        need("an option has choices or autocomplete", not both)
        check_command_options(option.get("options") or [])


def characters_of(part: Json) -> int:
    """The characters of names, descriptions and values that Discord counts."""
    own = len(part["name"]) + len(part.get("description") or "")
    choices = sum(len(choice["name"]) + len(str(choice["value"])) for choice in part.get("choices") or [])
    return own + choices + sum(map(characters_of, part.get("options") or []))
