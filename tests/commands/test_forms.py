"""A command as a form, for pages and modals."""

import dataclasses
import json
from typing import Any

import pytest

from commands.forms import definition, read_form
from commands.presets import presets
from commands.registry import COMMANDS
from commands.settings import with_defaults
from commands.syntax.lora_syntax import Mention
from engine.messages import InvalidRequest, Ratio, TrainingSettings


def fields(name: str) -> dict[str, dict[str, Any]]:
    """The fields of a command's form, by name."""
    return {field["name"]: field for field in definition(COMMANDS[name])["parameters"]}


def test_every_definition_is_plain_json() -> None:
    for command in COMMANDS.values():
        assert json.loads(json.dumps(definition(command))) == definition(command)


def test_a_field_knows_its_kind_bounds_default_and_help() -> None:
    assert fields("imagine")["steps"] == {
        "name": "steps",
        "label": "steps",
        "flags": ["--steps"],
        "help": "Denoising steps",
        "type": "integer",
        "low": 1,
        "high": 100,
        "choices": [],
        "names": [],
        "default": "30",
        "otherwise": "",
        "required": False,
        "needed": False,
        "spoken": False,
        "long": False,
        "repeated": False,
        "aliases": [],
        "more": False,
        "about": {},
    }


def test_each_field_of_imagine_has_its_kind() -> None:
    assert {name: field["type"] for name, field in fields("imagine").items()} == {
        "prompt": "text",
        "no": "text",
        "lora": "loras",
        "steps": "integer",
        "cfg": "number",
        "seed": "integer",
        "size": "size",
        "sampler": "choice",
        "count": "integer",
        "refiner": "number",
        "variation": "number",
        "variation_seed": "integer",
        "fast": "boolean",
        "hires": "number",
        "detail": "text",
        "detail_strength": "number",
        "image": "image",
        "strength": "number",
        "fresh": "boolean",
    }


def test_the_fields_of_settings_are_those_of_imagine_and_give_nothing_by_themselves() -> None:
    own, of_imagine = fields("settings"), fields("imagine")

    for name in ("no", "steps", "cfg", "size", "sampler"):
        assert own[name] == of_imagine[name] | {"default": ""}
    assert own["reset"]["type"] == "boolean"


def test_the_fields_of_imagine_say_somebodys_own_defaults() -> None:
    own = with_defaults({"no": "hat", "size": "3:2"}, COMMANDS["imagine"], {})

    defaults = {
        field["name"]: field["default"] for field in definition(COMMANDS["imagine"], own)["parameters"]
    }

    assert (defaults["no"], defaults["size"], defaults["steps"]) == ("hat", "3:2", "30")


def test_the_form_of_train_shows_the_usual_fields_first_and_folds_the_others() -> None:
    form = fields("train")
    seen, folded = ([name for name in form if form[name]["more"] is more] for more in (False, True))

    assert seen == ["name", "pictures", "preset", "trigger", "subject", "consent", "draft", "steps", "rank"]
    beside = ["pattern", "captions", "samples", "from_lora"]
    assert len(folded) == len(fields_of_settings()) + len(beside) - len(["steps", "rank"])
    assert [form[name]["type"] for name in seen] == [
        *("name", "pictures", "choice", "text", "text", "boolean", "hidden", "integer", "integer")
    ]
    assert (form["flip"]["type"], form["flip"]["choices"], form["flip"]["default"]) == (
        *("choice", ["true", "false"], ""),
    )
    assert form["optimizer"]["choices"] == [
        *("adamw", "adamw8bit", "prodigy", "adafactor", "lion", "schedulefree", "came")
    ]


def fields_of_settings() -> list[str]:
    return [field.name for field in dataclasses.fields(TrainingSettings)]


def test_every_preset_can_be_picked_and_has_a_line() -> None:
    preset = fields("train")["preset"]

    assert preset["choices"] == list(preset["about"]) == list(presets())
    assert all(preset["about"].values())


def test_a_size_can_be_picked_by_its_name() -> None:
    assert fields("imagine")["size"]["names"] == ["square", "portrait", "landscape", "wide", "tall"]


def test_a_bound_that_a_page_cannot_count_to_is_none() -> None:
    assert (fields("imagine")["seed"]["low"], fields("imagine")["seed"]["high"]) == (0, None)
    assert fields("imagine")["seed"]["otherwise"] == "random"


def test_a_sent_form_becomes_values_and_empty_fields_are_not_given() -> None:
    sent = {"prompt": "a fox --steps 3", "steps": "20", "size": "3:2", "lora": "ink:0.8, maria", "seed": " "}

    assert read_form(COMMANDS["imagine"], sent) == {
        "prompt": "a fox --steps 3",
        "steps": 20,
        "size": Ratio(across=3, down=2),
        "lora": (Mention("ink", 0.8), Mention("maria")),
    }


def test_two_quotes_are_an_empty_text_that_is_meant() -> None:
    assert read_form(COMMANDS["imagine"], {"prompt": "fox", "no": '""'})["no"] == ""


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        ({"steps": "3"}, "The prompt is missing (what to paint)."),
        ({"prompt": "  "}, "The prompt is missing (what to paint)."),
        ({"prompt": "fox", "steps": "ten"}, "--steps must be a whole number from 1 to 100, not 'ten'."),
        ({"prompt": "fox", "stepz": "3"}, "There is no option stepz. Did you mean steps?"),
        ({"prompt": "fox", "size": "7x64"}, "The width must be from 64 to 2048, not 7."),
    ],
)
def test_a_form_that_cannot_be_understood_is_answered_with_one_sentence(
    sent: dict[str, str], sentence: str
) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read_form(COMMANDS["imagine"], sent)

    assert str(refusal.value) == sentence
