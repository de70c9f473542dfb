"""Places boxes in rows so that all arrows point down and few of them cross (Sugiyama, Tagawa, Toda 1981)."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from graphlib import TopologicalSorter
from itertools import pairwise
from statistics import fmean

Arrows = Mapping[str, Set[str]]
Row = list[str]
Links = dict[str, list[str]]  # from each box or bend to those in the next row

BEND = 18.0  # width that an arrow takes where it passes a row
GAP = 12.0  # between two boxes of a row
STIFF = (
    1.0,
    2.0,
    8.0,
)  # how straight an arrow is between boxes, a box and a bend, bends (Gansner et al. 1993)
TRIES = 24  # orders to begin with
ROUNDS = 200  # of moving boxes to below and above what they are linked with


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Rows of boxes and bends, where each has its middle, and the arrows through the bends."""

    width: float
    rows: tuple[tuple[str, ...], ...]
    middle: Mapping[str, float]
    paths: tuple[tuple[str, ...], ...]  # a box, the bends on the way, a box


def place(widths: Mapping[str, float], arrows: Arrows, width: float) -> Layout:
    """Boxes of these widths, within `width` if they fit. Raises CycleError where the arrows go in circles."""
    ranks = rank(arrows)
    paths = [
        [source, *(f"{source} > {target} {row}" for row in range(ranks[source] + 1, ranks[target])), target]
        for source in sorted(arrows)
        for target in sorted(arrows[source])
    ]
    rows: list[Row] = [[] for _ in range(max(ranks.values()) + 1)]
    for name in sorted(ranks):
        rows[ranks[name]].append(name)
    links: Links = {}
    for path in paths:
        for row, bend in enumerate(path[1:-1], start=ranks[path[0]] + 1):
            rows[row].append(bend)
        for upper, lower in pairwise(path):
            links.setdefault(upper, []).append(lower)
    rows = order(rows, links)
    needed = (sum(widths.get(name, BEND) + GAP for name in row) - GAP for row in rows)
    width = max(width, *needed)
    middle = straighten(rows, links, widths, width)
    return Layout(width=width, rows=tuple(map(tuple, rows)), middle=middle, paths=tuple(map(tuple, paths)))


def rank(arrows: Arrows) -> dict[str, int]:
    """The row of each box: below all that point to it, and near to what it is linked with."""
    upward = list(TopologicalSorter(arrows).static_order())
    ranks = dict.fromkeys(upward, 0)
    pointed_to = Counter(target for targets in arrows.values() for target in targets)
    for source in reversed(upward):
        for target in arrows[source]:
            ranks[target] = max(ranks[target], ranks[source] + 1)
    for source in upward:
        if len(arrows[source]) > pointed_to[source]:  # lower down its arrows are shorter
            ranks[source] = min(ranks[target] for target in arrows[source]) - 1
    return ranks


def transitive_reduction(arrows: Arrows) -> dict[str, set[str]]:
    """The arrows without those that a longer way stands for. Raises CycleError."""
    below: dict[str, set[str]] = {}
    for name in TopologicalSorter(arrows).static_order():
        below[name] = set(arrows[name]).union(*(below[other] for other in arrows[name]))
    return {
        name: {other for other in others if not any(other in below[third] for third in others)}
        for name, others in arrows.items()
    }


def order(rows: Sequence[Row], links: Links) -> list[Row]:
    """The rows, each in the order in which the fewest arrows are found to cross."""
    chance = random.Random(0)
    best, fewest = [list(row) for row in rows], crossings(rows, links)
    for _ in range(TRIES):
        tried = [chance.sample(row, len(row)) for row in rows]
        for _ in range(8):
            sort_by_neighbours(tried, links)
        swap_neighbours(tried, links)
        if (count := crossings(tried, links)) < fewest:
            best, fewest = tried, count
    return best


def crossings(rows: Sequence[Row], links: Links) -> int:
    """How many arrows cross."""
    count = 0
    for upper, lower in pairwise(rows):
        at = {name: place for place, name in enumerate(lower)}
        ends = [at[target] for name in upper for target in sorted(links.get(name, ()), key=at.__getitem__)]
        count += sum(left > right for place, left in enumerate(ends) for right in ends[place + 1 :])
    return count


def sort_by_neighbours(rows: list[Row], links: Links) -> None:
    """Sort each row by where its neighbours stand: first those above it, then those below."""
    back: Links = {}
    for source, targets in links.items():
        for target in targets:
            back.setdefault(target, []).append(source)
    downward = [(upper, lower, back) for upper, lower in pairwise(rows)]
    upward = [(lower, upper, links) for upper, lower in pairwise(rows)][::-1]
    for sorted_already, row, neighbours in downward + upward:
        at = {name: place for place, name in enumerate(sorted_already)}
        now = {name: place for place, name in enumerate(row)}
        means = {name: fmean(at[other] for other in neighbours[name]) for name in row if neighbours.get(name)}
        row.sort(key=lambda name: means.get(name, now[name]))


def swap_neighbours(rows: list[Row], links: Links) -> None:
    """Swap two that stand side by side as long as that makes fewer arrows cross."""
    fewest, better = crossings(rows, links), True
    while better:
        better = False
        for row in rows:
            for place in range(len(row) - 1):
                row[place : place + 2] = row[place + 1], row[place]
                if (count := crossings(rows, links)) < fewest:
                    fewest, better = count, True
                else:
                    row[place : place + 2] = row[place + 1], row[place]


def straighten(
    rows: Sequence[Row], links: Links, widths: Mapping[str, float], width: float
) -> dict[str, float]:
    """The middle of each box and bend, near those of its neighbours above and below."""
    near: dict[str, list[tuple[str, float]]] = {name: [] for row in rows for name in row}
    for source, targets in links.items():
        for target in targets:
            weight = STIFF[(source not in widths) + (target not in widths)]
            near[source].append((target, weight))
            near[target].append((source, weight))
    for name in near:
        near[name] = near[name] or [(name, 1.0)]  # nothing draws it anywhere
    middle = {name: width * (place + 0.5) / len(row) for row in rows for place, name in enumerate(row)}
    for turn in range(ROUNDS):
        for row in rows if turn % 2 == 0 else rows[::-1]:
            wanted = [_mean([(middle[other], weight) for other, weight in near[name]]) for name in row]
            weights = [sum(weight for _, weight in near[name]) for name in row]
            sizes = [widths.get(name, BEND) for name in row]
            places = spread(list(zip(wanted, weights, strict=True)), sizes, width)
            middle.update(zip(row, places, strict=True))
    return middle


def spread(wanted: Sequence[tuple[float, float]], sizes: Sequence[float], width: float) -> list[float]:
    """The middles nearest to the wanted ones, by weighted least squares, with gaps and within the width."""
    offsets = [0.0]
    for left, right in pairwise(sizes):
        offsets.append(offsets[-1] + (left + right) / 2 + GAP)
    first, last = sizes[0] / 2, width - sizes[-1] / 2 - offsets[-1]
    pools: list[list[tuple[float, float]]] = []  # those that touch move together
    for (middle, weight), offset in zip(wanted, offsets, strict=True):
        pools.append([(middle - offset, weight)])
        while len(pools) > 1 and _mean(pools[-2]) > _mean(pools[-1]):
            pools[-2:] = [pools[-2] + pools[-1]]
    starts = [min(max(_mean(pool), first), last) for pool in pools for _ in pool]
    return [start + offset for start, offset in zip(starts, offsets, strict=True)]


def _mean(weighted: Sequence[tuple[float, float]]) -> float:
    return sum(value * weight for value, weight in weighted) / sum(weight for _, weight in weighted)
