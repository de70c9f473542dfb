"""A modal as somebody fills it in: the state that comes back, and what the modal does not let through."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tests.fakes.slack import json_views
from tests.fakes.slack.block_text import JSON
from tests.fakes.slack.platform import Platform
from tests.fakes.slack.world import File, View


def state(platform: Platform, view: View, values: Mapping[str, Any]) -> JSON:
    """The values of all elements, by block and action. A key is a block_id, an action_id or a label."""
    left = dict(values)
    filled: JSON = {}
    for element in view.elements:
        if element["type"] in ("button", "overflow"):
            continue
        block = element["block"]
        label = block.get("label", {}).get("text", "")
        key = next(
            (name for name in (element["block_id"], element["action_id"], label) if name in left), None
        )
        given = left.pop(key) if key is not None else _initial(element)
        filled.setdefault(element["block_id"], {})[element["action_id"]] = _value(
            platform, view, element, given
        )
        if block["type"] == "input" and not block.get("optional") and _empty(given):
            raise AssertionError(f"{label!r} must be filled in before the modal can be sent")
    assert not left, f"the modal has no {', '.join(left)}"
    return {"values": filled}


def _initial(element: JSON) -> Any:
    if "initial_option" in element:
        return element["initial_option"]["value"]
    if "initial_options" in element:
        return [option["value"] for option in element["initial_options"]]
    return element.get("initial_value")


def _empty(given: object) -> bool:
    return given is None or given == "" or given == []


def _value(platform: Platform, view: View, element: JSON, given: Any) -> JSON:
    kind = element["type"]
    if kind in ("plain_text_input", "number_input"):
        return {"type": kind, "value": _text(element, given)}
    if kind == "file_input":
        files = [_file(platform, item) for item in given or ()]
        assert len(files) <= element.get("max_files", 10), (
            f"no more than {element.get('max_files', 10)} files"
        )
        allowed = element.get("filetypes")
        for file in files:
            ending = file.name.rpartition(".")[2].lower()
            assert not allowed or ending in allowed, f"{file.name} is none of {allowed}"
        return {"type": kind, "files": [json_views.file(platform, file) for file in files]}
    if kind in ("checkboxes", "multi_static_select", "multi_external_select"):
        chosen = [_option(view, element, item) for item in _several(given)]
        return {"type": kind, "selected_options": chosen}
    option = None if _empty(given) else _option(view, element, given)
    return {"type": kind, "selected_option": option}


def _several(given: Any) -> Sequence[Any]:
    if given is None:
        return ()
    return [given] if isinstance(given, str) else list(given)


def _text(element: JSON, given: Any) -> str | None:
    if _empty(given):
        return None
    text = str(given)
    if element["type"] == "plain_text_input":
        most = element.get("max_length", 3000)
        assert len(text) <= most, f"the field takes {most} characters"
        return text if element.get("multiline") else text.replace("\n", " ")
    pattern = r"-?[0-9]+(\.[0-9]+)?" if element["is_decimal_allowed"] else r"-?[0-9]+"
    assert re.fullmatch(pattern, text), f"the field does not take {text!r}"
    low, high = element.get("min_value"), element.get("max_value")
    assert low is None or float(text) >= float(low), f"the field takes {low} at least"
    assert high is None or float(text) <= float(high), f"the field takes {high} at most"
    return text


def _option(view: View, element: JSON, value: str) -> JSON:
    """The option with this value; of a search, one that it has offered or the modal came with."""
    groups = element.get("option_groups", [])
    options = [*element.get("options", []), *(option for group in groups for option in group["options"])]
    options += element.get("initial_options", [])
    if "initial_option" in element:
        options.append(element["initial_option"])
    for option in options:
        if option["value"] == value or option["text"]["text"] == value:
            chosen: JSON = option
            return chosen
    if element["type"].endswith("external_select") and value in view.suggested:
        return view.suggested[value]
    raise AssertionError(f"there is no choice {value!r} among {[option['value'] for option in options]}")


def _file(platform: Platform, given: File | str) -> File:
    return given if isinstance(given, File) else platform.world.files[given]
