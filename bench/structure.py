"""The structure of the tree in numbers: folders, names, lengths, circles between packages."""

import ast
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bench import import_graph

ROOT = Path(__file__).parents[1]
ROOMS = ("bot", "commands", "engine", "storage")
LONG = 40  # lines of a function, its signature and docstring included
VAGUE = ("told", "one", "known", "kept", "found", "said")

# A past participle by its form. Those that are their own infinitive (read, put, set, cut, run) are not here.
PARTICIPLE = re.compile(
    "(?!(bed|bleed|breed|embed|exceed|feed|hundred|need|proceed|red|seed|shed|speed|weed)$)[a-z]+ed"
    "|begun|bound|broken|brought|built|caught|chosen|come|dealt|done|drawn|driven|fallen|felt|forgotten|found"
    "|given|gone|grown|heard|held|hidden|hung|kept|known|laid|led|left|lent|lost|made|meant|met|paid|said|seen"
    "|sent|shown|slept|sold|sought|spent|spoken|stolen|stood|struck|stuck|swept|taken|taught|thought|thrown"
    "|told|torn|understood|woken|won|worn|wound|woven|written"
)

ADVERB = re.compile(
    "again|alone|anywhere|as|at|away|back|beside|by|down|enough|for|from|here|in|now|of|off|on|out|over|since"
    "|still|to|up|with"
)

# Words that end in "ing" and are nouns all the same.
NOUNS = {
    "batching": "a serving engine's standard term",
    "embedding": "a vector",
    "painting": "a picture under way, the word of this project",
    "string": "no verb",
    "training": "the field's noun",
}

# Calls that change what they are called on, or the world.
CHANGE = re.compile(
    "add|add_all|append|appendleft|begin_nested|cancel|clear|commit|create_task|delete|discard|execute|extend"
    "|flush|insert|mkdir|pop|put|put_nowait|remove|rename|replace|rmdir|set_exception|set_result|touch|unlink"
    "|update|write|write_bytes|write_text"
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, kw_only=True)
class Module:
    """One file, parsed."""

    path: Path  # from the root of the tree
    tree: ast.Module

    @cached_property
    def functions(self) -> list[Function]:
        """All functions and methods, those inside others too."""
        return [node for node in ast.walk(self.tree) if isinstance(node, Function)]

    @property
    def summary(self) -> str:
        """The first line of its docstring."""
        return (ast.get_docstring(self.tree) or "").partition("\n")[0]


def modules() -> list[Module]:
    """Every file of the rooms, in order."""
    paths = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
    return [Module(path=path.relative_to(ROOT), tree=ast.parse(path.read_text())) for path in paths]


def folder_sizes(files: Sequence[Module]) -> Counter[str]:
    """How many modules lie directly in each folder, `__init__.py` not counted."""
    return Counter(str(file.path.parent) for file in files if file.path.name != "__init__.py")


def has_participle_name(function: Function) -> bool:
    """Whether a function is named by a past participle: `settled`, `_told_of_picture`, `carried_out`.

    That is a name whose first word is a participle, and which ends there or goes on with a preposition or an
    adverb. `check_allowed` and `is_hidden` have a verb before it, and `queued_count` is a noun. Properties do
    not count: they are read like fields.
    """
    if any("property" in ast.unparse(decorator) for decorator in function.decorator_list):
        return False
    first, *rest = function.name.strip("_").split("_")
    return PARTICIPLE.fullmatch(first) is not None and (not rest or ADVERB.fullmatch(rest[0]) is not None)


def body_nodes(function: Function) -> Iterator[ast.AST]:
    """The nodes of a function's own body, without those of functions and classes inside it."""
    rest: list[ast.AST] = list(function.body)
    while rest:
        node = rest.pop()
        if not isinstance(node, Function | ast.ClassDef | ast.Lambda):
            yield node
            rest.extend(ast.iter_child_nodes(node))


def changes_something(function: Function) -> bool:
    """Whether a function seems to change what outlives it: an attribute, a row, a file, a task, an argument.

    What it does to its own locals does not count, but for their attributes: these may be rows.
    """
    own = local_names(function)
    for node in body_nodes(function):
        match node:
            case ast.Attribute(ctx=ast.Store() | ast.Del()):
                return True
            case ast.Subscript(value=changed, ctx=ast.Store() | ast.Del()):
                if _first_name(changed) not in own:
                    return True
            case ast.Call(func=ast.Name(id=name)):
                if name in ("insert", "update", "delete"):  # SQLAlchemy's
                    return True
            case ast.Call(func=ast.Attribute(value=changed, attr=name)):
                if CHANGE.fullmatch(name) and _first_name(changed) not in own:
                    return True
    return False


def _first_name(node: ast.AST) -> str:
    """The name that a chain such as `a.b[0].c` starts with; "" for one that starts with something else."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def local_names(function: Function) -> set[str]:
    """The names that a function's own body binds: by `=`, `for`, `with`, `:=`, in comprehensions."""
    return {
        node.id
        for node in body_nodes(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def line_count(function: Function) -> int:
    """Its lines, decorators not counted."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def measure() -> str:
    """What is measured, and how much of it there is."""
    from bench.measuring import table  # loads torch, which tests of the rest can do without

    return table(["", "today"], list(metrics()))


def metrics() -> Iterator[tuple[str, str]]:
    """Each row of the table."""
    files = modules()
    functions = [function for file in files for function in file.functions]
    yield from _folders(files)
    yield from _names(files, functions)
    yield "README, bytes", f"{(ROOT / 'README.md').stat().st_size:,}"
    yield from _lengths(files, functions)
    yield from _imports()


def _folders(files: Sequence[Module]) -> Iterator[tuple[str, str]]:
    sizes = folder_sizes(files)
    largest = ", ".join(f"{folder} {count}" for folder, count in sizes.most_common(6))
    yield "modules flat in one folder, the six largest", largest
    yield "modules in all", f"{sizes.total()} in {len(sizes)} folders"


def _names(files: Sequence[Module], functions: Sequence[Function]) -> Iterator[tuple[str, str]]:
    participles = [function for function in functions if has_participle_name(function)]
    waiting = [function for function in participles if isinstance(function, ast.AsyncFunctionDef)]
    writing = sum(map(changes_something, participles))
    yield "functions and methods", f"{len(functions):,}"
    yield "of them named by a participle", _share(len(participles), len(functions))
    yield "of these async / that change something", f"{len(waiting)} / {writing}"
    names = Counter(name for function in functions for name in local_names(function))
    vague = sum(names[name] for name in VAGUE)
    most = ", ".join(f"{name} {names[name]}" for name in VAGUE)
    yield f"locals called {', '.join(VAGUE)}", f"{_share(vague, names.total())}: {most}"
    words = [file.path.stem.rpartition("_")[2] for file in files if file.path.stem != "__init__"]
    verbs = [word for word in words if word.endswith("ing") and word not in NOUNS]
    yield "files called ...ing.py that are no nouns", _share(len(verbs), len(words))


def _lengths(files: Sequence[Module], functions: Sequence[Function]) -> Iterator[tuple[str, str]]:
    long = [function for function in functions if line_count(function) > LONG]
    yield f"functions over {LONG} lines", str(len(long))
    lines, name, path = max(
        (line_count(function), function.name, file.path) for file in files for function in file.functions
    )
    yield "longest function", f"{lines} lines, `{name}` in {path}"


def _imports() -> Iterator[tuple[str, str]]:
    imports = import_graph.build(*ROOMS)
    arrows = import_graph.between_units(imports)
    yield "circles between packages", _circles(arrows)
    yield "circles between modules", _circles(imports)
    bot = import_graph.within(arrows, "bot")
    yield "units of bot/ and arrows between them", f"{len(bot)} and {sum(map(len, bot.values()))}"


def _circles(arrows: import_graph.Arrows) -> str:
    circles = [" ".join(sorted(circle)) for circle in import_graph.circles(arrows)]
    return f"{len(circles)}: {'; '.join(circles)}" if circles else "0"


def _share(part: int, whole: int) -> str:
    return f"{part:,} ({100 * part / whole:.1f}%)"
