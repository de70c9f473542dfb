"""The tree stays one in which a stranger finds their way."""

import ast
import re
from collections.abc import Sequence

import pytest

from bench import import_graph, rooms
from bench.structure import ROOMS, ROOT, Module, folder_sizes, has_participle_name, modules

LARGEST_FOLDER = 25  # modules
FLAT = ("commands", "storage")  # a file for each command, and one for each thing to remember
LONGEST_SUMMARY = 110  # letters
LONGEST_README = 8192  # bytes
SENTENCE = re.compile(r"(?:(?!\. [A-Z]).)+\.")


@pytest.fixture(scope="module")
def tree() -> Sequence[Module]:
    """All modules, read once."""
    return modules()


def test_no_folder_has_more_modules_than_one_can_look_through(tree: Sequence[Module]) -> None:
    sizes = folder_sizes(tree)

    assert {name: size for name, size in sizes.items() if size > LARGEST_FOLDER and name not in FLAT} == {}


def test_neither_packages_nor_modules_import_each_other() -> None:
    imports = import_graph.build(*ROOMS)

    assert import_graph.circles(import_graph.between_units(imports)) == []
    assert import_graph.circles(imports) == []


def test_what_is_awaited_is_named_by_what_it_does(tree: Sequence[Module]) -> None:
    """A participle, as in `await settled(...)`, says neither that it acts nor what it does."""
    names = [
        f"{module.path}: {function.name}"
        for module in tree
        for function in module.functions
        if isinstance(function, ast.AsyncFunctionDef) and has_participle_name(function)
    ]

    assert names == []


def test_a_modules_first_line_is_one_sentence_on_what_is_in_it(tree: Sequence[Module]) -> None:
    summaries = {str(module.path): module.summary for module in tree}

    assert [path for path, text in summaries.items() if not SENTENCE.fullmatch(text)] == []
    assert [path for path, text in summaries.items() if len(text) >= LONGEST_SUMMARY] == []


def test_the_readme_is_read_in_a_few_minutes() -> None:
    assert (ROOT / "README.md").stat().st_size <= LONGEST_README


def test_the_drawing_of_the_rooms_is_up_to_date() -> None:
    """Where this fails, `python -m bench.rooms` draws it anew."""
    assert rooms.FILE.read_text() == rooms.drawing()
