"""What is wrong with config.toml, as one sentence: the key, its value, and what is allowed."""

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
    """The sentence for one of pydantic's errors; `tables` is the model of the whole file."""
    *above, key = (str(part) for part in error["loc"])
    if isinstance(error["loc"][-1], int):
        key = f"a name in {above.pop()}"
    table = ".".join(above)
    where = f"in [{table}] " if table else ""
    if error["type"] == "extra_forbidden":
        return where + _unknown(key, error["input"], _known(tables, above))
    if error["type"] == "value_error":
        return f"{where}{error['ctx']['error']}"
    allowed = KINDS.get(error["type"]) or str(error.get("ctx", {}).get("expected", ""))
    allowed = allowed.replace("'", '"') or error["msg"]
    return f"{where}{key} is {_shown(error['input'])}, but it must be {allowed}."


def _unknown(key: str, value: object, known: list[str]) -> str:
    if SECRET.search(key):
        return f"{shorten(key)} is an unknown key: secrets come from the environment, never from a file."
    meant = closest(key, known)
    hint = f"did you mean {meant}?" if meant else f"the known ones are {join_list(known)}."
    return f"{shorten(key)} = {_shown(value)} is an unknown key: {hint}"


def _known(tables: type[BaseModel], above: list[str]) -> list[str]:
    """The keys that are allowed in the table under this path."""
    steps = iter(above)
    for name in steps:
        inner: Any = tables.model_fields[name].annotation
        if get_origin(inner) is dict:  # tables by names that people choose
            _, inner = get_args(inner)
            next(steps, None)
        tables = inner
    return [field.alias or name for name, field in tables.model_fields.items()]


def _shown(value: object) -> str:
    """A value as TOML writes it, nearly."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a table"
    return shorten(json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value))
