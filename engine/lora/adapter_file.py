"""An adapter's file: read only when it is a LoRA that this model can apply exactly.

Nothing that counts is dropped: a file that asks for more than low-rank changes of modules that the model has,
magnitudes of their outputs or inputs (DoRA) and vectors for new words is refused with one sentence that names
the LoRA.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from engine.lora.adapter_scale import Scales
from engine.lora.base_models import refuse_other_models
from engine.lora.key_names import KeyNames, Part, Place
from engine.lora.safetensors_file import (
    EIGHT_BITS,
    Entry,
    Header,
    finite_tensors,
    read_header,
    shown,
    stored_content,
)
from engine.messages import AdapterUse, InvalidRequest
from engine.sdxl.new_tokens import TokenVectors

RANK = 128
FLOATS = frozenset({"F16", "BF16", "F32", "F64"}) | EIGHT_BITS
WHOLE_NUMBERS = frozenset({"I32", "I64"})  # some trainers write alpha as one
FOREIGN: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\.hada_"), "is a LoHa"),
    (re.compile(r"\.lokr_"), "is a LoKr"),
    (re.compile(r"\.oft_|\.boft_|\.oft_blocks"), "is an OFT adapter"),
    (re.compile(r"\.(diff|diff_b|w_norm|b_norm|a1\.weight|b1\.weight|on_input)$"), "is a LyCORIS mix"),
    (re.compile(r"lora_mid"), "is a LoCon with Tucker decomposition"),
)
# Numbers of no module that some trainers leave behind, such as the step; a scale of any kind is none of them.
COUNTS = re.compile(r"alpha|scale|rank|weight|strength|multiplier|lora_|\.(down|up)\b", re.IGNORECASE)
SCALED = re.compile(r"scaled_fp8|(scale_weight|weight_scale|scale_input|input_scale)$")
WORD = re.compile(r"bundle_emb\.(\S+)\.(clip_l|clip_g)")
WORDS = 8  # new words in one file
VECTORS = 75  # of one word: more than a window holds would never be read together


@dataclass(frozen=True, kw_only=True)
class LowRank:
    """One module's change: W becomes W + delta, or magnitude * (W + delta) / norm(W + delta) in a DoRA.

    down: (rank, in) or (rank, in, height, width); up: (out, rank) or (out, rank, 1, 1), in the floats of the
    file; magnitude: (out,), and the norm is that of each output's weights; or with `by_input` (in,), and the
    norm is that of the weights of each input.
    """

    down: Tensor
    up: Tensor
    alpha: float
    magnitude: Tensor | None = None
    by_input: bool = False

    @property
    def rank(self) -> int:
        return self.down.shape[0]

    def delta(self) -> Tensor:
        """alpha / rank * up @ down, float64 (out, in * height * width)."""
        down, up = (factor.to(torch.float64).flatten(1) for factor in (self.down, self.up))
        return self.alpha / self.rank * up @ down

    def energy(self) -> float:
        """The sum of squares of alpha / rank * up @ down, without making that matrix."""
        down, up = (factor.to(torch.float64).flatten(1) for factor in (self.down, self.up))
        return float((self.alpha / self.rank) ** 2 * ((up.T @ up) * (down @ down.T)).sum().clamp(min=0))


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """What a file says: the changes of modules, by place, and the new words with their vectors.

    `assumed`: it does not say its alphas, which are then taken to be the ranks, as trainers have it.
    """

    changes: Mapping[Place, LowRank]
    tokens: tuple[TokenVectors, ...] = ()
    assumed: bool = False


def read_adapter(folder: Path, use: AdapterUse, names: KeyNames) -> Adapter:
    """The adapter in the store's file. Raises InvalidRequest with one sentence."""
    return parsed_adapter(stored_content(folder, use), names, f"LoRA {use.name}")


def parsed_adapter(content: bytes, names: KeyNames, lora: str) -> Adapter:
    """The adapter in these bytes; lora: how to call it in a refusal. Raises InvalidRequest."""
    return adapter_in(content, read_header(content, lora), names, lora)


def adapter_in(content: bytes, header: Header, names: KeyNames, lora: str) -> Adapter:
    """The adapter in these bytes, whose header is known. Raises InvalidRequest."""
    refuse_foreign(header.entries, lora)
    refuse_other_models(header, names, lora)
    words = {key: entry for key, entry in header.entries.items() if key.startswith("bundle_emb")}
    modules = {
        key: entry
        for key, entry in header.entries.items()
        if key not in words and not is_stray(key, entry, names)
    }
    if not modules and not words:
        raise InvalidRequest(f"{lora} is empty: nothing in it changes a module.")
    keys = understood(modules, names, lora)
    refuse_unfit(keys, modules, names, lora)
    refuse_unfit_words(words, names, lora)
    tensors = finite_tensors(content, header, (*modules, *words), lora)
    alphas = {place: tensors[parts["alpha"]] for place, parts in keys.items() if "alpha" in parts}
    decomposed = {place for place, parts in keys.items() if "magnitude" in parts}
    scales = Scales(header.metadata, alphas, decomposed, keys, lora)
    changes = {
        place: change_of(parts, tensors, names.shapes[place], scales, place) for place, parts in keys.items()
    }
    assumed = bool(changes) and not alphas and not scales.told
    return Adapter(changes=changes, tokens=new_words(words, tensors), assumed=assumed)


def change_of(
    parts: Mapping[Part, str],
    tensors: Mapping[str, Tensor],
    module: tuple[int, ...],
    scales: Scales,
    place: Place,
) -> LowRank:
    """One module's change in the shapes that its layer has. module: the shape of its weight."""
    down, up, ones = tensors[parts["down"]], tensors[parts["up"]], (1,) * (len(module) - 2)
    rank = down.shape[0]
    alpha = scales.alpha(place, rank=rank)
    if "scalar" in parts:
        scalar = scales.scalar(place, tensors[parts["scalar"]])
        alpha, up = alpha * abs(scalar), up if scalar > 0 else -up
    magnitude = tensors[parts["magnitude"]] if "magnitude" in parts else None
    return LowRank(
        down=down.reshape(rank, *module[1:]),
        up=up.reshape(module[0], rank, *ones),
        alpha=alpha,
        magnitude=None if magnitude is None else magnitude.flatten(),
        by_input=magnitude is not None and is_by_input(parts["magnitude"], tuple(magnitude.shape), module),
    )


def is_stray(key: str, entry: Entry, names: KeyNames) -> bool:
    """Whether it is one number, or none, that changes no module: a step, or a mark of v-prediction."""
    return entry.count <= 1 and names.read(key) is None and not COUNTS.search(key)


def refuse_foreign(keys: Iterable[str], lora: str) -> None:
    """Raise InvalidRequest for what is more than, or other than, low-rank factors."""
    for key in keys:
        if SCALED.search(key):
            raise InvalidRequest(
                f"{lora} has numbers of 8 bits with scales of their own, which is not supported: "
                "convert it to 16 bits first."
            )
        for pattern, what in FOREIGN:
            if pattern.search(key):
                raise InvalidRequest(f"{lora} {what}, which is not supported: only LoRA, LoCon and DoRA are.")


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
        if rank < 1 or not same(down, (rank, *module[1:])) or not same(up, (module[0], rank)):
            raise InvalidRequest(
                f"{lora} does not fit: {place} is {sides(module)}, but it has {sides(down)} and {sides(up)}."
            )
        if "magnitude" in parts:
            refuse_unfit_magnitude(place, parts["magnitude"], entries[parts["magnitude"]].shape, module, lora)


def same(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether both are of the same matrix: some trainers write that of a linear layer as of a convolution."""
    return short(shape) == short(wanted)


def short(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape without the ones of a convolution over single pixels."""
    while len(shape) > 2 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def refuse_unfit_magnitude(
    place: Place, key: str, shape: tuple[int, ...], module: tuple[int, ...], lora: str
) -> None:
    """Raise InvalidRequest unless there is one magnitude for each output, or one for each input."""
    if not (is_by_output(key, shape, module) or is_by_input(key, shape, module)):
        raise InvalidRequest(
            f"{lora} is a DoRA of another kind: {place} has {module[1]} inputs and {module[0]} outputs, "
            f"but its magnitudes are {sides(shape)}."
        )


def is_by_output(key: str, shape: tuple[int, ...], module: tuple[int, ...]) -> bool:
    """LyCORIS writes (out, 1, ...); PEFT writes (out,), and (1, out, 1, 1) of a convolution."""
    ones = (1,) * (len(module) - 1)
    of_peft = "lora_magnitude_vector" in key and shape == (1, module[0], *ones[1:]) and len(module) > 2
    return of_peft or shape == (module[0],) or same(shape, (module[0], *ones))


def is_by_input(key: str, shape: tuple[int, ...], module: tuple[int, ...]) -> bool:
    """LyCORIS, and OneTrainer unless it is told otherwise, write (1, in, ...)."""
    return not is_by_output(key, shape, module) and "dora_scale" in key and same(shape, (1, *module[1:2]))


def refuse_unfit_words(words: Mapping[str, Entry], names: KeyNames, lora: str) -> None:
    """Raise InvalidRequest unless each new word has vectors for both text encoders, as many and as wide."""
    shapes: dict[str, dict[str, tuple[int, ...]]] = {}
    for key, entry in words.items():
        match = WORD.fullmatch(key)
        if not match or not match[1].isprintable() or entry.dtype not in FLOATS:
            raise InvalidRequest(f"{lora} has the key {shown(key)}, which is no new word's.")
        shapes.setdefault(match[1], {})[match[2]] = entry.shape
    if len({word.lower() for word in shapes}) < len(shapes) or len(shapes) > WORDS:
        raise InvalidRequest(
            f"{lora} brings {len(shapes)} new words, but at most {WORDS} different ones are allowed."
        )
    for word, sided in shapes.items():
        count = next(iter(sided.values()))[0] if next(iter(sided.values())) else 0
        wanted = {
            "clip_l": (count, names.widths["text_encoder"]),
            "clip_g": (count, names.widths["text_encoder_2"]),
        }
        if sided != wanted or not 1 <= count <= VECTORS:
            told = " and ".join(sides(sided[side]) for side in wanted if side in sided)
            raise InvalidRequest(
                f"{lora} does not fit: the new word {shown(word)} needs vectors of "
                f"{wanted['clip_l'][1]} and {wanted['clip_g'][1]} numbers, but it has {told}."
            )


def new_words(words: Iterable[str], tensors: Mapping[str, Tensor]) -> tuple[TokenVectors, ...]:
    """The new words among these keys, in the order of the alphabet."""
    found = sorted({match[1] for key in words if (match := WORD.fullmatch(key))})
    return tuple(
        TokenVectors(
            word=word,
            first=tensors[f"bundle_emb.{word}.clip_l"].float(),
            second=tensors[f"bundle_emb.{word}.clip_g"].float(),
        )
        for word in found
    )


def sides(shape: Iterable[int]) -> str:
    """A shape as people write it: 640x2048."""
    return "x".join(map(str, shape))
