"""The elements of Block Kit with their limits: buttons, menus, inputs, images."""

import re
from collections.abc import Callable, Iterator, Mapping

from tests.fakes.slack.block_text import JSON

CHOICES: Mapping[str, int] = {
    "static_select": 100,
    "multi_static_select": 100,
    "checkboxes": 10,
    "radio_buttons": 10,
    "overflow": 5,
}
MENUS = frozenset({"static_select", "multi_static_select", "external_select", "multi_external_select"})
_MENU = {"placeholder", "confirm", "focus_on_load", "initial_option", "options", "option_groups"}
# what an element may have beside type and action_id
FIELDS: Mapping[str, set[str]] = {
    "button": {"text", "url", "value", "style", "confirm", "accessibility_label"},
    "static_select": _MENU,
    "multi_static_select": (_MENU - {"initial_option"}) | {"initial_options", "max_selected_items"},
    "external_select": (_MENU - {"options", "option_groups"}) | {"min_query_length"},
    "multi_external_select": {
        "placeholder",
        "confirm",
        "focus_on_load",
        "initial_options",
        "min_query_length",
        "max_selected_items",
    },
    "checkboxes": {"options", "initial_options", "confirm", "focus_on_load"},
    "radio_buttons": {"options", "initial_option", "confirm", "focus_on_load"},
    "overflow": {"options", "confirm"},
    "plain_text_input": {
        "placeholder",
        "initial_value",
        "multiline",
        "min_length",
        "max_length",
        "dispatch_action_config",
        "focus_on_load",
    },
    "number_input": {
        "placeholder",
        "initial_value",
        "is_decimal_allowed",
        "min_value",
        "max_value",
        "dispatch_action_config",
        "focus_on_load",
    },
    "file_input": {"filetypes", "max_files"},
    "image": {"image_url", "slack_file", "alt_text", "title", "block_id"},
}
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)


def text(given: object, most: int, at: str, *, plain: bool = False) -> Iterator[str]:
    """Why this text object is refused."""
    if not isinstance(given, dict) or given.get("type") not in ("plain_text", "mrkdwn"):
        yield f"must be a valid text object [json-pointer:{at}]"
        return
    if plain and given["type"] != "plain_text":
        yield f"must be plain_text [json-pointer:{at}/type]"
    allowed = {"type", "text", "emoji" if given["type"] == "plain_text" else "verbatim"}
    for name in sorted(set(given) - allowed):
        yield f"invalid additional property: {name} [json-pointer:{at}]"
    words = given.get("text")
    if not isinstance(words, str) or not words:
        yield f"must be more than 0 characters [json-pointer:{at}/text]"
    elif len(words) > most:
        yield f"must be less than {most + 1} characters [json-pointer:{at}/text]"


def element(given: object, at: str, knows_file: Callable[[JSON], bool]) -> Iterator[str]:
    """Why this element is refused."""
    if not isinstance(given, dict) or given.get("type") not in FIELDS:
        yield f"unsupported type [json-pointer:{at}/type]"
        return
    kind = given["type"]
    for name in sorted(set(given) - FIELDS[kind] - {"type", "action_id"}):
        yield f"invalid additional property: {name} [json-pointer:{at}]"
    if kind == "image":
        yield from _image(given, at, knows_file)
        return
    action = given.get("action_id", "x")
    if not isinstance(action, str) or not 0 < len(action) <= 255:
        yield f"must be less than 256 characters [json-pointer:{at}/action_id]"
    if "placeholder" in given:
        yield from text(given["placeholder"], 150, f"{at}/placeholder", plain=True)
    if "confirm" in given:
        yield from _confirm(given["confirm"], f"{at}/confirm")
    if kind == "button":
        yield from _button(given, at)
    elif kind in CHOICES:
        yield from _check_chosen(given, at)
    else:
        yield from _check_written(given, at)


def option(given: object, at: str) -> Iterator[str]:
    """Why this option is refused."""
    if not isinstance(given, dict):
        yield f"must be a valid option [json-pointer:{at}]"
        return
    for name in sorted(set(given) - {"text", "value", "description", "url"}):
        yield f"invalid additional property: {name} [json-pointer:{at}]"
    yield from text(given.get("text"), 75, f"{at}/text")
    if not isinstance(given.get("value"), str) or not 0 < len(given["value"]) <= 150:
        yield f"must be less than 151 characters [json-pointer:{at}/value]"
    if "description" in given:
        yield from text(given["description"], 75, f"{at}/description")


def _image(given: JSON, at: str, knows_file: Callable[[JSON], bool]) -> Iterator[str]:
    if not isinstance(given.get("alt_text"), str) or len(given["alt_text"]) > 2000:
        yield f"missing required field: alt_text [json-pointer:{at}]"
    file = given.get("slack_file")
    if ("image_url" in given) == (file is not None):
        yield f"needs either image_url or slack_file [json-pointer:{at}]"
    elif file is not None and (not isinstance(file, dict) or not knows_file(file)):
        yield f"invalid slack file [json-pointer:{at}/slack_file]"
    elif file is None and not str(given["image_url"]).startswith("https://"):
        yield f"downloading image failed [json-pointer:{at}/image_url]"


def _button(given: JSON, at: str) -> Iterator[str]:
    yield from text(given.get("text"), 75, f"{at}/text", plain=True)
    if len(given.get("value", "")) > 2000:
        yield f"must be less than 2001 characters [json-pointer:{at}/value]"
    if len(given.get("url", "")) > 3000:
        yield f"must be less than 3001 characters [json-pointer:{at}/url]"
    if given.get("style", "primary") not in ("primary", "danger"):
        yield f"must be a valid enum value [json-pointer:{at}/style]"


def _confirm(given: JSON, at: str) -> Iterator[str]:
    for name, most in (("title", 100), ("text", 300), ("confirm", 30), ("deny", 30)):
        yield from text(given.get(name), most, f"{at}/{name}", plain=name != "text")


def _check_chosen(given: JSON, at: str) -> Iterator[str]:
    most = CHOICES[given["type"]]
    options = given.get("options", [])
    groups = given.get("option_groups", [])
    if not options and not groups:
        yield f"missing required field: options [json-pointer:{at}]"
    if len(options) > most or len(groups) > most:
        yield f"no more than {most} items allowed [json-pointer:{at}/options]"
    for group in groups:
        yield from text(group.get("label"), 75, f"{at}/option_groups", plain=True)
        options = [*options, *group.get("options", [])]
    for number, item in enumerate(options):
        yield from option(item, f"{at}/options/{number}")
    values = [option.get("value") for option in options if isinstance(option, dict)]
    if len(set(values)) != len(values):
        yield f"options have the same value [json-pointer:{at}/options]"
    first = given.get("initial_options", [given["initial_option"]] if "initial_option" in given else [])
    if any(item not in options for item in first):
        yield f"the initial option is not one of the options [json-pointer:{at}/initial_option]"


def _check_written(given: JSON, at: str) -> Iterator[str]:
    kind = given["type"]
    if kind == "plain_text_input":
        most = given.get("max_length", 3000)
        if not 1 <= most <= 3000 or not 0 <= given.get("min_length", 0) <= most:
            yield f"must be between 1 and 3000 [json-pointer:{at}/max_length]"
        elif len(given.get("initial_value", "")) > most:
            yield f"must be less than {most + 1} characters [json-pointer:{at}/initial_value]"
    elif kind == "number_input":
        if not isinstance(given.get("is_decimal_allowed"), bool):
            yield f"missing required field: is_decimal_allowed [json-pointer:{at}]"
        for name in ("min_value", "max_value", "initial_value"):
            if name in given and not (isinstance(given[name], str) and NUMBER.fullmatch(given[name])):
                yield f"must be a number in a string [json-pointer:{at}/{name}]"
    elif kind == "file_input" and not 1 <= given.get("max_files", 10) <= 10:
        yield f"must be between 1 and 10 [json-pointer:{at}/max_files]"
    elif kind in MENUS:
        first = given.get("initial_options", [given["initial_option"]] if "initial_option" in given else [])
        for item in first:
            yield from option(item, f"{at}/initial_option")
