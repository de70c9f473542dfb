"""Lines as people and their phones write them."""

import time
from typing import Any

import pytest

from commands.book import COMMANDS
from commands.loras import Mention
from commands.quotes import split
from commands.text import read
from engine.messages import InvalidRequest, Ratio, Sampler


def told(line: str) -> dict[str, Any]:
    """What a line says to /imagine."""
    command, values = read(line)
    assert command is COMMANDS["imagine"]
    return values


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a red fox", ["a", "red", "fox"]),
        ("  a\tred\n\nfox ", ["a", "red", "fox"]),
        ("", []),
        ('"a red" fox', ["a red", "fox"]),
        ("'a red' fox", ["a red", "fox"]),
        ("\u201ca red\u201d fox", ["a red", "fox"]),
        ("\u201ea red\u201c fox", ["a red", "fox"]),
        ("\u2018a red\u2019 fox", ["a red", "fox"]),
        ("\u00aba red\u00bb fox", ["a red", "fox"]),
        ('\u201ca red" fox', ["a red", "fox"]),
        ('""', [""]),
        ("I don't know", ["I", "don't", "know"]),
        ("I don\u2019t know", ["I", "don\u2019t", "know"]),
        ("'don't stop' now", ["don't stop", "now"]),
        ("the dogs' day", ["the", "dogs'", "day"]),
        ("'tis a fox", ["'tis", "a", "fox"]),
        ('a 6" ruler', ["a", '6"', "ruler"]),
        ('say "hello', ["say", '"hello']),
        (r'"a \"red\" fox"', ['a "red" fox']),
        (r'"a back\\slash"', ["a back\\slash"]),
        (r"C:\new", [r"C:\new"]),
        ('--no="a b" fox', ["--no=a b", "fox"]),
        ('\u2014no="a b" fox', ["\u2014no=a b", "fox"]),
        ('"two\nlines"', ["two\nlines"]),
    ],
)
def test_quotes_keep_words_together_and_apostrophes_are_letters(line: str, words: list[str]) -> None:
    assert split(line) == words


def test_a_page_of_open_quotes_is_split_at_once() -> None:
    started = time.monotonic()

    words = split("\"a \u201cb 'c " * 20_000)

    assert len(words) == 60_000
    assert time.monotonic() - started < 5


def test_a_line_is_a_command_and_its_values() -> None:
    assert told("/imagine a red fox --steps 20 --ar 3:2 --sampler 'euler a'") == {
        "prompt": "a red fox",
        "steps": 20,
        "size": Ratio(across=3, down=2),
        "sampler": Sampler.EULER_ANCESTRAL,
    }


@pytest.mark.parametrize("line", ["/IMAGINE a fox", " /Imagine\na fox", "/imagine\ta   fox\n"])
def test_the_case_of_a_command_and_the_space_around_words_do_not_matter(line: str) -> None:
    assert told(line) == {"prompt": "a fox"}


@pytest.mark.parametrize(
    "flag", ["--steps 20", "--steps=20", "--Steps 20", "\u2014steps 20", "\u2014steps=20", "\u2013steps 20"]
)
def test_a_flag_is_understood_as_phones_write_it(flag: str) -> None:
    assert told(f"/imagine fox {flag}") == {"prompt": "fox", "steps": 20}


def test_a_flag_of_two_words_may_have_a_dash_or_an_underscore() -> None:
    assert told("/imagine fox --variation_seed 3") == told("/imagine fox --variation-seed 3")


def test_a_long_dash_in_a_prompt_is_a_dash() -> None:
    assert told("/imagine a fox \u2014 running \u2014fast")["prompt"] == "a fox \u2014 running \u2014fast"


def test_two_dashes_end_the_flags() -> None:
    assert told("/imagine a sign -- --steps 3")["prompt"] == "a sign --steps 3"


def test_what_stands_in_quotes_is_no_flag() -> None:
    assert told('/imagine a sign "--steps 3"')["prompt"] == 'a sign "--steps 3"'


def test_quotes_around_the_whole_prompt_go_and_quotes_inside_stay() -> None:
    assert told('/imagine "a red  fox" --steps 3')["prompt"] == "a red  fox"
    assert told('/imagine a sign that says "open" --steps 3')["prompt"] == 'a sign that says "open"'


@pytest.mark.parametrize(
    "lora", ["ink:0.8,maria", "ink:0.8, maria", "ink:0.8 , maria", "ink:0.8 ,maria", '"ink:0.8, maria"']
)
def test_a_list_of_loras_goes_on_after_its_commas(lora: str) -> None:
    assert told(f"/imagine fox --lora {lora} red") == {
        "prompt": "fox red",
        "lora": (Mention("ink", 0.8), Mention("maria")),
    }


def test_a_list_of_what_to_avoid_goes_on_after_its_commas() -> None:
    assert told("/imagine fox --no hat, glasses red") == {"prompt": "fox red", "no": "hat, glasses"}


def test_a_comma_at_the_end_of_a_list_takes_no_flag() -> None:
    assert told("/imagine fox --lora ink, --steps 3")["steps"] == 3


def test_a_prompt_of_html_stays_as_it_is() -> None:
    assert told("/imagine <script>alert('x')</script> & <b>")["prompt"] == "<script>alert('x')</script> & <b>"


def test_a_switch_needs_no_value() -> None:
    _, values = read("/settings --reset --steps 20")

    assert values == {"reset": True, "steps": 20}
    assert read("/settings --reset no")[1] == {"reset": False}


def test_help_of_a_command_may_be_asked_for_behind_it() -> None:
    assert read("/imagine --help") == (COMMANDS["help"], {"command": COMMANDS["imagine"]})
    assert read("/help /Imagine") == (COMMANDS["help"], {"command": COMMANDS["imagine"]})


def test_a_command_of_two_words_is_said_with_a_space_whatever_its_case() -> None:
    assert read("/admin people Ana --block") == (COMMANDS["admin people"], {"who": "Ana", "block": True})
    assert read("/Admin  QUEUE\n--pause") == (COMMANDS["admin queue"], {"pause": True})
    assert read("/help admin  people")[1] == {"command": COMMANDS["admin people"]}


def test_a_word_behind_a_command_is_its_second_only_where_there_is_such_a_command() -> None:
    assert read("/lora maria")[0] is COMMANDS["lora"]
    assert read("/lora merge inked ink:0.5 maria:0.5")[0] is COMMANDS["lora merge"]
    assert read("/lora -- merge") == (COMMANDS["lora"], {"name": "merge"})
    assert read("/imagine people")[0] is COMMANDS["imagine"]


def test_half_of_a_command_is_answered_with_the_whole_ones() -> None:
    with pytest.raises(InvalidRequest, match=r"^say what: /admin people, /admin loras,"):
        read("/admin")
    with pytest.raises(
        InvalidRequest, match=r"^there is no command /admin quue: did you mean /admin queue\?$"
    ):
        read("/admin quue")


BEGIN = "begin with a command, such as /imagine a red fox; /help tells them all."


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("", BEGIN),
        ("a red fox", BEGIN),
        ("--steps 3", BEGIN),
        ("/", BEGIN),
        ("/ imagine fox", BEGIN),
        ("/imagin fox", "there is no command /imagin: did you mean /imagine?"),
        ("/BREW fox", "there is no command /brew: /help tells them all."),
        ("/imagine", "the prompt is missing: say what to paint."),
        ("/imagine --steps 3 --cfg 2", "the prompt is missing: say what to paint."),
        ("/imagine fox --stepz 3", "there is no option --stepz: did you mean --steps?"),
        ("/imagine fox --no --steps 3", "--no needs a value: what to avoid."),
        ("/queue now", "'now' belongs to no option: this command has none."),
        ("/queue --all 1", "there is no option --all: this command has none."),
        (
            "/settings 3:2",
            "'3:2' belongs to no option: the known ones are --no, --steps, --cfg, --size, --ar, --sampler "
            "and --reset.",
        ),
        ("/settings --reset=maybe", "reset is 'maybe', but it must be true or false."),
        ("/show", "the job is missing: say which job, such as k3f9qa."),
        ("/show <b>", "'<b>' names no job: a job has six letters and digits, such as k3f9qa."),
        ("/help xyz", "there is no command /xyz: /help tells them all."),
        ("/imagine fox --variation-seed -1", f"variation-seed is -1, but it must be from 0 to {2**63 - 1}."),
    ],
)
def test_what_cannot_be_understood_is_answered_with_one_sentence(line: str, sentence: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read(line)

    assert str(refusal.value) == sentence
