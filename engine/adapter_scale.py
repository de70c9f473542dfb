"""An adapter's scale: the alpha of each of its modules, from alpha keys or from the metadata of diffusers.

PEFT reads the patterns of that metadata as regular expressions. Here they are names: a file from outside
brings no expression to run, and those that PEFT and diffusers write are names.
"""

import json
import math
import re
from collections.abc import Collection, Iterator, Mapping

from torch import Tensor

from engine.key_names import COMPONENTS, Component, Place
from engine.messages import InvalidRequest

ALPHA = 2**20  # far above any real one, far below what overflows
NAME = re.compile(r"\^?[\w.\\]+")
CHANGES_MORE = (
    "use_qalora",
    "use_bdlora",
    "arrow_config",
    "alora_invocation_tokens",
    "velora_config",
    "monteclora_config",
    "kasa_config",
    "lora_bias",
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

    decomposed: the modules that have magnitudes (DoRA). lora: how to call it in a refusal. Raises
    InvalidRequest when the file asks for more than a scale.
    """

    def __init__(
        self,
        metadata: Mapping[str, str],
        alphas: Mapping[Place, Tensor],
        decomposed: Collection[Place],
        lora: str,
    ) -> None:
        self._lora = lora
        self._decomposed = decomposed
        self._alphas = {place: self._number(place, alpha) for place, alpha in alphas.items()}
        fields = self._parsed(metadata.get("lora_adapter_metadata", ""))
        self._told = {component: self._settings(fields, component) for component in COMPONENTS}
        self._ranks = {component: self._patterns(component, "rank_pattern") for component in COMPONENTS}
        self._scales = {component: self._patterns(component, "alpha_pattern") for component in COMPONENTS}

    def alpha(self, place: Place, rank: int) -> float:
        """The module's alpha. Raises InvalidRequest when the file contradicts itself."""
        told = self._told[place.component]
        if not told:
            return self._alphas.get(place, float(rank))
        if told.get("use_dora") and place not in self._decomposed:
            raise InvalidRequest(f"{self._lora} is a DoRA, but the magnitudes of {place} are missing.")
        if place in self._alphas:
            raise InvalidRequest(f"{self._lora} gives its alpha twice, in keys and in its metadata.")
        if self._ranks[place.component].get(place.path, told.get("r", rank)) != rank:
            raise InvalidRequest(f"{self._lora} has rank {rank} in {place}, but its metadata says otherwise.")
        alpha = self._scales[place.component].get(place.path, told.get("lora_alpha", rank))
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

    def _patterns(self, component: Component, setting: str) -> "Patterns":
        patterns = self._told[component].get(setting) or {}
        if not isinstance(patterns, dict) or not all(NAME.fullmatch(pattern) for pattern in patterns):
            raise InvalidRequest(f"{self._lora} has metadata ({setting}) that is not a list of names.")
        return Patterns(patterns)


class Patterns:
    """Values by name: a whole path after ^, the last parts of a path otherwise; the first match counts."""

    def __init__(self, patterns: Mapping[str, object]) -> None:
        self._values = list(patterns.values())
        self._order: dict[str, int] = {}
        for index, pattern in enumerate(patterns):
            self._order.setdefault(pattern.replace("\\", ""), index)

    def get(self, path: str, otherwise: object) -> object:
        """The value for the module at this path."""
        found = [self._order[name] for name in candidates(path) if name in self._order]
        return self._values[min(found)] if found else otherwise


def candidates(path: str) -> Iterator[str]:
    """Every name that means this path; text encoders have it with and without `text_model.`."""
    short = path.removeprefix("text_model.")
    for whole in (short, f"text_model.{short}"):
        parts = whole.split(".")
        yield f"^{whole}"
        yield from (".".join(parts[first:]) for first in range(len(parts)))
