"""The alpha of each module of a LoRA file, from its alpha keys or from the metadata of diffusers.

The patterns in that metadata are regular expressions, as in PEFT's get_pattern_key: the first one that
matches the end of a module's path counts.
"""

import json
import math
import re
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import regex  # type: ignore[import-untyped]  # unlike re it has a timeout
from torch import Tensor

from engine.lora.key_names import COMPONENTS, Component, Place
from engine.messages import InvalidRequest

ALPHA = 2**20  # far above any real one, far below what overflows
PATTERNS, LONGEST_PATTERN = 2000, 200  # patterns of one setting, and characters of one
PATIENCE = 0.5  # seconds of all matching: a file from outside must not keep the engine busy
FIXED = re.compile(r"\^?(?:\w|\.|\\\.)+")  # almost all patterns: as long as the text that they match
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
    """The alphas of modules, which scale their factors by alpha / rank. Without any, alpha is the rank.

    decomposed: the modules with magnitudes (DoRA). places: all modules that are changed. lora: opens the
    sentences of refusals. Raises InvalidRequest where the file needs more than a scale.
    """

    def __init__(
        self,
        metadata: Mapping[str, str],
        alphas: Mapping[Place, Tensor],
        decomposed: Collection[Place],
        places: Collection[Place],
        lora: str,
    ) -> None:
        self.lora = lora
        self._until = time.thread_time() + PATIENCE
        self._decomposed = decomposed
        self._alphas = {place: self._number(place, alpha) for place, alpha in alphas.items()}
        fields = self._parse(metadata.get("lora_adapter_metadata", ""))
        self._config = {component: self._component_settings(fields, component) for component in COMPONENTS}
        self._ranks = self._match_patterns("rank_pattern", places)
        self._scales = self._match_patterns("alpha_pattern", places)

    @property
    def has_settings(self) -> bool:
        """Whether the metadata says anything about scales."""
        return any(self._config.values())

    def scalar(self, place: Place, scalar: Tensor) -> float:
        """The number by which LyCORIS multiplies a module's change. Raises InvalidRequest."""
        if scalar.numel() != 1 or not 0 < abs(float(scalar)) <= ALPHA:
            raise InvalidRequest(f"{self.lora} has a scalar for {place} that is 0 or no number.")
        return float(scalar)

    def constraint(self, place: Place, constraint: Tensor) -> float:
        """The number that limits a module's rotations (OFT); 0 is no limit. Raises InvalidRequest."""
        if constraint.numel() != 1 or not 0 <= float(constraint) <= ALPHA:
            raise InvalidRequest(f"{self.lora} has a constraint for {place} that is no number.")
        return float(constraint)

    def alpha(self, place: Place, rank: int) -> float:
        """The module's alpha. Raises InvalidRequest where the file contradicts itself."""
        config = self._config[place.component]
        if not config:
            return self._alphas.get(place, float(rank))
        if config.get("use_dora") and place not in self._decomposed:
            raise InvalidRequest(f"{self.lora} is a DoRA, but the magnitudes of {place} are missing.")
        if place in self._alphas:
            raise InvalidRequest(f"{self.lora} has its alpha twice, in keys and in its metadata.")
        if self._ranks.get(place, config.get("r", rank)) != rank:
            raise InvalidRequest(f"{self.lora} has rank {rank} in {place}, but its metadata says otherwise.")
        alpha = self._scales.get(place, config.get("lora_alpha", rank))
        if not isinstance(alpha, int | float) or not 0 < alpha <= ALPHA:
            raise InvalidRequest(f"{self.lora} has an alpha in its metadata that is no number above 0.")
        return alpha * math.sqrt(rank) if config.get("use_rslora") else float(alpha)

    def _number(self, place: Place, alpha: Tensor) -> float:
        number = float(alpha) if alpha.numel() == 1 else 0.0
        # Trainers disagree about 0: it means the rank in kohya's, no effect in PEFT.
        if not 0 < number <= ALPHA:
            raise InvalidRequest(f"{self.lora} has an alpha for {place} that is no number above 0.")
        return number

    def _parse(self, text: str) -> dict[str, object]:
        try:
            fields = json.loads(text or "{}")
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict):
            raise InvalidRequest(f"{self.lora} has metadata (lora_adapter_metadata) that cannot be read.")
        return fields

    def _component_settings(self, fields: Mapping[str, object], component: Component) -> dict[str, object]:
        config = {
            key.removeprefix(f"{component}."): value
            for key, value in fields.items()
            # A UNet saved alone has keys and metadata without a prefix.
            if key.startswith(f"{component}.") or key in CONFIG
        }
        for setting in CHANGES_MORE:
            if config.get(setting):
                raise InvalidRequest(
                    f"{self.lora} uses {setting}, which is not supported. LoRA and DoRA are."
                )
        for start in CHANGES_THE_BASE:
            if str(config.get("init_lora_weights")).lower().startswith(start):
                raise InvalidRequest(
                    f"{self.lora} changes the base model too ({start}). Convert it to a plain LoRA first."
                )
        return config

    def _match_patterns(self, setting: str, places: Collection[Place]) -> dict[Place, object]:
        """The value of the first pattern that matches each place, where one does."""
        values: dict[Place, object] = {}
        for component in COMPONENTS:
            patterns = self._config[component].get(setting) or {}
            if not isinstance(patterns, dict) or len(patterns) > PATTERNS:
                raise InvalidRequest(f"{self.lora} has metadata ({setting}) that is not a list of patterns.")
            spellings = Spellings(place for place in places if place.component == component)
            for pattern, value in patterns.items():
                for place in self._match(setting, pattern, spellings):
                    values.setdefault(place, value)
        return values

    def _match(self, setting: str, pattern: str, spellings: "Spellings") -> Iterator[Place]:
        if len(pattern) > LONGEST_PATTERN:
            raise InvalidRequest(f"{self.lora} has metadata ({setting}) with a pattern that is too long.")
        if FIXED.fullmatch(pattern):
            yield from spellings.match_fixed(pattern)
            return
        try:
            re.compile(rf"(.*\.)?({pattern})$")  # raises where PEFT would
            compiled = regex.compile(rf"(.*\.)?({pattern})$")
            yield from spellings.match_regex(compiled, self._until)
        except (re.error, regex.error, RecursionError, OverflowError):
            raise InvalidRequest(
                f"{self.lora} has metadata ({setting}) that is not a list of patterns."
            ) from None
        except TimeoutError:
            raise InvalidRequest(
                f"{self.lora} has metadata ({setting}) with a pattern that takes too long."
            ) from None


class Spellings:
    """The paths of places, those in text encoders both with and without `text_model.`."""

    def __init__(self, places: Iterator[Place]) -> None:
        self._paths = [(path, place) for place in places for path in path_spellings(place)]
        self._ends: dict[int, list[tuple[str, Place]]] = defaultdict(list)
        for path, place in self._paths:
            for end in (path[at:] for at in suffix_starts(path)):
                self._ends[len(end)].append((end, place))

    def match_fixed(self, pattern: str) -> Iterator[Place]:
        """The places that a pattern of fixed length matches: names, and dots, which match any character."""
        whole = pattern.startswith("^")
        letters = re.findall(r"\\?.", pattern.removeprefix("^"))
        for end, place in self._ends[len(letters)]:
            if all(
                part in (".", f"\\{letter}", letter) for part, letter in zip(letters, end, strict=True)
            ) and (not whole or (end, place) in self._paths):
                yield place

    def match_regex(self, pattern: Any, until: float) -> Iterator[Place]:
        """The places that this pattern matches.

        Raises TimeoutError after `until`, in the thread's CPU time.
        """
        for path, place in self._paths:
            if time.thread_time() > until:
                raise TimeoutError
            if pattern.match(path, timeout=PATIENCE):
                yield place


def path_spellings(place: Place) -> tuple[str, ...]:
    """The paths that a trainer may have for this place."""
    if place.component == "unet":
        return (place.path,)
    short = place.path.removeprefix("text_model.")
    return short, f"text_model.{short}"


def suffix_starts(path: str) -> Iterator[int]:
    """The indices where a pattern may start to match: at the start of the path, and behind each dot."""
    yield 0
    yield from (at + 1 for at, letter in enumerate(path) if letter == ".")
