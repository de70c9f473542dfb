"""Reading of a LoRA file, which is refused unless this model can apply it exactly.

Nothing that matters is dropped: a file with anything but changes of modules that the model has, low-rank or
of LyCORIS's kinds, magnitudes of their outputs or inputs (DoRA) and vectors for new words is refused with a
sentence that names the LoRA.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from engine.lora.adapter_scale import Scales
from engine.lora.base_models import refuse_other_models
from engine.lora.key_names import KeyNames, Part, Place
from engine.lora.lycoris_change import UNSCALED, LycorisChange, float64_device
from engine.lora.lycoris_file import check_parts, check_shapes, lycoris_change, lycoris_kind
from engine.lora.safetensors_file import (
    EIGHT_BITS,
    Entry,
    Header,
    printable,
    read_finite_tensors,
    read_header,
    read_stored_file,
)
from engine.messages import AdapterKind, AdapterUse, InvalidRequest
from engine.sdxl.new_tokens import TokenVectors

RANK = 128
FLOATS = frozenset({"F16", "BF16", "F32", "F64"}) | EIGHT_BITS
WHOLE_NUMBERS = frozenset({"I32", "I64"})  # some trainers write alpha as one
FOREIGN: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\.oft_(?!blocks)|\.boft_"), "is an OFT adapter of another kind"),
    (re.compile(r"\.(diff|diff_b|w_norm|b_norm|a1\.weight|b1\.weight)$"), "is a LyCORIS mix"),
)
SUPPORTED = "LoRA, DoRA, LoCon, LoHa, LoKr, (IA)3 and OFT are"
# Single numbers that some trainers save, such as the step, are ignored, but never these.
MATTERS = re.compile(r"alpha|scale|rank|weight|strength|multiplier|lora_|\.(down|up)\b", re.IGNORECASE)
SCALED = re.compile(r"scaled_fp8|(scale_weight|weight_scale|scale_input|input_scale)$")
WORD = re.compile(r"bundle_emb\.(\S+)\.(clip_l|clip_g)")
WORDS = 8  # new words in one file
VECTORS = 75  # of one word: more would not fit into one window


@dataclass(frozen=True, kw_only=True)
class LowRank:
    """One module's change: W becomes W + delta, or magnitude * (W + delta) / norm(W + delta) in a DoRA.

    down: (rank, in) or (rank, in, height, width); up: (out, rank) or (out, rank, 1, 1), in the float type of
    the file. magnitude: (out,), where the norm is of each output's weights; with `by_input` (in,), where the
    norm is of the weights of each input.
    """

    down: Tensor
    up: Tensor
    alpha: float
    magnitude: Tensor | None = None
    by_input: bool = False

    @property
    def rank(self) -> int:
        return self.down.shape[0]

    @property
    def count(self) -> int:
        """How many numbers it has."""
        magnitudes = 0 if self.magnitude is None else self.magnitude.numel()
        return self.down.numel() + self.up.numel() + magnitudes

    def delta(self, weight: Tensor | None = None) -> Tensor:
        """alpha / rank * up @ down of any weight, float64 (out, in * height * width).

        It is computed on the weight's device, where that has float64, or where the factors are.
        """
        device = self.down.device if weight is None else float64_device(weight)
        down, up = (factor.to(device, torch.float64).flatten(1) for factor in (self.down, self.up))
        return self.alpha / self.rank * up @ down

    def squared_norm(self) -> float:
        """The squared Frobenius norm of alpha / rank * up @ down, without computing that matrix."""
        down, up = (factor.to(torch.float64).flatten(1) for factor in (self.down, self.up))
        return float((self.alpha / self.rank) ** 2 * ((up.T @ up) * (down @ down.T)).sum().clamp(min=0))


Change = LowRank | LycorisChange


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """The content of a LoRA file: the changes of modules, and the new words with their vectors.

    `assumed`: the file has no alphas, which are then equal to the ranks, as in trainers.
    """

    changes: Mapping[Place, Change]
    tokens: tuple[TokenVectors, ...] = ()
    assumed: bool = False

    @property
    def kind(self) -> AdapterKind:
        """Its kind: that of its first module where these differ."""
        for change in self.changes.values():
            if isinstance(change, LycorisChange):
                return change.kind
            if change.magnitude is not None:
                return AdapterKind.DORA
        has_kernels = any(
            change.down.ndim > 2 for change in self.changes.values() if isinstance(change, LowRank)
        )
        return AdapterKind.LOCON if has_kernels else AdapterKind.LORA


def read_adapter(folder: Path, use: AdapterUse, names: KeyNames) -> Adapter:
    """Read the adapter in this file of the store. Raises InvalidRequest."""
    return parse_adapter(read_stored_file(folder, use), names, f"The LoRA {use.name}")


def parse_adapter(content: bytes, names: KeyNames, lora: str) -> Adapter:
    """Read the adapter in these bytes. lora: opens the sentences of refusals. Raises InvalidRequest."""
    return decode_adapter(content, read_header(content, lora), names, lora)


def decode_adapter(content: bytes, header: Header, names: KeyNames, lora: str) -> Adapter:
    """Read the adapter in these bytes, whose header is parsed already. Raises InvalidRequest."""
    refuse_foreign(header.entries, lora)
    refuse_other_models(header, names, lora)
    words = {key: entry for key, entry in header.entries.items() if key.startswith("bundle_emb")}
    modules = {
        key: entry
        for key, entry in header.entries.items()
        if key not in words and not is_stray(key, entry, names)
    }
    if not modules and not words:
        raise InvalidRequest(f"{lora} is empty. Nothing in it changes a module.")
    keys = group_keys(modules, names, lora)
    refuse_unfit(keys, modules, names, lora)
    refuse_unfit_words(words, names, lora)
    tensors = read_finite_tensors(content, header, (*modules, *words), lora)
    alphas = {
        place: tensors[parts["alpha"]]
        for place, parts in keys.items()
        if "alpha" in parts and lycoris_kind(parts) not in UNSCALED
    }
    decomposed = {place for place, parts in keys.items() if "magnitude" in parts}
    scales = Scales(header.metadata, alphas, decomposed, keys, lora)
    changes = {
        place: module_change(parts, tensors, names.shapes[place], scales, place)
        for place, parts in keys.items()
    }
    scaled = any(lycoris_kind(parts) not in UNSCALED for parts in keys.values())
    assumed = scaled and not alphas and not scales.has_settings
    return Adapter(changes=changes, tokens=read_new_words(words, tensors), assumed=assumed)


def module_change(
    parts: Mapping[Part, str],
    tensors: Mapping[str, Tensor],
    module: tuple[int, ...],
    scales: Scales,
    place: Place,
) -> Change:
    """One module's change in the shapes of its layer. module: the shape of its weight.

    Raises InvalidRequest.
    """
    magnitude = tensors[parts["magnitude"]] if "magnitude" in parts else None
    by_input = magnitude is not None and is_by_input(parts["magnitude"], tuple(magnitude.shape), module)
    magnitude = None if magnitude is None else magnitude.flatten()
    if lycoris_kind(parts) is not None:
        own = {part: tensors[key] for part, key in parts.items()}
        change = lycoris_change(own, module, scales, place)
        return replace(change, magnitude=magnitude, by_input=by_input)
    down, up, ones = tensors[parts["down"]], tensors[parts["up"]], (1,) * (len(module) - 2)
    rank = down.shape[0]
    alpha = scales.alpha(place, rank=rank)
    if "scalar" in parts:
        scalar = scales.scalar(place, tensors[parts["scalar"]])
        alpha, up = alpha * abs(scalar), up if scalar > 0 else -up
    return LowRank(
        down=down.reshape(rank, *module[1:]),
        up=up.reshape(module[0], rank, *ones),
        alpha=alpha,
        magnitude=magnitude,
        by_input=by_input,
    )


def is_stray(key: str, entry: Entry, names: KeyNames) -> bool:
    """Whether it is a single number, or none, that changes no module, such as a step."""
    return entry.count <= 1 and names.parse(key) is None and not MATTERS.search(key)


def refuse_foreign(keys: Iterable[str], lora: str) -> None:
    """Raise InvalidRequest for anything but low-rank factors."""
    for key in keys:
        if SCALED.search(key):
            raise InvalidRequest(
                f"{lora} has 8-bit numbers with scales, which are not supported. Convert it to 16 bits."
            )
        for pattern, kind in FOREIGN:
            if pattern.search(key):
                raise InvalidRequest(f"{lora} {kind}, which is not supported. {SUPPORTED}.")


def group_keys(entries: Mapping[str, Entry], names: KeyNames, lora: str) -> dict[Place, dict[Part, str]]:
    """The keys by place and part. Raises InvalidRequest for unknown, ambiguous, double or missing ones."""
    keys: dict[Place, dict[Part, str]] = {}
    for key, entry in entries.items():
        dtypes = FLOATS | WHOLE_NUMBERS if key.endswith((".alpha", ".on_input")) else FLOATS
        if entry.dtype not in dtypes:
            raise InvalidRequest(
                f"{lora} has numbers of type {printable(entry.dtype)} in {printable(key)}, not floats."
            )
        place, part = locate_key(key, names, lora)
        if part in keys.setdefault(place, {}):
            raise InvalidRequest(f"{lora} has the {part} of {place} twice.")
        keys[place][part] = key
    for place, parts in keys.items():
        if lycoris_kind(parts) is not None:
            check_parts(parts, place, lora)
            continue
        for part in ("down", "up"):
            if part not in parts:
                raise InvalidRequest(f"{lora} is incomplete. The {part} weight of {place} is missing.")
    return keys


def locate_key(key: str, names: KeyNames, lora: str) -> tuple[Place, Part]:
    """The place and part of this key. Raises InvalidRequest where it has none or several places."""
    meaning = names.parse(key)
    if meaning is None:
        raise InvalidRequest(f"{lora} has the key {printable(key)}, which is no key of a LoRA.")
    if not meaning.places:
        raise InvalidRequest(
            f"{lora} changes the module {printable(meaning.module)}, which this model lacks."
        )
    if len(meaning.places) > 1:
        raise InvalidRequest(
            f"{lora} does not say to which text encoder {printable(meaning.module)} belongs."
        )
    return meaning.places[0], meaning.part


def refuse_unfit(
    keys: Mapping[Place, Mapping[Part, str]], entries: Mapping[str, Entry], names: KeyNames, lora: str
) -> None:
    """Raise InvalidRequest where a rank is too high or a shape does not fit the module."""
    for place, parts in keys.items():
        module, shapes = names.shapes[place], {part: entries[key].shape for part, key in parts.items()}
        is_lycoris = lycoris_kind(parts) is not None
        rank = check_shapes(shapes, module, place, lora) if is_lycoris else next(iter(shapes["down"]), 0)
        if rank > RANK:
            raise InvalidRequest(f"{lora} has rank {rank} in {place}. At most {RANK} is allowed.")
        if not is_lycoris:
            refuse_unfit_factors(place, shapes["down"], shapes["up"], module, lora)
        if "magnitude" in parts:
            refuse_unfit_magnitude(place, parts["magnitude"], shapes["magnitude"], module, lora)


def refuse_unfit_factors(
    place: Place, down: tuple[int, ...], up: tuple[int, ...], module: tuple[int, ...], lora: str
) -> None:
    """Raise InvalidRequest unless these are the shapes of two factors of the module's weight."""
    rank = next(iter(down), 0)
    if rank < 1 or not is_same_matrix(down, (rank, *module[1:])) or not is_same_matrix(up, (module[0], rank)):
        raise InvalidRequest(
            f"{lora} does not fit. {place} is {shape_text(module)}, "
            f"but the file has {shape_text(down)} and {shape_text(up)}."
        )


def is_same_matrix(shape: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether both are shapes of the same matrix: some trainers save linear layers as convolutions."""
    return trim_shape(shape) == trim_shape(other)


def trim_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape without the trailing ones of a 1x1 convolution."""
    while len(shape) > 2 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def refuse_unfit_magnitude(
    place: Place, key: str, shape: tuple[int, ...], module: tuple[int, ...], lora: str
) -> None:
    """Raise InvalidRequest unless there is one magnitude for each output, or one for each input."""
    if not (is_by_output(key, shape, module) or is_by_input(key, shape, module)):
        raise InvalidRequest(
            f"{lora} is a DoRA of another kind. {place} has {module[1]} inputs and {module[0]} outputs, "
            f"but its magnitudes are {shape_text(shape)}."
        )


def is_by_output(key: str, shape: tuple[int, ...], module: tuple[int, ...]) -> bool:
    """Whether magnitudes are by output: (out, 1, ...) in LyCORIS, (out,) or (1, out, 1, 1) in PEFT."""
    ones = (1,) * (len(module) - 1)
    of_peft = "lora_magnitude_vector" in key and shape == (1, module[0], *ones[1:]) and len(module) > 2
    return of_peft or shape == (module[0],) or is_same_matrix(shape, (module[0], *ones))


def is_by_input(key: str, shape: tuple[int, ...], module: tuple[int, ...]) -> bool:
    """Whether magnitudes are by input: (1, in, ...) in LyCORIS, and in OneTrainer by default."""
    return (
        not is_by_output(key, shape, module)
        and "dora_scale" in key
        and is_same_matrix(shape, (1, *module[1:2]))
    )


def refuse_unfit_words(words: Mapping[str, Entry], names: KeyNames, lora: str) -> None:
    """Raise InvalidRequest unless each new word has fitting vectors for both text encoders."""
    shapes: dict[str, dict[str, tuple[int, ...]]] = {}
    for key, entry in words.items():
        match = WORD.fullmatch(key)
        if not match or not match[1].isprintable() or entry.dtype not in FLOATS:
            raise InvalidRequest(f"{lora} has the key {printable(key)}, which is no key of a new word.")
        shapes.setdefault(match[1], {})[match[2]] = entry.shape
    if len({word.lower() for word in shapes}) < len(shapes) or len(shapes) > WORDS:
        raise InvalidRequest(
            f"{lora} has {len(shapes)} new words. At most {WORDS} different ones are allowed."
        )
    for word, by_encoder in shapes.items():
        count = next(iter(by_encoder.values()))[0] if next(iter(by_encoder.values())) else 0
        expected = {
            "clip_l": (count, names.widths["text_encoder"]),
            "clip_g": (count, names.widths["text_encoder_2"]),
        }
        if by_encoder != expected or not 1 <= count <= VECTORS:
            actual = " and ".join(shape_text(by_encoder[key]) for key in expected if key in by_encoder)
            raise InvalidRequest(
                f"{lora} does not fit. The new word {printable(word)} needs vectors of "
                f"{expected['clip_l'][1]} and {expected['clip_g'][1]} numbers, but it has {actual}."
            )


def read_new_words(words: Iterable[str], tensors: Mapping[str, Tensor]) -> tuple[TokenVectors, ...]:
    """The new words of these keys with their vectors, in alphabetical order."""
    names = sorted({match[1] for key in words if (match := WORD.fullmatch(key))})
    return tuple(
        TokenVectors(
            word=word,
            first=tensors[f"bundle_emb.{word}.clip_l"].float(),
            second=tensors[f"bundle_emb.{word}.clip_g"].float(),
        )
        for word in names
    )


def shape_text(shape: Iterable[int]) -> str:
    """A shape as people write it, such as 640x2048."""
    return "x".join(map(str, shape))
