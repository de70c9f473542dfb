"""One signature is the whole definition of a command."""

from typing import Annotated

import pytest

from commands.help import usage
from commands.imagine import imagine
from commands.spec import Command, Option, command
from engine.messages import SEED, STEPS, Paint, Sampler


@command
def greet(
    context: object,
    name: Annotated[str, Option("whom to greet")],
    times: Annotated[int | None, Option("how often", 1, 9)] = None,
) -> str:
    """Say hello to somebody.

    More is not for the list.
    """
    return f"hello {name}" * (times or 1)


def test_a_command_is_its_name_its_sentence_and_its_options() -> None:
    name, times = greet.parameters

    assert (greet.name, greet.help) == ("greet", "Say hello to somebody.")
    assert (name.name, name.kind, name.required) == ("name", str, True)
    assert (times.name, times.kind, times.required, times.default) == ("times", int, False, None)
    assert (times.option.low, times.option.high, times.option.help) == (1, 9, "how often")


def test_a_command_is_called_like_its_function() -> None:
    assert greet(None, "ana", times=2) == "hello anahello ana"


def test_bounds_defaults_and_choices_of_imagine_are_those_of_the_engine() -> None:
    options = {parameter.name: parameter for parameter in imagine.parameters}

    assert (options["steps"].option.low, options["steps"].option.high) == STEPS
    assert (options["seed"].option.low, options["seed"].option.high) == SEED
    assert options["steps"].default == Paint.steps
    assert options["sampler"].choices == tuple(Sampler)
    assert options["lora"].repeated


@pytest.mark.parametrize("known", [imagine])
def test_help_is_a_sentence_and_a_line_for_each_option(known: Command[..., object]) -> None:
    first, *lines = usage(known).splitlines()

    assert known.help.endswith(".")
    assert first == f"{known.name}: {known.help}"
    assert len(lines) == len(known.parameters)
    assert all(parameter.option.help for parameter in known.parameters)
