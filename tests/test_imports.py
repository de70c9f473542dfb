"""Imports point one way, load no torch into the bot, and do nothing by themselves."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("bot", "commands", "engine", "storage")
HEAVY = {"torch", "diffusers", "transformers", "peft", "accelerate", "safetensors", "numpy"}
PIXELS = {"bot.provenance.pixels", "bot.provenance.watermark"}  # loaded in threads, for the first picture
LINTER = Path(sys.executable).with_name("lint-imports")

LOOK_AROUND = """
import importlib, json, logging, sys, threading
from pathlib import Path
files = set(Path.cwd().rglob("*"))
threads, handlers = threading.active_count(), list(logging.root.handlers)
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
assert threading.active_count() == threads, threading.enumerate()
assert logging.root.handlers == handlers
assert set(Path.cwd().rglob("*")) == files
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def modules(*rooms: str) -> list[str]:
    """Every module of these rooms that is not a program."""
    paths = [path.relative_to(ROOT) for room in rooms for path in sorted((ROOT / room).rglob("*.py"))]
    return [
        ".".join(path.with_suffix("").parts).removesuffix(".__init__")
        for path in paths
        if path.name != "__main__.py"
    ]


def imported_by(path: Path) -> Iterator[str]:
    """The packages that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def loaded_by_importing(names: list[str], folder: Path) -> set[str]:
    """The top-level modules of a fresh process after these imports, which must have had no other effect."""
    run = subprocess.run(
        [sys.executable, "-B", "-c", LOOK_AROUND, json.dumps(names)],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "HOME": str(folder), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("\n") == 1, run.stdout
    return set(json.loads(run.stdout))


def test_the_rooms_import_each_other_only_as_agreed() -> None:
    run = subprocess.run([LINTER, "--no-cache"], cwd=ROOT, capture_output=True, text=True)

    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize(
    ("line", "contract"),
    [
        ("import torch", "only the engine knows torch and its friends"),
        ("import bot.cli.imagine", "bot imports commands, commands import storage, never the other way"),
        ("import engine.sdxl.model", "of the engine, only its messages are known outside"),
        ("import discord", "only chats.discord knows discord.py"),
        ("from slack_bolt.async_app import AsyncApp", "only chats.slack knows slack-bolt"),
    ],
)
def test_an_import_inside_a_function_is_held_to_it_too(tmp_path: Path, line: str, contract: str) -> None:
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            copy = tmp_path / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    (tmp_path / "commands/sneaky.py").write_text(f"def later() -> None:\n    {line}\n")

    run = subprocess.run([LINTER, "--no-cache"], cwd=tmp_path, capture_output=True, text=True)

    assert run.returncode == 1
    assert f"{contract} BROKEN" in " ".join(run.stdout.split())


def test_the_messages_need_only_the_standard_library() -> None:
    for path in (ROOT / "engine/messages").glob("*.py"):
        assert set(imported_by(path)) <= sys.stdlib_module_names | {"engine"}, path


def test_nothing_is_imported_by_a_name_in_a_string() -> None:
    for room in ("bot", "commands", "storage"):
        for path in (ROOT / room).rglob("*.py"):
            assert "importlib" not in imported_by(path), path
            assert "__import__" not in path.read_text(), path


def test_what_packages_keep_private_is_used_in_one_module_for_each() -> None:
    used = {
        f"{path.relative_to(ROOT)}: {node.attr}"
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and re.match(r"_[a-z]|__.*(?<!__)$", node.attr)
        if not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
    }

    assert used == {
        "storage/connection.py: _thread",  # the others of aiosqlite are in subclasses
        "engine/parent_process.py: _exit",  # documented in os
        "engine/__main__.py: _exit",
        "engine/runners/openvino_graphs.py: _version",  # of a tensor: documented in torch's notes on autograd
    }


def test_importing_what_the_bot_is_made_of_loads_no_torch_and_does_nothing(tmp_path: Path) -> None:
    names = [*modules("bot", "commands", "storage"), "bot.__main__", "engine.messages"]
    names = [name for name in names if name not in PIXELS]

    assert loaded_by_importing(names, tmp_path) & HEAVY == set()


def test_importing_the_engine_does_nothing(tmp_path: Path) -> None:
    names = [name for name in modules("engine") if not name.startswith("engine.demo")]

    assert "torch" in loaded_by_importing(names, tmp_path)
