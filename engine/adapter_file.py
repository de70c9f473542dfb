"""An adapter's file: read only when it is a LoRA that this model can apply exactly.

Nothing is dropped: a file that asks for more than low-rank changes of modules that the model has is refused
with one sentence that names the LoRA.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from engine.adapter_scale import Scales
from engine.base_models import refuse_other_models
from engine.key_names import KeyNames, Part, Place
from engine.messages import AdapterUse, InvalidRequest
from engine.safe_file import Entry, finite_tensors, read_header, shown, stored_content

RANK = 128
FLOATS = frozenset({"F16", "BF16", "F32", "F64"})
WHOLE_NUMBERS = frozenset({"I32", "I64"})  # some trainers write alpha as one
FOREIGN: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\.hada_"), "is a LoHa"),
    (re.compile(r"\.lokr_"), "is a LoKr"),
    (re.compile(r"\.oft_|\.boft_|\.oft_blocks"), "is an OFT adapter"),
    (re.compile(r"\.(diff|diff_b|w_norm|b_norm|a1\.weight|b1\.weight|on_input)$"), "is a LyCORIS mix"),
    (re.compile(r"lora_mid"), "is a LoCon with Tucker decomposition"),
    (re.compile(r"dora_scale|lora_magnitude_vector|\.magnitude"), "is a DoRA"),
)


@dataclass(frozen=True, kw_only=True)
class LowRank:
    """One module's change, alpha / rank * up @ down.

    down: (rank, in) or (rank, in, height, width); up: (out, rank) or (out, rank, 1, 1), as stored.
    """

    down: Tensor
    up: Tensor
    alpha: float

    @property
    def rank(self) -> int:
        return self.down.shape[0]


def read_adapter(folder: Path, use: AdapterUse, names: KeyNames) -> dict[Place, LowRank]:
    """The changes in the adapter's file, by place. Raises InvalidRequest with one sentence."""
    lora = f"LoRA {use.name}"
    content = stored_content(folder, use)
    header = read_header(content, lora)
    refuse_foreign(header.entries, lora)
    refuse_other_models(header, names, lora)
    keys = understood(header.entries, names, lora)
    refuse_unfit(keys, header.entries, names, lora)
    tensors = finite_tensors(content, lora)
    scales = Scales(
        header.metadata,
        {place: tensors[parts["alpha"]] for place, parts in keys.items() if "alpha" in parts},
        lora,
    )
    return {
        place: LowRank(
            down=tensors[parts["down"]],
            up=tensors[parts["up"]],
            alpha=scales.alpha(place, rank=header.entries[parts["down"]].shape[0]),
        )
        for place, parts in keys.items()
    }


def refuse_foreign(keys: Iterable[str], lora: str) -> None:
    """Raise InvalidRequest for what is more than, or other than, low-rank factors."""
    for key in keys:
        if key.startswith("bundle_emb"):
            raise InvalidRequest(
                f"{lora} brings embeddings of new words (bundle_emb), which are not supported yet."
            )
        for pattern, what in FOREIGN:
            if pattern.search(key):
                raise InvalidRequest(f"{lora} {what}, which is not supported: only plain LoRA and LoCon are.")


def understood(entries: Mapping[str, Entry], names: KeyNames, lora: str) -> dict[Place, dict[Part, str]]:
    """The keys by place and part. Raises InvalidRequest for what is unknown, doubtful, double or alone."""
    keys: dict[Place, dict[Part, str]] = {}
    for key, entry in entries.items():
        dtypes = FLOATS | WHOLE_NUMBERS if key.endswith(".alpha") else FLOATS
        if entry.dtype not in dtypes:
            raise InvalidRequest(
                f"{lora} has numbers of type {shown(entry.dtype)} in {shown(key)}, not floats."
            )
        place, part = placed(key, names, lora)
        if part in keys.setdefault(place, {}):
            raise InvalidRequest(f"{lora} gives the {part} of {place} twice.")
        keys[place][part] = key
    for place, parts in keys.items():
        for part in ("down", "up"):
            if part not in parts:
                raise InvalidRequest(f"{lora} is incomplete: the {part} weight of {place} is missing.")
    return keys


def placed(key: str, names: KeyNames, lora: str) -> tuple[Place, Part]:
    """The one place that the key belongs to."""
    meaning = names.read(key)
    if meaning is None:
        raise InvalidRequest(f"{lora} has the key {shown(key)}, which is not a LoRA's.")
    if not meaning.places:
        raise InvalidRequest(
            f"{lora} changes the module {shown(meaning.module)}, which the model here lacks."
        )
    if len(meaning.places) > 1:
        raise InvalidRequest(f"{lora} does not say which text encoder {shown(meaning.module)} belongs to.")
    return meaning.places[0], meaning.part


def refuse_unfit(
    keys: Mapping[Place, Mapping[Part, str]], entries: Mapping[str, Entry], names: KeyNames, lora: str
) -> None:
    """Raise InvalidRequest when a rank is too high or a shape is not the module's."""
    for place, parts in keys.items():
        down, up, module = entries[parts["down"]].shape, entries[parts["up"]].shape, names.shapes[place]
        rank = down[0] if down else 0
        if rank > RANK:
            raise InvalidRequest(f"{lora} has rank {rank} in {place}, but at most {RANK} is allowed.")
        ones = (1,) * (len(module) - 2)
        if rank < 1 or down != (rank, *module[1:]) or up != (module[0], rank, *ones):
            raise InvalidRequest(
                f"{lora} does not fit: {place} is {sides(module)}, but it has {sides(down)} and {sides(up)}."
            )


def sides(shape: Iterable[int]) -> str:
    """A shape as people write it: 640x2048."""
    return "x".join(map(str, shape))
