"""The library spandrel, imported without torchvision where that is not installed."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType
from typing import Any


def import_spandrel() -> Any:
    """The package spandrel.

    It imports all its networks at once, and two of them import functions of torchvision: LaMa, which fills
    holes, and RestoreFormer, for faces. Neither enlarges pictures, so that nothing calls these functions.
    PyPI's torchvision does not load beside the CPU build of torch, so that it is not required here.
    """
    with _placeholders():
        import spandrel
    return spandrel


@contextmanager
def _placeholders() -> Iterator[None]:
    """A context in which what spandrel imports of torchvision is there; the real one, if it is installed."""
    if find_spec("torchvision") is not None:
        yield
        return
    names = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")
    modules = {name: ModuleType(name) for name in names}
    for name in ("InterpolationMode", "rotate", "normalize"):
        setattr(modules[names[-1]], name, None)
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]  # others look here to see whether it is installed
