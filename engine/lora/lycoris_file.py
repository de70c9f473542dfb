"""LyCORIS's tensors in a LoRA file: which kind a module's tensors are, whether they fit it, their change."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from torch import Tensor

from engine.lora.adapter_scale import Scales
from engine.lora.key_names import Place
from engine.lora.lycoris_change import UNSCALED, LycorisChange, lycoris_rank
from engine.messages import AdapterKind, InvalidRequest

TUCKER = frozenset({"up", "down", "mid"})  # parts of a LoCon with a Tucker core
REQUIRED: Mapping[AdapterKind, tuple[tuple[frozenset[str], ...], ...]] = {
    AdapterKind.LOHA: (
        (frozenset({"hada_w1_a", "hada_w1_b"}),),
        (frozenset({"hada_w2_a", "hada_w2_b"}),),
    ),
    AdapterKind.LOKR: (
        (frozenset({"lokr_w1"}), frozenset({"lokr_w1_a", "lokr_w1_b"})),
        (frozenset({"lokr_w2"}), frozenset({"lokr_w2_a", "lokr_w2_b"})),
    ),
    AdapterKind.IA3: ((frozenset({"weight", "on_input"}),),),
    AdapterKind.OFT: ((frozenset({"oft_blocks"}),),),
    AdapterKind.LOCON: ((TUCKER,),),
}
"""What each kind must have: of each row one of these sets."""
SCALED_FACTORS = (
    "hada_w1_a",
    "lokr_w1",
    "lokr_w1_a",
    "weight",
    "lora_up",
)  # what LyCORIS's scalar multiplies
OPTIONAL = frozenset({"hada_t1", "hada_t2", "lokr_t2", "rescale"})
BESIDE = frozenset({"alpha", "magnitude", "scalar"})  # numbers that any kind may have

Shapes = Mapping[str, tuple[int, ...]]
T = TypeVar("T")


class Unfit(Exception):
    """The tensors are of no kind, or do not fit the module. The text says why, as the end of a sentence."""


def lycoris_kind(parts: Mapping[str, object]) -> AdapterKind | None:
    """The kind that a module's parts are of, or None where they are those of a plain LoRA."""
    for kind, start in (
        (AdapterKind.LOHA, "hada_"),
        (AdapterKind.LOKR, "lokr_"),
        (AdapterKind.OFT, "oft_"),
        (AdapterKind.IA3, "on_input"),
        (AdapterKind.LOCON, "mid"),
    ):
        if any(part.startswith(start) for part in parts):
            return kind
    return AdapterKind.IA3 if "weight" in parts else None


def check_parts(parts: Mapping[str, object], place: Place, lora: str) -> None:
    """Raise InvalidRequest unless these parts are all that a module of their kind has."""
    kind = lycoris_kind(parts)
    if kind is None:
        raise ValueError("these parts are of a plain LoRA")
    rest = parts.keys() - BESIDE - OPTIONAL
    with refuse_unfit(kind, place, lora):
        for choices in REQUIRED[kind]:
            present = next((choice for choice in choices if choice <= rest), None)
            if present is None:
                raise Unfit(f"lacks {' or '.join(' and '.join(sorted(choice)) for choice in choices)}")
            rest -= present
        if rest:
            raise Unfit(f"has {min(rest)} beside what such a change has")
        if ("hada_t1" in parts) != ("hada_t2" in parts):
            raise Unfit("has one of hada_t1 and hada_t2 without the other")


def check_shapes(shapes: Shapes, module: tuple[int, ...], place: Place, lora: str) -> int:
    """The rank of tensors of these shapes for a weight of the module's shape (out, in, ...); of OFT 1.

    Raises InvalidRequest where they do not fit. What (IA)3's numbers are of is known only when they are read.
    """
    kind = lycoris_kind(shapes)
    if kind is None:
        raise ValueError("these parts are of a plain LoRA")
    with refuse_unfit(kind, place, lora):
        _check_fit(kind, shapes, module)
    return 1 if kind in UNSCALED else lycoris_rank(kind, by_lycoris_names(shapes))


def lycoris_change(
    parts: Mapping[str, Tensor], module: tuple[int, ...], scales: Scales, place: Place
) -> LycorisChange:
    """One module's change of these parts, which were checked, without magnitudes. Raises InvalidRequest."""
    kind = lycoris_kind(parts)
    if kind is None:
        raise ValueError("these parts are of a plain LoRA")
    tensors = by_lycoris_names({part: tensor for part, tensor in parts.items() if part not in BESIDE})
    if kind is AdapterKind.IA3:
        with refuse_unfit(kind, place, scales.lora):
            scaled = module[1] if bool(tensors["on_input"].any()) else module[0]
            _expect("weight", (tensors["weight"].numel(),), (scaled,))
    if kind in UNSCALED:
        alpha = scales.constraint(place, parts["alpha"]) if "alpha" in parts else 0.0
    else:
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        alpha = scales.alpha(place, rank=lycoris_rank(kind, shapes))
    if "scalar" in parts:
        scalar = scales.scalar(place, parts["scalar"])
        first = next((name for name in SCALED_FACTORS if name in tensors), None)
        tensors = {name: tensor * scalar if name == first else tensor for name, tensor in tensors.items()}
    return LycorisChange(kind=kind, tensors=tensors, alpha=alpha)


def by_lycoris_names(parts: Mapping[str, T]) -> dict[str, T]:
    """What is of these parts, by the names of LyCORIS's tensors."""
    return {f"lora_{part}" if part in TUCKER else part: value for part, value in parts.items()}


@contextmanager
def refuse_unfit(kind: AdapterKind, place: Place, lora: str) -> Iterator[None]:
    """A context that raises InvalidRequest where a module's tensors are Unfit."""
    try:
        yield
    except Unfit as unfit:
        reason = f"Its {kind.label} of {place} {unfit}"
        raise InvalidRequest(f"{lora} does not fit. {reason}.") from None


def _check_fit(kind: AdapterKind, shapes: Shapes, module: tuple[int, ...]) -> None:
    """Raise Unfit unless tensors of these shapes make a change of a weight of the module's shape."""
    out, width, kernel = module[0], math.prod(module[1:]), module[2:]
    match kind:
        case AdapterKind.LOHA:
            for number in ("1", "2"):
                factor = _factor_shape(shapes, f"hada_w{number}", f"hada_t{number}", kernel)
                _expect(f"hada_w{number}", factor, (out, width))
        case AdapterKind.LOKR:
            small = _factor_shape(shapes, "lokr_w1", "", ())
            large = _factor_shape(shapes, "lokr_w2", "lokr_t2", kernel)
            _expect("lokr", (small[0] * large[0], small[1] * large[1]), (out, width))
        case AdapterKind.OFT:
            blocks = shapes["oft_blocks"]
            if len(blocks) != 3 or blocks[1] != blocks[2] or blocks[0] * blocks[1] != out:
                raise Unfit(f"has blocks of {_text(blocks)} for {out} outputs")
            if "rescale" in shapes:
                _expect("rescale", (math.prod(shapes["rescale"]),), (out,))
        case AdapterKind.LOCON:
            rank = next(iter(shapes["down"]), 0)
            _expect("lora_mid", shapes["mid"], (rank, rank, *kernel))
            _expect("lora_down", _matrix(shapes["down"]), (rank, module[1]))
            _expect("lora_up", _matrix(shapes["up"]), (out, rank))


def _factor_shape(shapes: Shapes, name: str, core: str, kernel: tuple[int, ...]) -> tuple[int, int]:
    """The shape as a matrix of a factor: whole, or of two factors, around a Tucker core where it has one."""
    if name in shapes:
        shape = shapes[name]
        if len(shape) not in (2, 2 + len(kernel)):
            raise Unfit(f"has {name} of {_text(shape)}")
        return shape[0], math.prod(shape[1:])
    first, second = shapes[f"{name}_a"], shapes[f"{name}_b"]
    if len(first) != 2 or len(second) != 2:
        raise Unfit(f"has {name} of {_text(first)} and {_text(second)}")
    if core in shapes:
        _expect(core, shapes[core], (first[0], second[0], *kernel))
        return first[1], second[1] * math.prod(kernel)
    if first[1] != second[0]:
        raise Unfit(f"has {name} of {_text(first)} and {_text(second)}")
    return first[0], second[1]


def _expect(name: str, actual: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if actual != expected or not all(expected):
        raise Unfit(f"has {name} of {_text(actual)} and not {_text(expected)}")


def _matrix(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape without the trailing ones of a 1x1 convolution."""
    return shape[:2] if all(side == 1 for side in shape[2:]) else shape


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a single number"
