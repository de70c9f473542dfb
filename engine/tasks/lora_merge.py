"""Merge of several LoRAs into one: their ranks concatenated, which is exact, or the nearest of a rank.

What is no sum of two factors (a DoRA, or a kind of LyCORIS's) is merged as the change of the weights that it
makes, whose nearest of a rank is kept.
"""

import io
import json
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from PIL import Image, ImageChops
from torch import Tensor

from engine.lora.adapter_file import RANK, Adapter, Change, LowRank, read_adapter
from engine.lora.key_names import Place
from engine.lora.kohya_format import encode_kohya
from engine.messages import AdapterUse, InvalidRequest, LorasMerged, MergeLoras, Paint, Size
from engine.sdxl.new_tokens import TokenVectors
from engine.tasks.comparison_sheet import Cell, comparison_sheet
from engine.tasks.lora_import import paint_with_adapters
from engine.tasks.task import Task
from engine.training.sample_images import GUIDANCE, STEPS

WHOLE_SIDE = 512  # of matrices that are decomposed whole; larger ones by random projections
OVERSAMPLING, ITERATIONS = 32, 4  # of those (Halko et al. 2011, arXiv 0909.4061)
ROUNDED_AWAY = 1e-3  # part of a change that the numbers of a file lose
MODULES_A_STEP = 24  # a decomposition of SDXL's largest module takes about 10 ms

Part = tuple[LowRank, float]
"""One LoRA's change of a module, and its weight in the mix."""


@dataclass
class MergeTotals:
    """The changes merged so far, and sums of squares: of the mix's exact change, and of what is lost."""

    exact: float = 0.0
    lost: float = 0.0
    changes: dict[Place, LowRank] = field(default_factory=dict)

    @property
    def error(self) -> float:
        """The part of the mix's change that is lost, 0 to 1 (Frobenius norm)."""
        return (self.lost / self.exact) ** 0.5 if self.exact else 0.0


class LoraMerge(Task[MergeLoras, LorasMerged]):
    """The merge of several LoRAs."""

    kind = "merge"

    def _run(self) -> Generator[None, None, LorasMerged]:
        request = self._request
        parts = yield from self._read_parts()
        totals = yield from merge_changes(
            [(part, use.weight) for part, use in parts], request.rank, self._adapters.weight_change
        )
        adapter = Adapter(changes=totals.changes, tokens=merged_tokens(parts))
        content = encode_kohya(adapter, self._adapters.names, merge_metadata(request))
        sha256 = self._store.put_bytes(content)
        yield
        mix = yield from paint_with_adapters(self._model, self._adapters, self._paint_request(request.parts))
        result = (AdapterUse(name=request.name, sha256=sha256),)
        picture = yield from paint_with_adapters(self._model, self._adapters, self._paint_request(result))
        return LorasMerged(
            job=request.job,
            name=request.name,
            sha256=sha256,
            rank=max((change.rank for change in totals.changes.values()), default=0),
            modules=len(totals.changes),
            tokens=sum(word.count for word in adapter.tokens),
            size=len(content),
            error=totals.error,
            apart=largest_difference(mix, picture),
            picture=picture,
            sheet=comparison_sheet(
                [Cell(picture=mix, label=mix_name(request)), Cell(picture=picture, label=request.name)],
                request.prompt,
            ),
        )

    def _read_parts(self) -> Generator[None, None, list[tuple[Adapter, AdapterUse]]]:
        parts = []
        for use in self._request.parts:
            adapter = read_adapter(self._store.folder, use, self._adapters.names)
            parts.append((adapter, use))
            yield
        merged_tokens(parts)
        return parts

    def _paint_request(self, mix: tuple[AdapterUse, ...]) -> Paint:
        return Paint(
            job=self._request.job,
            prompt=self._request.prompt,
            seed=0,
            steps=STEPS,
            guidance_scale=GUIDANCE,
            size=Size(width=self._model.side, height=self._model.side),
            adapters=mix,
        )


def merge_changes(
    parts: Sequence[tuple[Adapter, float]], rank: int | None, weight_change: Callable[[Place, Change], Tensor]
) -> Generator[None, None, MergeTotals]:
    """Merge the changes of every module that any part changes, some modules a step.

    weight_change: returns all that a change adds to a module's weight. Raises InvalidRequest where no rank is
    given and the ranks add up to more than a file may have.
    """
    totals = MergeTotals()
    places = list(dict.fromkeys(place for adapter, _ in parts for place in adapter.changes))
    for number, place in enumerate(places):
        changes = [(adapter.changes[place], weight) for adapter, weight in parts if place in adapter.changes]
        factors = [
            (change, weight)
            for change, weight in changes
            if isinstance(change, LowRank) and change.magnitude is None
        ]
        if len(factors) < len(changes):
            whole = torch.stack([weight * weight_change(place, change) for change, weight in changes]).sum(0)
            totals.changes[place] = near = to_precision(nearest_to_weight(whole, rank), torch.float16)
            totals.exact += float(whole.square().sum())
            totals.lost += float((whole.flatten(1) - near.delta()).square().sum())
            yield
            continue
        exact = concatenate_ranks(factors)
        if rank is None and exact.rank > RANK:
            raise InvalidRequest(
                f"The ranks add up to {exact.rank} in {place}. At most {RANK} are allowed. "
                "Give a rank, such as --rank 64."
            )
        change = exact if rank is None or exact.rank <= rank else nearest_of_rank(exact, rank)
        change = to_precision(change, widest_float(factors))
        totals.exact += exact.squared_norm()
        totals.lost += concatenate_ranks([(exact, 1.0), (change, -1.0)]).squared_norm()
        totals.changes[place] = change
        if number % MODULES_A_STEP == MODULES_A_STEP - 1:
            yield
    return totals


def concatenate_ranks(parts: Sequence[Part]) -> LowRank:
    """The exact sum of these changes: their ranks concatenated, in float64.

    The weights go into the ups, relative to the largest, so that none leaves the range of small floats.
    """
    scales = [weight * change.alpha / change.rank for change, weight in parts]
    largest = max(abs(scale) for scale in scales) or 1.0
    down = torch.cat([change.down.double() for change, _ in parts])
    up = torch.cat(
        [change.up.double() * (scale / largest) for (change, _), scale in zip(parts, scales, strict=True)],
        dim=1,
    )
    return LowRank(down=down, up=up, alpha=largest * down.shape[0])


def nearest_of_rank(change: LowRank, rank: int) -> LowRank:
    """The nearest change of this rank (Eckart and Young 1936), by a small singular value decomposition.

    With up = Q R and down^T = P S, the singular values of up @ down are those of R S^T, whose sides are at
    most the rank.
    """
    up, down = change.up.flatten(1), change.down.flatten(1)
    q, r = torch.linalg.qr(up * (change.alpha / change.rank))
    p, s = torch.linalg.qr(down.T)
    left, values, right = torch.linalg.svd(r @ s.T, full_matrices=False)
    root = values[:rank].sqrt()
    return LowRank(
        down=(root[:, None] * right[:rank] @ p.T).reshape(-1, *change.down.shape[1:]),
        up=(q @ left[:, :rank] * root).reshape(change.up.shape[0], -1, *change.up.shape[2:]),
        alpha=float(len(root)),
    )


def nearest_to_weight(change: Tensor, rank: int | None) -> LowRank:
    """The nearest change of this rank to a whole change of a weight (out, in, ...), in float64.

    Without a rank it has the smallest that loses less than is rounded away, or else the largest that a file
    may have.
    """
    matrix = change.flatten(1)
    if min(matrix.shape) <= WHOLE_SIDE:
        left, values, right = torch.linalg.svd(matrix, full_matrices=False)
        right = right.T
    else:
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            left, values, right = torch.svd_lowrank(matrix, q=RANK + OVERSAMPLING, niter=ITERATIONS)
    if rank is None:
        rest = matrix.square().sum() - values.square().cumsum(0)
        enough = (rest <= (ROUNDED_AWAY * matrix.norm()) ** 2).nonzero()
        rank = int(enough[0]) + 1 if len(enough) else RANK
    rank = min(rank, RANK, len(values))
    root = values[:rank].sqrt()
    return LowRank(
        down=(right[:, :rank] * root).T.reshape(rank, *change.shape[1:]),
        up=(left[:, :rank] * root).reshape(-1, rank, *[1] * (change.ndim - 2)),
        alpha=float(rank),
    )


def widest_float(parts: Sequence[Part]) -> torch.dtype:
    """The widest float type of these parts, float16 or float32."""
    widest = torch.float16
    for change, _ in parts:
        widest = torch.promote_types(widest, torch.promote_types(change.down.dtype, change.up.dtype))
    return widest if widest is torch.float16 else torch.float32


def to_precision(change: LowRank, precision: torch.dtype) -> LowRank:
    """The change as its file has it, rounded to this precision."""
    return replace(change, down=change.down.to(precision), up=change.up.to(precision))


def merged_tokens(parts: Sequence[tuple[Adapter, AdapterUse]]) -> tuple[TokenVectors, ...]:
    """The new tokens of the one part that has any. Raises InvalidRequest where two have."""
    with_tokens = [(adapter.tokens, use.name) for adapter, use in parts if adapter.tokens]
    if len(with_tokens) > 1:
        names = " and ".join(sorted(name for _, name in with_tokens))
        raise InvalidRequest(f"The LoRAs {names} each have new words of their own. Merge only one of them.")
    return with_tokens[0][0] if with_tokens else ()


def mix_name(request: MergeLoras) -> str:
    """The mix as people write it, such as "ink:0.7, maria:0.5"."""
    return ", ".join(f"{use.name}:{use.weight:g}" for use in request.parts)


def merge_metadata(request: MergeLoras) -> dict[str, str]:
    """The metadata of the merged file."""
    fields = {
        "ss_output_name": request.name,
        "modelspec.title": request.name,
        "modelspec.author": request.author,
        "modelspec.merged_from": mix_name(request),
        "atelier.merged": json.dumps([[use.name, use.sha256, use.weight] for use in request.parts]),
    }
    return {name: text for name, text in fields.items() if text}


def largest_difference(first: bytes, second: bytes) -> int:
    """The largest difference of two pictures (file bytes) of one size, 0 to 255."""
    images = []
    for content in (first, second):
        with Image.open(io.BytesIO(content)) as image:
            images.append(image.convert("RGB"))
    return int(np.asarray(ImageChops.difference(*images)).max())
