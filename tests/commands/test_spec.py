"""One signature is the whole definition of a command."""

from typing import Annotated

import pytest

from commands.forms import InvalidOption, check_needed, definition, read_form
from commands.imagine import imagine
from commands.syntax.spec import Option, command
from engine.messages import SEED, STEPS, Example, InvalidRequest, Paint, Sampler, Sha256


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


@command
async def frame(
    words: Annotated[str, Option("what to write", long=True)],
    picture: Annotated[Sha256 | None, Option("The picture to frame", kind="picture", needed=True)] = None,
    others: Annotated[tuple[Example, ...], Option("what hangs beside it", kind="pictures")] = (),
    lora: Annotated[Sha256 | None, Option("a file of a LoRA", kind="lora_file")] = None,
    sampler: Annotated[Sampler, Option("how to paint", kind="sampler")] = Sampler.EULER,
    gilded: Annotated[bool, Option("you pay for the gold", needed=True)] = False,
) -> None:
    """Frame a picture."""


def test_an_option_says_its_kind_or_its_type_does() -> None:
    assert [parameter.kind for parameter in frame.parameters] == [
        *("text", "picture", "pictures", "lora_file", "sampler", "boolean")
    ]
    assert [parameter.name for parameter in frame.files] == ["picture", "others", "lora"]
    assert [parameter["type"] for parameter in definition(frame)["parameters"]] == [
        *("text", "picture", "pictures", "lora_file", "choice", "boolean")
    ]


def test_a_file_is_read_by_its_kind() -> None:
    sha256 = "0123456789abcdef" * 4
    given = read_form(
        frame,
        {"words": "fox", "picture": sha256, "lora": sha256, "others": f'[{{"sha256": "{sha256}"}}]'},
    )

    assert (given["picture"], given["lora"]) == (sha256, sha256)
    assert given["others"] == (Example(sha256=Sha256(sha256), name="", caption=""),)
    with pytest.raises(InvalidRequest, match="Send it with the form"):
        read_form(frame, {"words": "fox", "picture": "fox.png"})


def test_what_a_form_has_to_have_may_be_uploaded_or_ticked() -> None:
    with pytest.raises(InvalidOption, match=r"^Add the picture to frame\.$") as refusal:
        check_needed(frame, {"gilded": "true"})
    assert refusal.value.parameter.name == "picture"
    with pytest.raises(InvalidOption, match=r"^Tick the box that you pay for the gold\.$"):
        check_needed(frame, {}, uploaded=["picture"])

    check_needed(frame, {"gilded": "true"}, uploaded=["picture"])
