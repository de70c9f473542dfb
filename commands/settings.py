"""/settings: somebody's own defaults for /imagine."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any

from commands.answers import Text
from commands.context import ChatContext
from commands.help import align
from commands.imagine import imagine
from commands.shared_options import Guidance, SamplerName, Shape, Steps, Unwanted
from commands.syntax.parser import value
from commands.syntax.spec import Command, Option, command
from commands.syntax.values import value_text
from engine.messages import InvalidRequest, JobId, Paint
from storage import people

IMAGE = "image"
EMPTY = {"size": "1:1"}  # what holds without one
REMEMBERED_OPTIONS = {
    one.name: one for one in imagine.parameters if one.name in ("no", "steps", "cfg", "size", "sampler")
}


@command
async def settings(
    context: ChatContext,
    *,
    no: Unwanted | None = None,
    steps: Steps | None = None,
    cfg: Guidance | None = None,
    size: Shape | None = None,
    sampler: SamplerName | None = None,
    reset: Annotated[bool, Option("Reset all your defaults")] = False,
) -> Text:
    """Show or change your own defaults for /imagine."""
    options = {"no": no, "steps": steps, "cfg": cfg, "size": size, "sampler": sampler}
    given = {name: option for name, option in options.items() if option is not None}
    values = {} if reset else defaults(context.person.settings)
    if given or reset:
        values = {
            name: option
            for name, option in (values | given).items()
            if option != REMEMBERED_OPTIONS[name].default
        }
        _check(values)
        others = {key: text for key, text in context.person.settings.items() if key not in REMEMBERED_OPTIONS}
        texts = {name: value_text(option) for name, option in values.items()}
        await people.save_settings(context.session, context.person.id, others | texts)
    return Text(text="\n".join(["Your defaults for /imagine:", *_lines(values)]))


def defaults(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Somebody's defaults as values of /imagine, without those that are no longer allowed."""
    values = {}
    for name, parameter in REMEMBERED_OPTIONS.items():
        if isinstance(text := settings.get(name), str):
            with suppress(InvalidRequest):
                values[name] = value(parameter, text)
    return values


def with_defaults(
    settings: Mapping[str, Any], command: Command[..., Any], values: Mapping[str, Any]
) -> dict[str, Any]:
    """The values given for a command, over the person's defaults for it."""
    own = defaults(settings) if command.name == imagine.name else {}
    if IMAGE in values:
        own.pop("size", None)  # it follows the picture
    return own | dict(values)


def _check(values: Mapping[str, Any]) -> None:
    """Raise InvalidRequest when these defaults could not paint anything."""
    names = {"no": "negative_prompt", "cfg": "guidance_scale"}
    changes = {names.get(name, name): option for name, option in values.items()}
    Paint(job=JobId("settings"), prompt="anything", seed=0, **changes)


def _lines(own: Mapping[str, Any]) -> list[str]:
    values = {name: own.get(name, parameter.default) for name, parameter in REMEMBERED_OPTIONS.items()}
    return align(
        [
            (
                name,
                (value_text(option) or ("1:1" if name == "size" else "nothing"))
                + (" (yours)" if name in own else ""),
            )
            for name, option in values.items()
        ]
    )
