"""Values as text that is read back as the same value."""

from enum import StrEnum

from commands.syntax.form_files import pictures_text
from commands.syntax.lora_syntax import Mention
from engine.messages import Example, Ratio, Size


def value_text(value: object) -> str:
    """Text that is read as this value; "" for None."""
    match value:
        case bool():
            return "true" if value else "false"
        case StrEnum() | str():
            return str(value)
        case int():
            return str(value)
        case float():
            return repr(value).removesuffix(".0")
        case Ratio():
            return f"{value.across}:{value.down}"
        case Size():
            return f"{value.width}x{value.height}"
        case Mention():
            return value.name if value.weight is None else f"{value.name}:{value_text(float(value.weight))}"
        case tuple() if all(isinstance(item, Example) for item in value) and value:
            return pictures_text(value)
        case tuple():
            return ", ".join(map(value_text, value))
        case None:
            return ""
        case _:
            return str(value)
