"""What a person types and picks, as Discord's own app checks it and sends it to the bot."""

from collections.abc import Mapping
from typing import Any

from tests.fakes.discord.accounts import Json, Role, User
from tests.fakes.discord.results import Modal
from tests.fakes.discord.rules import (
    CHECKBOX,
    FILE_UPLOAD,
    LABEL,
    RADIO,
    ROW,
    SELECT,
    TEXT_DISPLAY,
    TEXT_INPUT,
)
from tests.fakes.discord.uploads import Attached, Uploads
from tests.fakes.discord.world import Channel

SUBCOMMAND, STRING, INTEGER, BOOLEAN, USER, CHANNEL, ROLE, NUMBER, FILE = 1, 3, 4, 5, 6, 7, 8, 10, 11
TYPES: dict[int, tuple[type[Any], ...]] = {
    STRING: (str,),
    INTEGER: (int,),
    BOOLEAN: (bool,),
    USER: (User,),
    CHANNEL: (Channel,),
    ROLE: (Role,),
    NUMBER: (int, float),
    FILE: (Attached,),
}


def find_command(commands: list[Json], name: str, kind: int) -> Json:
    """The synced command or menu that people see under this name."""
    matches = [command for command in commands if command["name"] == name and command["type"] == kind]
    assert matches, f"there is no {name!r} among {sorted(command['name'] for command in commands)}"
    return matches[-1]


def command_data(
    commands: list[Json], words: str, given: Mapping[str, Any], uploads: Uploads, focused: str | None = None
) -> Json:
    """The data of a command: `words` is its name, with a subcommand's after it; None means not given."""
    name, *inner = words.split()
    command = find_command(commands, name, 1)
    defined: list[Json] = command["options"]
    for word in inner:
        group = next(option for option in defined if option["name"] == word and option["type"] == SUBCOMMAND)
        defined = group.get("options", [])
    resolved: Json = {}
    options = choose_options(defined, given, uploads, resolved, focused)
    for word in reversed(inner):
        options = [{"name": word, "type": SUBCOMMAND, "options": options}]
    data = {"id": command["id"], "name": name, "type": 1, "options": options, "resolved": resolved}
    return data | ({"guild_id": command["guild_id"]} if "guild_id" in command else {})


def choose_options(
    defined: list[Json], given: Mapping[str, Any], uploads: Uploads, resolved: Json, focused: str | None
) -> list[Json]:
    """The options as they are sent; what the app would not let somebody send is an AssertionError."""
    definitions = {option["name"]: option for option in defined}
    values = {name: value for name, value in given.items() if value is not None}
    assert values.keys() <= definitions.keys(), (
        f"no option {values.keys() - definitions.keys()} among {sorted(definitions)}"
    )
    missing = {name for name, option in definitions.items() if option.get("required") and name not in values}
    assert focused or not missing, f"required: {missing}"
    sent = []
    for name, value in values.items():
        option = definitions[name]
        if name == focused:
            assert option.get("autocomplete"), f"{name} suggests nothing"
            sent.append({"name": name, "type": option["type"], "value": value, "focused": True})
            continue
        check_value(option, value)
        sent.append({"name": name, "type": option["type"], "value": sendable(value, uploads, resolved)})
    return sent


def check_value(option: Json, value: Any) -> None:
    """What the app checks before it sends: type, bounds, choices."""
    name, kind = option["name"], option["type"]
    assert isinstance(value, TYPES[kind]), f"{name} takes {TYPES[kind]}, not {value!r}"
    assert kind == BOOLEAN or not isinstance(value, bool), f"{name} takes no boolean"
    if option.get("choices"):
        assert value in [choice["value"] for choice in option["choices"]], f"{name} cannot be {value!r}"
    if kind in (INTEGER, NUMBER):
        assert option.get("min_value", value) <= value <= option.get("max_value", value), f"{name} = {value}"
    if kind == STRING:
        least, most = option.get("min_length") or 0, option.get("max_length") or 6000
        assert least <= len(value) <= most, f"{name} takes {least} to {most} characters"


def sendable(value: Any, uploads: Uploads, resolved: Json) -> Any:
    """The value itself, or its id with the thing beside it under `resolved`."""
    if isinstance(value, Attached):
        upload = uploads.keep(value)
        resolved.setdefault("attachments", {})[str(upload.id)] = upload.json() | {"ephemeral": True}
        return str(upload.id)
    if isinstance(value, User | Channel | Role):
        kind = {User: "users", Channel: "channels", Role: "roles"}[type(value)]
        resolved.setdefault(kind, {})[str(value.id)] = value.json()
        return str(value.id)
    return value


def modal_data(modal: Modal, answers: Mapping[str, Any], uploads: Uploads) -> Json:
    """A form that is sent; what is not answered has the value that it opened with."""
    given = {modal.field(name)["custom_id"]: answer for name, answer in answers.items()}
    resolved: Json = {}
    parts = []
    for number, part in enumerate(modal.parts, 1):
        base = {"type": part["type"], "id": part.get("id", number)}
        if part["type"] == LABEL:
            parts.append(base | {"component": answer(part["component"], given, uploads, resolved)})
        elif part["type"] == ROW:
            parts.append(
                base
                | {
                    "components": [
                        answer(component, given, uploads, resolved) for component in part["components"]
                    ]
                }
            )
        elif part["type"] == TEXT_DISPLAY:
            parts.append(base)
    return {"custom_id": modal.custom_id, "components": parts, "resolved": resolved}


def answer(asked: Json, given: Mapping[str, Any], uploads: Uploads, resolved: Json) -> Json:
    """One answer of a form."""
    name, kind = asked["custom_id"], asked["type"]
    base = {"type": kind, "custom_id": name, "id": asked.get("id", 1)}
    if kind == TEXT_INPUT:
        return base | {"value": enter_text(asked, given.get(name, asked.get("value") or ""))}
    if kind == CHECKBOX:
        return base | {"value": bool(given.get(name, asked.get("default", False)))}
    picked = given.get(
        name, [option["value"] for option in asked.get("options") or [] if option.get("default")]
    )
    picked = [picked] if isinstance(picked, str | Attached) else list(picked)
    check_picked(asked, picked)
    if kind == RADIO:
        return base | {"value": picked[0] if picked else None}
    return base | {"values": [sendable(file, uploads, resolved) for file in picked]}


def enter_text(asked: Json, text: Any) -> str:
    """Text that fits its field."""
    assert isinstance(text, str), f"{asked['custom_id']} takes text, not {text!r}"
    least = max(asked.get("min_length") or 0, int(asked.get("required", True)))
    assert (text or not asked.get("required", True)) or least == 0, f"{asked['custom_id']} is required"
    most = asked.get("max_length") or 4000
    assert len(text) <= most, f"{asked['custom_id']} takes at most {most} characters"
    assert not text or len(text) >= least, f"{asked['custom_id']} takes at least {least} characters"
    return text


def check_picked(asked: Json, picked: list[Any]) -> None:
    """As many as allowed, of those that are offered."""
    name = asked["custom_id"]
    required = asked.get("required", True)
    least = asked.get("min_values", 1) if required else 0
    most = asked.get("max_values") or 1
    assert least <= len(picked) <= most, f"{name} takes {least} to {most}, not {len(picked)}"
    if asked["type"] == FILE_UPLOAD:
        assert all(isinstance(file, Attached) for file in picked), f"{name} takes files"
    elif asked["type"] == SELECT or asked.get("options"):
        offered = [option["value"] for option in asked["options"]]
        assert set(picked) <= set(offered), f"{name} offers {offered}, not {picked}"
