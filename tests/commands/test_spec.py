"""One signature is the whole definition of a command."""

from typing import Annotated

from commands.imagine import imagine
from commands.syntax.spec import Option, command
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
    assert (name.name, name.kind, name.required) == ("name", "text", True)
    assert (name.spoken, name.flags) == (True, ())
    assert (times.name, times.kind, times.required, times.default) == ("times", "integer", False, None)
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


def test_what_may_only_be_given_by_keyword_is_only_a_flag() -> None:
    @command
    async def choose(*, how_many: Annotated[int, Option("a number", aliases=("n",))] | None = None) -> None:
        """Choose."""

    (how_many,) = choose.parameters

    assert (how_many.spoken, how_many.flags, how_many.label) == (False, ("--how-many", "--n"), "how-many")
    assert (how_many.kind, how_many.option.help) == ("integer", "a number")
