"""Block Kit inputs of a form, each made from its parameter's definition."""

from decimal import Decimal, InvalidOperation

from bot.cards.card_text import field_label, short
from bot.chats.slack.mrkdwn import JSON, plain

CHOICES = 100  # that a select takes
OPTION = 75  # characters
FIELD = 3000  # characters of an input
ENDINGS = ["png", "jpg", "jpeg", "webp", "gif"]
ZIP = "zip"
CAPTIONS = ["csv", "txt"]
MOST_FILES = 10
EMPTY = ("", None)


def field(parameter: JSON, value: str) -> JSON:
    """The input block of a parameter, as commands/forms.py defines it, with its value as text."""
    return {
        "type": "input",
        "block_id": parameter["name"],
        "label": plain(field_label(parameter["label"]), 100),
        "hint": plain(_hint(parameter), 2000),
        "optional": not parameter["required"],
        "element": {"action_id": parameter["name"], **_element(parameter, value)},
    }


def _hint(parameter: JSON) -> str:
    low, high = parameter["low"], parameter["high"]
    bounds = "" if low is None or high is None else f", {_number(low)} to {_number(high)}"
    return f"{parameter['help']}{bounds if parameter['type'] in ('integer', 'number') else ''}"


def _element(parameter: JSON, value: str) -> JSON:
    """The input that suits a parameter, with its value."""
    match parameter["type"]:
        case "integer" | "number":
            return _numbers(parameter, value)
        case "boolean":
            option = {"text": plain(short(parameter["help"], OPTION)), "value": "true"}
            ticked = {"initial_options": [option]} if value == "true" else {}
            return {"type": "checkboxes", "options": [option], **ticked}
        case "choice":
            return _select(parameter, value)
        case "loras" | "lora":
            return _loras(value, several=parameter["type"] == "loras")
        case "lora_file":
            return {"type": "file_input", "max_files": 1}
        case "picture":
            return {"type": "file_input", "filetypes": ENDINGS, "max_files": 1}
        case "pictures":
            return {"type": "file_input", "filetypes": [*ENDINGS, ZIP, *CAPTIONS], "max_files": MOST_FILES}
        case _:
            return {
                "type": "plain_text_input",
                "multiline": parameter["long"],
                **_placeholder(parameter),
                **_initial(value),
            }


def _numbers(parameter: JSON, value: str) -> JSON:
    whole = parameter["type"] == "integer"
    bounds = {
        name: _number(parameter[bound])
        for name, bound in (("min_value", "low"), ("max_value", "high"))
        if parameter[bound] is not None
    }
    initial = {"initial_value": _number(value)} if _is_number(value) else {}
    return {
        "type": "number_input",
        "is_decimal_allowed": not whole,
        **bounds,
        **_placeholder(parameter),
        **initial,
    }


def _select(parameter: JSON, value: str) -> JSON:
    about = parameter["about"]
    options = [_option(name, about.get(name, "")) for name in parameter["choices"][:CHOICES]]
    initial = [option for option in options if option["value"] == value]
    return {
        "type": "static_select",
        "options": options,
        **_placeholder(parameter),
        **({"initial_option": initial[0]} if initial else {}),
    }


def _option(value: str, about: str) -> JSON:
    described = {"description": plain(about, OPTION)} if about else {}
    return {"text": plain(value, OPTION), "value": value, **described}


def _loras(value: str, *, several: bool) -> JSON:
    """A list that is searched while somebody types."""
    chosen = [_option(name.strip(), "") for name in value.split(",") if name.strip()]
    searched = {"min_query_length": 0, "placeholder": plain("Search", 150)}
    if several:
        initial = {"initial_options": chosen} if chosen else {}
        return {"type": "multi_external_select", **searched, **initial}
    return {"type": "external_select", **searched, **({"initial_option": chosen[0]} if chosen else {})}


def _placeholder(parameter: JSON) -> JSON:
    usual = parameter["default"] if parameter["default"] not in EMPTY else parameter["otherwise"]
    return {"placeholder": plain(str(usual), 150)} if usual not in EMPTY else {}


def _initial(value: str) -> JSON:
    return {"initial_value": value[:FIELD]} if value else {}


def _is_number(text: str) -> bool:
    try:
        return Decimal(text).is_finite()
    except InvalidOperation:
        return False


def _number(value: object) -> str:
    """Digits and a point, as Slack wants its numbers: never 1e-05."""
    digits = f"{Decimal(str(value)):f}"
    return digits.rstrip("0").rstrip(".") if "." in digits else digits
