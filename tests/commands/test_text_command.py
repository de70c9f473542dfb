"""Lines as people and their phones write them."""

import random
import time
from contextlib import suppress
from enum import StrEnum
from typing import Annotated, Any

import pytest

from commands.presets import presets
from commands.registry import COMMANDS
from commands.syntax.lora_syntax import Mention
from commands.syntax.parser import parse
from commands.syntax.quotes import split
from commands.syntax.spec import Option, command
from commands.text_command import read_line
from engine.messages import InvalidRequest, Ratio, Sampler, Size


def values_of(line: str) -> dict[str, Any]:
    """What a line says to /imagine."""
    command, values = read_line(line)
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


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "page",
    ["-" * 200_000, "-a" * 100_000, "\u30fc" * 200_000, "\u200b" * 200_000, "-x " * 20_000, "a:0.1 " * 9000],
)
def test_a_page_of_dashes_is_read_at_once(page: str) -> None:
    for line in (f"/imagine {page}", f"/imagine fox --no {page}", f"/imagine fox --sampler {page}"):
        with suppress(InvalidRequest):
            read_line(line)


@pytest.mark.parametrize("seed", range(5))
def test_whatever_is_typed_is_understood_or_answered_with_one_sentence(seed: int) -> None:
    dice = random.Random(seed)
    pieces = [
        "--",
        "-",
        "\u2014",
        "\uff0d",
        "\u200b",
        "=",
        ":",
        ",",
        '"',
        "a",
        "fox",
        "ink:0.8",
        "Euler",
        "0,5",
        "\u00ab",
    ]
    flags = [flag for command in COMMANDS.values() for one in command.parameters for flag in one.flags]
    for _ in range(2000):
        name = dice.choice(list(COMMANDS))
        words = [dice.choice(["", " "]) + dice.choice([*pieces, dice.choice(flags)]) for _ in range(9)]
        try:
            read_line(f"/{name} {''.join(words)}")
        except InvalidRequest as refusal:
            assert "\n" not in str(refusal)
            assert str(refusal).endswith((".", "?"))


def test_a_line_is_a_command_and_its_values() -> None:
    assert values_of("/imagine a red fox --steps 20 --ar 3:2 --sampler 'euler a'") == {
        "prompt": "a red fox",
        "steps": 20,
        "size": Ratio(across=3, down=2),
        "sampler": Sampler.EULER_ANCESTRAL,
    }


@pytest.mark.parametrize("line", ["/IMAGINE a fox", " /Imagine\na fox", "/imagine\ta   fox\n"])
def test_the_case_of_a_command_and_the_space_around_words_do_not_matter(line: str) -> None:
    assert values_of(line) == {"prompt": "a fox"}


@pytest.mark.parametrize(
    "flag", ["--steps 20", "--steps=20", "--Steps 20", "\u2014steps 20", "\u2014steps=20", "\u2013steps 20"]
)
def test_a_flag_is_understood_as_phones_write_it(flag: str) -> None:
    assert values_of(f"/imagine fox {flag}") == {"prompt": "fox", "steps": 20}


def test_a_flag_of_two_words_may_have_a_dash_or_an_underscore() -> None:
    assert values_of("/imagine fox --variation_seed 3") == values_of("/imagine fox --variation-seed 3")


def test_a_long_dash_in_a_prompt_is_a_dash() -> None:
    assert (
        values_of("/imagine a fox \u2014 running \u2014quick")["prompt"] == "a fox \u2014 running \u2014quick"
    )


@pytest.mark.parametrize(
    "line",
    [
        "/imagine a fox -- in the snow --steps 3",
        "/imagine a fox \u2014 in the snow --steps 3",
        "/imagine a fox --- in the snow --steps 3",
        "/imagine a fox --> in the snow --steps 3",
    ],
)
def test_a_dash_in_a_sentence_is_a_word_and_the_flags_after_it_count(line: str) -> None:
    said = line.removeprefix("/imagine ").removesuffix(" --steps 3")

    assert values_of(line) == {"prompt": said, "steps": 3}
    assert values_of("/imagine a sign -- --steps 3") == {"prompt": "a sign --", "steps": 3}


def test_what_stands_in_quotes_is_no_flag() -> None:
    assert values_of('/imagine a sign "--steps 3"')["prompt"] == 'a sign "--steps 3"'


def test_quotes_around_the_whole_prompt_go_and_quotes_inside_stay() -> None:
    assert values_of('/imagine "a red  fox" --steps 3')["prompt"] == "a red  fox"
    assert values_of('/imagine a sign that says "open" --steps 3')["prompt"] == 'a sign that says "open"'


def test_text_after_the_prompt_has_all_words_up_to_the_next_flag() -> None:
    assert values_of("/imagine a star on a white background --no blue circle, red line --steps 3") == {
        "prompt": "a star on a white background",
        "no": "blue circle, red line",
        "steps": 3,
    }
    assert values_of('/imagine fox --no a sign that says "open"')["no"] == 'a sign that says "open"'
    assert values_of('/imagine fox --no "blue circle"')["no"] == "blue circle"
    assert values_of("/imagine fox --no=blue circle")["no"] == "blue circle"


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("/lora merge both ink:0.5 --prompt a red star", {"prompt": "a red star"}),
        ("/admin loras zoe --refuse too dark", {"refuse": "too dark"}),
        ("/admin loras zoe --weights 0.2 to 1", {"weights": (0.2, 1.0)}),
        ("/settings --no blue circle --steps 3", {"no": "blue circle", "steps": 3}),
        ("/loras --like a red star", {"like": "a red star"}),
        ("/train maria --subject small dog --samples a dog; a cat", {"subject": "small dog"}),
        ("/train maria --blocks down.2 mid, up.0", {"blocks": ("down.2", "mid", "up.0")}),
        ("/compare fox --lora ink --weights 0.5 1 1.3", {"weights": (0.5, 1.0, 1.3)}),
    ],
)
def test_values_of_several_words_are_heard_whole_in_every_command(line: str, values: dict[str, Any]) -> None:
    _, given = read_line(line)

    assert {name: given[name] for name in values} == values


@pytest.mark.parametrize("known", list(Sampler))
def test_a_sampler_is_as_many_words_as_make_a_known_name(known: Sampler) -> None:
    assert values_of(f"/imagine a fox --sampler {known} --steps 3") == {
        "prompt": "a fox",
        "sampler": known,
        "steps": 3,
    }
    assert values_of(f"/imagine --sampler {known} -- red fox")["sampler"] is known


def test_a_size_may_be_written_with_spaces_or_side_by_side() -> None:
    assert values_of("/imagine fox --size 832 x 1216")["size"] == Size(width=832, height=1216)
    assert values_of("/imagine fox --w 832 --h 1216") == values_of("/imagine fox --height 1216 --width 832")
    assert values_of("/imagine fox --w 832 --h 1216")["size"] == Size(width=832, height=1216)


@pytest.mark.parametrize(
    "lora", ["ink:0.8,maria", "ink:0.8, maria", "ink:0.8 , maria", "ink:0.8 ,maria", "ink:0.8 maria"]
)
def test_a_list_of_loras_goes_on_over_commas_and_spaces(lora: str) -> None:
    both = (Mention("ink", 0.8), Mention("maria"))

    assert values_of(f"/imagine fox --lora {lora} --steps 3") == {"prompt": "fox", "lora": both, "steps": 3}
    assert values_of(f'/imagine fox --lora "{lora}"')["lora"] == both


@pytest.mark.parametrize("lora", ["ink:0,8 maria:0,5", "ink:0,8,maria:0,5", "ink: 0.8, maria :0,5"])
def test_a_weight_may_have_a_decimal_comma_or_a_space(lora: str) -> None:
    assert values_of(f"/imagine fox --lora {lora}")["lora"] == (Mention("ink", 0.8), Mention("maria", 0.5))


def test_a_number_may_have_a_decimal_comma() -> None:
    assert values_of("/imagine fox --cfg 3,5")["cfg"] == 3.5


@pytest.mark.parametrize(
    ("flags", "values"),
    [
        ("--steps 20", {"steps": 20}),
        ("--no hat, glasses", {"no": "hat, glasses"}),
        ('--no "hat and glasses"', {"no": "hat and glasses"}),
        ("--lora ink:0.8, maria", {"lora": (Mention("ink", 0.8), Mention("maria"))}),
        ("--lora ink:0.8 maria:0.5", {"lora": (Mention("ink", 0.8), Mention("maria", 0.5))}),
        ("--sampler DPM++ 2M Karras --cfg 3", {"sampler": Sampler.DPM_2M_KARRAS, "cfg": 3}),
        ("--size 832 x 1216", {"size": Size(width=832, height=1216)}),
        ("--size 3 : 2", {"size": Ratio(across=3, down=2)}),
        ("--size tall", {"size": Ratio(across=9, down=16)}),
        ("--steps 12 --sampler DPM++ SDE", {"steps": 12, "sampler": Sampler.DPM_SDE}),
        ("--sampler euler ancestral", {"sampler": Sampler.EULER_ANCESTRAL}),
    ],
)
def test_a_value_in_front_of_the_prompt_leaves_the_prompt_its_words(
    flags: str, values: dict[str, Any]
) -> None:
    assert values_of(f"/imagine {flags} big red fox") == {"prompt": "big red fox", **values}


class Water(StrEnum):
    """Choices of which one begins like another."""

    SEA = "Sea"
    DEEP_SEA = "Deep Sea"
    DEEP_SEA_AT_NIGHT = "Deep Sea at Night"


@command
async def dive(
    words: Annotated[str, Option("what to look for")],
    where: Annotated[Water, Option("in which water")] = Water.SEA,
    how: Annotated[
        str, Option("how to go down", kind="choice", among=lambda: {"by rope": "", "by rope and bell": ""})
    ] = "by rope",
) -> None:
    """Go down."""


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("a fish --where Deep Sea", {"words": "a fish", "where": Water.DEEP_SEA}),
        ("--where deep sea at night fish", {"words": "fish", "where": Water.DEEP_SEA_AT_NIGHT}),
        ("--where deep sea at noon", {"words": "at noon", "where": Water.DEEP_SEA}),
        ("--how by rope and hook", {"words": "and hook", "how": "by rope"}),
        ("fish --how BY ROPE AND BELL --where sea", {"how": "by rope and bell", "where": Water.SEA}),
    ],
)
def test_any_choice_is_as_many_words_as_make_the_longest_that_is_known(
    line: str, values: dict[str, Any]
) -> None:
    given = parse(split(line), dive.parameters)

    assert {name: given[name] for name in values} == values


def test_a_preset_of_several_words_needs_no_quotes() -> None:
    name = next(name for name in presets() if name.count("-") > 1)

    _, given = read_line(f"/train --preset {name.replace('-', ' ')} maria")

    assert (given["preset"], given["name"]) == (name, "maria")


def test_what_is_said_without_a_flag_may_have_one_all_the_same() -> None:
    assert values_of("/imagine --steps 3 --prompt a red fox --no hat") == values_of(
        "/imagine a red fox --steps 3 --no hat"
    )


@pytest.mark.parametrize(
    "flag",
    [
        "\uff0d\uff0dsteps 20",  # full-width hyphens
        "\u2212\u2212steps 20",  # minus signs
        "\u2015steps 20",  # a horizontal bar
        "\u2010\u2010steps 20",  # hyphens that are no minus
        "\u30fc\u30fcsteps 20",  # vowel signs of a Japanese keyboard
        "\u200b--steps 20",  # what has no width, before, after, between and behind
        "--\u200bsteps 20",
        "-\u200b-steps\u200b 20",
        "--steps \u200b20",
        "-steps 20",
        "-Steps=20",
        "--steps: 20",
        "--steps:20",
        "--steps\uff1d20",
        "\uff0d\uff0d\uff53\uff54\uff45\uff50\uff53 \uff12\uff10",  # full-width letters and digits
    ],
)
def test_what_looks_like_a_flag_is_one(flag: str) -> None:
    assert values_of(f"/imagine a red fox {flag}") == {"prompt": "a red fox", "steps": 20}


def test_a_flag_of_two_words_may_have_any_dashes() -> None:
    assert values_of("/imagine fox \u2212\u2212variation\u2010seed 3")["variation_seed"] == 3


@pytest.mark.parametrize("word", ["-quick", "\u2014quick", "-1", "\u2014\u2014running", "-", "\u2212"])
def test_a_dash_before_a_word_that_is_no_option_stays_in_the_prompt(word: str) -> None:
    assert values_of(f"/imagine a fox {word} --steps 3") == {"prompt": f"a fox {word}", "steps": 3}


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("--negative blue circle", {"no": "blue circle"}),
        ("--aspect 3:2", {"size": Ratio(across=3, down=2)}),
        ("--n 2", {"count": 2}),
    ],
)
def test_options_are_known_by_what_other_programs_call_them(line: str, values: dict[str, Any]) -> None:
    assert values_of(f"/imagine fox {line}") == {"prompt": "fox", **values}


def test_a_comma_at_the_end_of_a_list_takes_no_flag() -> None:
    assert values_of("/imagine fox --lora ink, --steps 3")["steps"] == 3


def test_a_prompt_of_html_stays_as_it_is() -> None:
    assert (
        values_of("/imagine <script>alert('x')</script> & <b>")["prompt"]
        == "<script>alert('x')</script> & <b>"
    )


def test_a_switch_needs_no_value() -> None:
    _, values = read_line("/settings --reset --steps 20")

    assert values == {"reset": True, "steps": 20}
    assert read_line("/settings --reset no")[1] == {"reset": False}


def test_help_of_a_command_may_be_asked_for_behind_it() -> None:
    assert read_line("/imagine --help") == (COMMANDS["help"], {"command": COMMANDS["imagine"]})
    assert read_line("/imagine \u2014help") == read_line("/imagine --help")
    assert read_line("/help /Imagine") == (COMMANDS["help"], {"command": COMMANDS["imagine"]})


def test_a_command_of_two_words_is_said_with_a_space_whatever_its_case() -> None:
    assert read_line("/admin people Ana --block") == (COMMANDS["admin people"], {"who": "Ana", "block": True})
    assert read_line("/Admin  QUEUE\n--pause") == (COMMANDS["admin queue"], {"pause": True})
    assert read_line("/help admin  people")[1] == {"command": COMMANDS["admin people"]}


def test_a_word_behind_a_command_is_its_second_only_where_there_is_such_a_command() -> None:
    assert read_line("/lora maria")[0] is COMMANDS["lora"]
    assert read_line("/lora merge inked ink:0.5 maria:0.5")[0] is COMMANDS["lora merge"]
    assert read_line("/lora -- merge") == (COMMANDS["lora"], {"name": "merge"})
    assert read_line("/imagine people")[0] is COMMANDS["imagine"]


def test_half_of_a_command_is_answered_with_the_whole_ones() -> None:
    with pytest.raises(InvalidRequest, match=r"^Say which one: /admin people, /admin reports, /admin loras,"):
        read_line("/admin")
    with pytest.raises(
        InvalidRequest, match=r"^There is no command /admin quue\. Did you mean /admin queue\?$"
    ):
        read_line("/admin quue")


BEGIN = "Start with a command, such as /imagine a red fox. /help lists them."


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("", BEGIN),
        ("a red fox", BEGIN),
        ("--steps 3", BEGIN),
        ("/", BEGIN),
        ("/ imagine fox", BEGIN),
        ("/imagin fox", "There is no command /imagin. Did you mean /imagine?"),
        ("/BREW fox", "There is no command /brew. /help lists all commands."),
        ("/imagine", "The prompt is missing (what to paint)."),
        ("/imagine --steps 3 --cfg 2", "The prompt is missing (what to paint)."),
        ("/imagine fox --stepz 3", "There is no option --stepz. Did you mean --steps?"),
        ("/imagine fox --no --steps 3", "--no needs a value (what to avoid)."),
        ("/queue now", "'now' belongs to no option. This command has none."),
        ("/queue --all 1", "There is no option --all. This command has none."),
        (
            "/settings 3:2",
            "'3:2' belongs to no option. The options are --no, --negative, --steps, --cfg, --size, --ar, "
            "--aspect, --sampler and --reset.",
        ),
        (
            "/imagine a fox --steps 20 in the snow",
            "'in the snow' after --steps belongs to nothing. Say all of the prompt in one piece, before the "
            "options.",
        ),
        (
            "/imagine a fox --sampler Euler Karras",
            "'Karras' after --sampler belongs to nothing. --sampler takes Euler, Euler a, DPM++ 2M, "
            "DPM++ 2M Karras, DPM++ SDE, DDIM, UniPC, Heun or LCM. Say all of the prompt in one piece, "
            "before the options.",
        ),
        (
            "/imagine a fox --sampler DPM++ 4M Karras",
            "There is no sampler 'DPM++ 4M Karras'. The samplers are Euler, Euler a, DPM++ 2M, "
            "DPM++ 2M Karras, DPM++ SDE, DDIM, UniPC, Heun and LCM.",
        ),
        (
            "/imagine fox --lora ink two:x",
            "The weight of LoRA two must be a number from -2 to 2, not 'x'.",
        ),
        ("/imagine fox --prompt star", "The prompt was given twice. Give it once."),
        ("/imagine --prompt --steps 3", "--prompt needs a value (what to paint)."),
        ("/imagine fox -step 3", "There is no option --step. Did you mean --steps?"),
        ("/imagine fox \uff0d\uff0dstepz 3", "There is no option --stepz. Did you mean --steps?"),
        ("/imagine fox \u2014step 3", "There is no option --step. Did you mean --steps?"),
        (
            "/imagine fox --\u0455teps 3",
            "There is no option --\u0455teps. Did you mean --steps, in plain letters?",
        ),
        (
            "/imagine fox --s 250",
            "There is no option --s. It is Midjourney's stylize, and nothing here does that. Say --steps, "
            "--seed, --size, --sampler or --strength in full.",
        ),
        ("/train maria --se 3", "There is no option --se. Did you mean --seed?"),
        ("/imagine fox --w 832", "--width needs --height beside it. Give both, or --size."),
        ("/imagine fox --w 832 --h 8 --size 3:2", "--height must be from 64 to 2048, not 8."),
        ("/imagine fox --w 832 --h 832 --size 3:2", "--width and --size say the same. Give only one."),
        ("/settings --reset=maybe", "--reset must be true or false, not 'maybe'."),
        ("/show", "The job is missing (which job, such as k3f9qa)."),
        ("/show <b>", "'<b>' is not a job. A job has six letters and digits, such as k3f9qa."),
        ("/help xyz", "There is no command /xyz. /help lists all commands."),
        ("/imagine fox --variation-seed -1", f"--variation-seed must be from 0 to {2**63 - 1}, not -1."),
    ],
)
def test_what_cannot_be_understood_is_answered_with_one_sentence(line: str, sentence: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read_line(line)

    assert str(refusal.value) == sentence
