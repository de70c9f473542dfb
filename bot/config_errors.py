"""Sentences about mistakes in config.toml."""

import json
import re
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from commands.syntax.parser import closest, join_list, shorten

SECRET = re.compile(r"token|secret|password|api_?key|credential", re.IGNORECASE)
KINDS = {
    "string_type": "text in quotes",
    "bool_type": "true or false",
    "model_type": "a table with its keys below it",
    "dict_type": "a table with its keys below it",
    "list_type": "a list of names in square brackets",
}


def sentence(error: ErrorDetails, tables: type[BaseModel]) -> str:
    """The sentence for an error of pydantic; `tables` is the model of the whole file."""
    *above, key = (str(part) for part in error["loc"])
    if isinstance(error["loc"][-1], int):
        key = f"A name in {above.pop()}"
    table = ".".join(above)
    where = f"[{table}] " if table else ""
    if error["type"] == "extra_forbidden":
        return where + _unknown_key(key, error["input"], _allowed_keys(tables, above))
    if error["type"] == "value_error":
        return f"{where}{error['ctx']['error']}"
    allowed = KINDS.get(error["type"]) or str(error.get("ctx", {}).get("expected", ""))
    allowed = allowed.replace("'", '"') or error["msg"]
    return f"{where}{key} must be {allowed}, not {_toml_value(error['input'])}."


def _unknown_key(key: str, value: object, allowed: list[str]) -> str:
    if SECRET.search(key):
        return f"{shorten(key)} is an unknown key. Secrets come from the environment, never from a file."
    meant = closest(key, allowed)
    hint = f"Did you mean {meant}?" if meant else f"The known keys are {join_list(allowed)}."
    return f"{shorten(key)} = {_toml_value(value)} is an unknown key. {hint}"


def _allowed_keys(tables: type[BaseModel], above: list[str]) -> list[str]:
    """The keys that are allowed in the table under this path."""
    steps = iter(above)
    for name in steps:
        inner: Any = tables.model_fields[name].annotation
        if get_origin(inner) is dict:  # tables whose names people choose
            _, inner = get_args(inner)
            next(steps, None)
        tables = inner
    return [field.alias or name for name, field in tables.model_fields.items()]


def _toml_value(value: object) -> str:
    """A value about as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a table"
    return shorten(json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value))
