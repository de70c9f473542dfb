"""Several LoRAs made one: their ranks side by side, which is exact, or the nearest of a given rank."""

import io
import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from PIL import Image, ImageChops

from engine.lora.adapter_file import RANK, Adapter, LowRank, read_adapter
from engine.lora.key_names import Place
from engine.lora.kohya_format import kohya_form
from engine.messages import AdapterUse, InvalidRequest, LorasMerged, MergeLoras, Paint, Size
from engine.sdxl.new_tokens import TokenVectors
from engine.tasks.comparison_sheet import Cell, sheet
from engine.tasks.lora_import import painted_alone
from engine.tasks.task import Errand
from engine.training.sample_images import GUIDANCE, STEPS

AT_ONCE = 24  # modules merged in one step: a decomposition of SDXL's largest takes about 10 ms

Part = tuple[LowRank, float]
"""One LoRA's change of a module, and the weight that it has in the mix."""


@dataclass
class Tally:
    """Sums of squares over the modules merged so far: of what the mix changes, and of what is lost of it."""

    wanted: float = 0.0
    lost: float = 0.0
    changes: dict[Place, LowRank] = field(default_factory=dict)

    @property
    def error(self) -> float:
        """The part of the mix's change that is lost, 0 to 1."""
        return (self.lost / self.wanted) ** 0.5 if self.wanted else 0.0


class Merging(Errand[MergeLoras, LorasMerged]):
    """One merge on its way."""

    kind = "merging"

    def _lived(self) -> Generator[None, None, LorasMerged]:
        request = self._request
        parts = yield from self._read()
        tally = yield from merged_changes([(part, use.weight) for part, use in parts], request.rank)
        adapter = Adapter(changes=tally.changes, tokens=new_words(parts))
        content = kohya_form(adapter, self._adapters.names, told(request))
        sha256 = self._store.put_bytes(content)
        yield
        mix = yield from painted_alone(self._model, self._adapters, self._asked(request.parts))
        alone = (AdapterUse(name=request.name, sha256=sha256),)
        picture = yield from painted_alone(self._model, self._adapters, self._asked(alone))
        return LorasMerged(
            job=request.job,
            name=request.name,
            sha256=sha256,
            rank=max((change.rank for change in tally.changes.values()), default=0),
            modules=len(tally.changes),
            tokens=sum(word.count for word in adapter.tokens),
            size=len(content),
            error=tally.error,
            apart=apart(mix, picture),
            picture=picture,
            sheet=sheet(
                [Cell(picture=mix, label=mix_name(request)), Cell(picture=picture, label=request.name)],
                request.prompt,
            ),
        )

    def _read(self) -> Generator[None, None, list[tuple[Adapter, AdapterUse]]]:
        parts = []
        for use in self._request.parts:
            adapter = read_adapter(self._store.folder, use, self._adapters.names)
            if any(change.magnitude is not None for change in adapter.changes.values()):
                raise InvalidRequest(
                    f"the LoRA {use.name} is a DoRA: what it does is no sum, so it cannot be merged."
                )
            parts.append((adapter, use))
            yield
        new_words(parts)
        return parts

    def _asked(self, mix: tuple[AdapterUse, ...]) -> Paint:
        return Paint(
            job=self._request.job,
            prompt=self._request.prompt,
            seed=0,
            steps=STEPS,
            guidance_scale=GUIDANCE,
            size=Size(width=self._model.side, height=self._model.side),
            adapters=mix,
        )


def merged_changes(parts: Sequence[tuple[Adapter, float]], rank: int | None) -> Generator[None, None, Tally]:
    """The change of every module that any part changes, some modules a step.

    Raises InvalidRequest when the ranks add up to more than a file may have and none is given.
    """
    tally = Tally()
    places = list(dict.fromkeys(place for adapter, _ in parts for place in adapter.changes))
    for number, place in enumerate(places):
        here = [(adapter.changes[place], weight) for adapter, weight in parts if place in adapter.changes]
        exact = side_by_side(here)
        if rank is None and exact.rank > RANK:
            raise InvalidRequest(
                f"the ranks add up to {exact.rank} in {place}, but at most {RANK} are allowed: "
                "say a smaller one, such as --rank 64."
            )
        change = exact if rank is None or exact.rank <= rank else nearest(exact, rank)
        change = rounded(change, precision(here))
        tally.wanted += exact.energy()
        tally.lost += side_by_side([(exact, 1.0), (change, -1.0)]).energy()
        tally.changes[place] = change
        if number % AT_ONCE == AT_ONCE - 1:
            yield
    return tally


def side_by_side(parts: Sequence[Part]) -> LowRank:
    """The sum of these changes, exactly: their ranks one beside the other. Float64.

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


def nearest(change: LowRank, rank: int) -> LowRank:
    """The change of this rank that is nearest to it (Eckart and Young 1936), by a small decomposition.

    With up = Q R and down^T = P S, the singular values of up @ down are those of R S^T, which is no larger
    than the rank.
    """
    up, down = change.up.flatten(1), change.down.flatten(1)
    left, across = torch.linalg.qr(up * (change.alpha / change.rank))
    right, along = torch.linalg.qr(down.T)
    turned, values, back = torch.linalg.svd(across @ along.T, full_matrices=False)
    root = values[:rank].sqrt()
    return LowRank(
        down=(root[:, None] * back[:rank] @ right.T).reshape(-1, *change.down.shape[1:]),
        up=(left @ turned[:, :rank] * root).reshape(change.up.shape[0], -1, *change.up.shape[2:]),
        alpha=float(len(root)),
    )


def precision(parts: Sequence[Part]) -> torch.dtype:
    """The floats of the part that has the widest ones."""
    widest = torch.float16
    for change, _ in parts:
        widest = torch.promote_types(widest, torch.promote_types(change.down.dtype, change.up.dtype))
    return widest if widest is torch.float16 else torch.float32


def rounded(change: LowRank, precision: torch.dtype) -> LowRank:
    """The same as its file will have it."""
    return replace(change, down=change.down.to(precision), up=change.up.to(precision))


def new_words(parts: Sequence[tuple[Adapter, AdapterUse]]) -> tuple[TokenVectors, ...]:
    """The new words of the one part that brings some. Raises InvalidRequest when two do."""
    bringing = [(adapter.tokens, use.name) for adapter, use in parts if adapter.tokens]
    if len(bringing) > 1:
        names = " and ".join(sorted(name for _, name in bringing))
        raise InvalidRequest(f"the LoRAs {names} each bring new words of their own: merge one of them.")
    return bringing[0][0] if bringing else ()


def mix_name(request: MergeLoras) -> str:
    """The mix as people write it: "ink:0.7, maria:0.5"."""
    return ", ".join(f"{use.name}:{use.weight:g}" for use in request.parts)


def told(request: MergeLoras) -> dict[str, str]:
    """What the file tells of itself."""
    fields = {
        "ss_output_name": request.name,
        "modelspec.title": request.name,
        "modelspec.author": request.author,
        "modelspec.merged_from": mix_name(request),
        "atelier.merged": json.dumps([[use.name, use.sha256, use.weight] for use in request.parts]),
    }
    return {name: text for name, text in fields.items() if text}


def apart(one: bytes, other: bytes) -> int:
    """The largest difference of two pictures of one size, of 255."""
    pair = []
    for content in (one, other):
        with Image.open(io.BytesIO(content)) as image:
            pair.append(image.convert("RGB"))
    return int(np.asarray(ImageChops.difference(*pair)).max())
