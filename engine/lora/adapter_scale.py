"""An adapter's scale: the alpha of each of its modules, from alpha keys or from the metadata of diffusers.

The patterns of that metadata are regular expressions, as PEFT reads them (its get_pattern_key): the first one
that matches the last parts of a module's path counts.
"""

import json
import math
import re
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import regex  # type: ignore[import-untyped]  # unlike re it can be told when to give up
from torch import Tensor

from engine.lora.key_names import COMPONENTS, Component, Place
from engine.messages import InvalidRequest

ALPHA = 2**20  # far above any real one, far below what overflows
PATTERNS, LONGEST_PATTERN = 2000, 200  # in one setting, and its characters
PATIENCE = 0.5  # seconds of all that match: a file from outside must not keep the engine busy
FIXED = re.compile(r"\^?(?:\w|\.|\\\.)+")  # what almost all are: as long as what it matches
CHANGES_MORE = (
    "use_qalora",
    "use_bdlora",
    "arrow_config",
    "alora_invocation_tokens",
    "velora_config",
    "monteclora_config",
    "kasa_config",
    "lora_bias",
    "layer_replication",
)
CONFIG = (
    "r",
    "lora_alpha",
    "rank_pattern",
    "alpha_pattern",
    "use_rslora",
    "init_lora_weights",
    "use_dora",
    *CHANGES_MORE,
)
CHANGES_THE_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga", "mica")


class Scales:
    """How strongly each module's factors count: alpha / rank, and alpha is the rank where nothing is said.

    decomposed: the modules that have magnitudes (DoRA); places: all that are changed; lora: how to call it in
    a refusal. Raises InvalidRequest when the file asks for more than a scale.
    """

    def __init__(
        self,
        metadata: Mapping[str, str],
        alphas: Mapping[Place, Tensor],
        decomposed: Collection[Place],
        places: Collection[Place],
        lora: str,
    ) -> None:
        self._lora = lora
        self._until = time.thread_time() + PATIENCE
        self._decomposed = decomposed
        self._alphas = {place: self._number(place, alpha) for place, alpha in alphas.items()}
        fields = self._parsed(metadata.get("lora_adapter_metadata", ""))
        self._told = {component: self._settings(fields, component) for component in COMPONENTS}
        self._ranks = self._patterns("rank_pattern", places)
        self._scales = self._patterns("alpha_pattern", places)

    @property
    def told(self) -> bool:
        """Whether the metadata says anything of them."""
        return any(self._told.values())

    def scalar(self, place: Place, scalar: Tensor) -> float:
        """The number that LyCORIS multiplies a module's change with. Raises InvalidRequest."""
        if scalar.numel() != 1 or not 0 < abs(float(scalar)) <= ALPHA:
            raise InvalidRequest(f"{self._lora} has a scalar for {place} that is no number other than 0.")
        return float(scalar)

    def alpha(self, place: Place, rank: int) -> float:
        """The module's alpha. Raises InvalidRequest when the file contradicts itself."""
        told = self._told[place.component]
        if not told:
            return self._alphas.get(place, float(rank))
        if told.get("use_dora") and place not in self._decomposed:
            raise InvalidRequest(f"{self._lora} is a DoRA, but the magnitudes of {place} are missing.")
        if place in self._alphas:
            raise InvalidRequest(f"{self._lora} gives its alpha twice, in keys and in its metadata.")
        if self._ranks.get(place, told.get("r", rank)) != rank:
            raise InvalidRequest(f"{self._lora} has rank {rank} in {place}, but its metadata says otherwise.")
        alpha = self._scales.get(place, told.get("lora_alpha", rank))
        if not isinstance(alpha, int | float) or not 0 < alpha <= ALPHA:
            raise InvalidRequest(f"{self._lora} has an alpha in its metadata that is no number above 0.")
        return alpha * math.sqrt(rank) if told.get("use_rslora") else float(alpha)

    def _number(self, place: Place, alpha: Tensor) -> float:
        number = float(alpha) if alpha.numel() == 1 else 0.0
        # Trainers disagree about 0: kohya's means the rank, PEFT's means no effect.
        if not 0 < number <= ALPHA:
            raise InvalidRequest(f"{self._lora} has an alpha for {place} that is no number above 0.")
        return number

    def _parsed(self, text: str) -> dict[str, object]:
        try:
            fields = json.loads(text or "{}")
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict):
            raise InvalidRequest(f"{self._lora} has metadata (lora_adapter_metadata) that cannot be read.")
        return fields

    def _settings(self, fields: Mapping[str, object], component: Component) -> dict[str, object]:
        told = {
            key.removeprefix(f"{component}."): value
            for key, value in fields.items()
            # A UNet saved alone has keys and metadata without a prefix.
            if key.startswith(f"{component}.") or key in CONFIG
        }
        for setting in CHANGES_MORE:
            if told.get(setting):
                raise InvalidRequest(
                    f"{self._lora} uses {setting}, which is not supported: only LoRA and DoRA are."
                )
        for start in CHANGES_THE_BASE:
            if str(told.get("init_lora_weights")).lower().startswith(start):
                raise InvalidRequest(f"{self._lora} changes the base model too ({start}): convert it first.")
        return told

    def _patterns(self, setting: str, places: Collection[Place]) -> dict[Place, object]:
        """The value of each place that a pattern of its component matches."""
        found: dict[Place, object] = {}
        for component in COMPONENTS:
            told = self._told[component].get(setting) or {}
            if not isinstance(told, dict) or len(told) > PATTERNS:
                raise InvalidRequest(f"{self._lora} has metadata ({setting}) that is not a list of patterns.")
            spelled = Spellings(place for place in places if place.component == component)
            for pattern, value in told.items():
                for place in self._matched(setting, pattern, spelled):
                    found.setdefault(place, value)
        return found

    def _matched(self, setting: str, pattern: str, spelled: "Spellings") -> Iterator[Place]:
        if len(pattern) > LONGEST_PATTERN:
            raise InvalidRequest(f"{self._lora} has metadata ({setting}) with a pattern that is too long.")
        if FIXED.fullmatch(pattern):
            yield from spelled.alike(pattern)
            return
        try:
            re.compile(rf"(.*\.)?({pattern})$")  # what PEFT would refuse
            compiled = regex.compile(rf"(.*\.)?({pattern})$")
            yield from spelled.matched(compiled, self._until)
        except (re.error, regex.error, RecursionError, OverflowError):
            raise InvalidRequest(
                f"{self._lora} has metadata ({setting}) that is not a list of patterns."
            ) from None
        except TimeoutError:
            raise InvalidRequest(
                f"{self._lora} has metadata ({setting}) with a pattern that takes too long."
            ) from None


class Spellings:
    """The paths of places; those in text encoders both with and without `text_model.`."""

    def __init__(self, places: Iterator[Place]) -> None:
        self._paths = [(path, place) for place in places for path in spelled(place)]
        self._ends: dict[int, list[tuple[str, Place]]] = defaultdict(list)
        for path, place in self._paths:
            for end in (path[at:] for at in ends(path)):
                self._ends[len(end)].append((end, place))

    def alike(self, pattern: str) -> Iterator[Place]:
        """Those that this matches, which has a fixed length: names, and dots, which stand for any letter."""
        whole = pattern.startswith("^")
        letters = re.findall(r"\\?.", pattern.removeprefix("^"))
        for end, place in self._ends[len(letters)]:
            if all(
                one in (".", f"\\{letter}", letter) for one, letter in zip(letters, end, strict=True)
            ) and (not whole or (end, place) in self._paths):
                yield place

    def matched(self, pattern: Any, until: float) -> Iterator[Place]:
        """Those that this regular expression matches. Raises TimeoutError at this time of the thread."""
        for path, place in self._paths:
            if time.thread_time() > until:
                raise TimeoutError
            if pattern.match(path, timeout=PATIENCE):
                yield place


def spelled(place: Place) -> tuple[str, ...]:
    """The paths that a trainer may have had for it."""
    if place.component == "unet":
        return (place.path,)
    short = place.path.removeprefix("text_model.")
    return short, f"text_model.{short}"


def ends(path: str) -> Iterator[int]:
    """Where a pattern may begin: at the path's begin, and behind each dot."""
    yield 0
    yield from (at + 1 for at, letter in enumerate(path) if letter == ".")
