"""Copies of a model for the tests that change it: `copy.deepcopy` takes five times as long."""

import copy
import io
import pickle
from typing import Any

from torch import Tensor
from transformers import PreTrainedTokenizerBase


class Copies:
    """The modules of a model, pickled once; each copy has numbers of its own, tokenizers are shared."""

    def __init__(self, original: Any) -> None:
        file = io.BytesIO()
        pickler = _Pickler(file, pickle.HIGHEST_PROTOCOL)
        pickler.dump(original)
        self._parts, self._rest = pickler.parts, file.getvalue()

    def one(self) -> Any:
        """What one test does to it, no other sees."""
        return _Unpickler(self._rest, self._parts).load()


class _Pickler(pickle.Pickler):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.parts: dict[int, Any] = {}

    def persistent_id(self, part: Any) -> int | None:
        if not isinstance(part, Tensor | PreTrainedTokenizerBase):
            return None
        self.parts[id(part)] = part
        return id(part)


class _Unpickler(pickle.Unpickler):
    def __init__(self, rest: bytes, parts: dict[int, Any]) -> None:
        super().__init__(io.BytesIO(rest))
        self._parts = parts
        self._made: dict[int, Any] = {}

    def persistent_load(self, number: int) -> Any:
        if number not in self._made:
            part = self._parts[number]
            self._made[number] = copy.deepcopy(part) if isinstance(part, Tensor) else part
        return self._made[number]
