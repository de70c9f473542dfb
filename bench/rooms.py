"""`python -m bench.rooms` draws docs/rooms.svg: the rooms, their packages, and who imports whom."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from bench import import_graph
from bench.import_graph import Arrows
from bench.layered_layout import BEND, Layout, place, transitive_reduction
from bench.structure import ROOMS, ROOT

FILE = ROOT / "docs/rooms.svg"
MESSAGES = "engine.messages"
ABOUT = {
    "bot": "hears and answers",
    "commands": "say what people can ask for",
    "storage": "remembers",
    "engine": "paints and trains",
    "messages": "what the bot and the engine tell each other",
}
LEGEND = (
    "An arrow leads to what is imported; it is left out where a longer way says the same. Solid boxes are",
    "packages, dashed ones modules beside them. The engine is a process of its own, which the bot starts.",
)

MARGIN = 16
LEAST = 436  # width within the bot and within the engine, which stand side by side
LANE = 40  # beside the commands and the storage, for the arrow from the engine to the messages
HEAD = 40  # of a room, above its boxes
PAD = 14  # of a room, around its boxes
BETWEEN = 30  # two rooms
ROW_GAP = 25  # between two rows of boxes
BOX = 26  # height of a box with a name alone
LETTER, SMALL_LETTER = 7.2, 7.0  # widths at 13 and 12 pixels, in wide fonts
LINE = 16  # height of a line in small letters
NARROW = 40  # letters in a line of a box with few names
MANY = 15  # modules beside the packages of a room; more are put together

STYLE = """
svg { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  --paper: #fff; --ink: #1f2328; --soft: #59636e;
  --bot: #0969da; --commands: #1a7f37; --storage: #8250df; --engine: #bc4c00; }
@media (prefers-color-scheme: dark) { svg {
  --paper: #0d1117; --ink: #f0f6fc; --soft: #9198a1;
  --bot: #4493f8; --commands: #3fb950; --storage: #ab7df8; --engine: #f0883e; } }
.bot { --room: var(--bot); } .commands { --room: var(--commands); }
.storage { --room: var(--storage); } .engine { --room: var(--engine); }
.paper { fill: var(--paper); }
.room { fill: var(--room); fill-opacity: .07; stroke: var(--room); stroke-opacity: .35; }
.package, .module { fill: var(--paper); stroke: var(--room); stroke-width: 1.4; }
.module { fill-opacity: .6; stroke-width: 1; stroke-opacity: .55; stroke-dasharray: 3 2; }
text { fill: var(--ink); }
.name { text-anchor: middle; }
.small { fill: var(--soft); font-size: 12px; }
.title { font-size: 16px; font-weight: 600; fill: var(--room); }
.about { fill: var(--soft); font-size: 13px; font-weight: 400; }
path { fill: none; stroke: var(--room); stroke-width: 1.3; stroke-opacity: .8; }
.tip { fill: var(--room); stroke: none; }
.wide { stroke-width: 3; }
"""

Path = tuple[str, ...]  # of an arrow: a box, bends, a box


@dataclass(frozen=True, kw_only=True)
class Box:
    """A package, a module beside packages, or many such modules in one."""

    title: str
    names: tuple[str, ...] = ()  # of the modules, in lines
    package: bool = False

    @property
    def width(self) -> float:
        return max(LETTER * len(self.title), *(SMALL_LETTER * len(line) for line in self.names), 0) + 18

    @property
    def height(self) -> float:
        return BOX + LINE * len(self.names)


@dataclass(frozen=True, kw_only=True)
class Room:
    """A room's boxes by their names, and the arrows between them that no longer way stands for."""

    name: str
    boxes: dict[str, Box]
    arrows: dict[str, set[str]]
    least: float  # width within

    @cached_property
    def layout(self) -> Layout:
        return place({name: box.width for name, box in self.boxes.items()}, self.arrows, self.least)

    @property
    def width(self) -> float:
        return self.layout.width + 2 * PAD

    @cached_property
    def row_heights(self) -> list[float]:
        return [
            max((self.boxes[name].height for name in row if name in self.boxes), default=BOX)
            for row in self.layout.rows
        ]

    @property
    def height(self) -> float:
        """As little as it needs."""
        return HEAD + sum(self.row_heights) + ROW_GAP * (len(self.row_heights) - 1) + PAD


def drawing() -> str:
    """The SVG of this tree. Raises CycleError where packages import each other."""
    imports = import_graph.build(*ROOMS)
    arrows = import_graph.between_units(imports)
    packages = {name for name in arrows if any(module.startswith(f"{name}.") for module in imports)}

    def room(name: str, least: float) -> Room:
        return room_of(name, import_graph.within(arrows, name), packages, least)

    bot, engine = room("bot", LEAST), room("engine", LEAST)
    wide = bot.width + MARGIN + engine.width - LANE - 2 * PAD
    rooms = {
        "bot": bot,
        "engine": engine,
        "commands": room("commands", wide),
        "storage": room("storage", wide),
    }
    return "\n".join(svg(rooms)) + "\n"


def room_of(name: str, arrows: Arrows, packages: set[str], least: float) -> Room:
    """One room, without the messages, which stand below all rooms, and without packages of packages."""
    parents = {unit.rpartition(".")[0] for unit in arrows}
    units = [unit for unit in arrows if unit != MESSAGES and (unit not in parents or arrows[unit])]
    inside = {unit: arrows[unit] & set(units) for unit in units}
    group = groups(inside, packages)
    joined: dict[str, set[str]] = {group[unit]: set() for unit in units}
    for unit in units:
        joined[group[unit]] |= {group[other] for other in inside[unit]} - {group[unit]}
    members = {box: [unit for unit in units if group[unit] == box] for box in joined}
    boxes = {box: box_of(name, members[box], packages, least) for box in joined}
    return Room(name=name, boxes=boxes, arrows=transitive_reduction(joined), least=least)


def groups(arrows: Arrows, packages: set[str]) -> dict[str, str]:
    """The box of each unit: one of its own, but where there are many modules beside packages.

    Of those, the ones that lead to the same packages are in one box; so no circle can come of it.
    """
    loose = [unit for unit in arrows if unit not in packages]
    if len(loose) <= MANY:
        return {unit: unit for unit in arrows}
    below = import_graph.reachable(arrows)
    return {
        unit: f"above {' '.join(sorted(below[unit] & packages))}" if unit in loose else unit
        for unit in arrows
    }


def box_of(room: str, units: Sequence[str], packages: set[str], least: float) -> Box:
    """The box of one unit, or of several modules."""
    titles = [unit.removeprefix(f"{room}.").replace(".", "/") for unit in units]
    if len(units) == 1:
        return Box(title=titles[0], package=units[0] in packages)
    letters = int((least - 180) / SMALL_LETTER) if len(units) > MANY else NARROW
    return Box(title=f"{len(units)} modules", names=tuple(textwrap.wrap(", ".join(titles), letters)))


def svg(rooms: dict[str, Room]) -> Iterator[str]:
    """The bot above the commands above the storage, the engine beside them, the messages below all."""
    top: dict[str, float] = {"bot": MARGIN}
    height = {name: rooms[name].height for name in ROOMS}
    height["bot"] = height["engine"] = max(height["bot"], height["engine"])
    top["commands"] = top["bot"] + height["bot"] + BETWEEN
    top["storage"] = top["commands"] + height["commands"] + BETWEEN
    below = top["storage"] + height["storage"] + BETWEEN
    right, bottom = 2 * MARGIN + rooms["bot"].width, below + 44 + 54
    width = right + rooms["engine"].width + MARGIN
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {bottom:.0f}">'
    yield f"<style>{STYLE}</style>"
    yield f'<rect class="paper" width="{width:.0f}" height="{bottom:.0f}" rx="10"/>'
    for name in ("bot", "commands", "storage"):
        yield from draw_room(rooms[name], MARGIN, top[name], height[name])
    yield from draw_room(rooms["engine"], right, MARGIN, height["engine"])
    yield from draw_frame("engine", "engine/messages", MARGIN, below, width - 2 * MARGIN, 44)
    yield "</g>"
    for number, line in enumerate(LEGEND):
        yield f'<text class="small" x="{MARGIN}" y="{below + 66 + 18 * number:.0f}">{line}</text>'
    for name, end in (("bot", top["commands"]), ("commands", top["storage"]), ("storage", below)):
        yield from draw_wide(name, MARGIN + rooms["bot"].width / 2, end - BETWEEN, end)
    yield from draw_wide("engine", width - MARGIN - LANE / 2 + 4, MARGIN + height["engine"], below)
    yield "</svg>"


def draw_frame(room: str, name: str, left: float, top: float, width: float, height: float) -> Iterator[str]:
    """A room with its name, left open for what stands in it."""
    yield f'<g class="{room}">'
    yield (
        f'<rect class="room" x="{left:.0f}" y="{top:.0f}" width="{width:.0f}" height="{height:.0f}" rx="8"/>'
    )
    about = ABOUT[name.rpartition("/")[2]]
    yield f'<text class="title" x="{left + PAD:.0f}" y="{top + 27:.0f}">{name}/'
    yield f'<tspan class="about" dx="8">{about}</tspan></text>'


def draw_room(room: Room, left: float, top: float, height: float) -> Iterator[str]:
    """A room and its boxes, whose rows fill the height."""
    yield from draw_frame(room.name, room.name, left, top, room.width, height)
    gap = ROW_GAP + (height - room.height) / max(1, len(room.row_heights) - 1)
    spans: dict[str, tuple[float, float]] = {}  # the upper and lower ends
    at = top + HEAD
    for row, row_height in zip(room.layout.rows, room.row_heights, strict=True):
        for name in row:
            spans[name] = (at, at + (room.boxes[name].height if name in room.boxes else row_height))
        at += row_height + gap
    middle = {name: left + PAD + x for name, x in room.layout.middle.items()}
    yield from draw_arrows(room, spans, middle)
    for name, box in room.boxes.items():
        yield from draw_box(box, middle[name], spans[name][0])
    yield "</g>"


def draw_box(box: Box, middle: float, top: float) -> Iterator[str]:
    """A box with its name, or with the names of its modules."""
    left, kind = middle - box.width / 2, "package" if box.package else "module"
    yield (
        f'<rect class="{kind}" x="{left:.0f}" y="{top:.0f}" width="{box.width:.0f}" '
        f'height="{box.height:.0f}" rx="5"/>'
    )
    if not box.names:
        yield f'<text class="name" x="{middle:.0f}" y="{top + 17:.0f}">{box.title}</text>'
        return
    yield f'<text x="{left + 9:.0f}" y="{top + 18:.0f}">{box.title}</text>'
    for number, line in enumerate(box.names, start=1):
        y = top + 18 + LINE * number
        yield f'<text class="small" x="{left + 9:.0f}" y="{y:.0f}">{line}</text>'


def draw_arrows(room: Room, spans: dict[str, tuple[float, float]], middle: dict[str, float]) -> Iterator[str]:
    """The arrows of a room, each through its bends."""
    starts = ports(room, {path: (path[0], path[1]) for path in room.layout.paths}, middle)
    ends = ports(room, {path: (path[-1], path[-2]) for path in room.layout.paths}, middle)
    for path in room.layout.paths:
        (x, y), bends = (ends[path], spans[path[-1]][0]), path[1:-1]
        points = [(starts[path], spans[path[0]][1])]
        points += [(middle[bend], sum(spans[bend]) / 2) for bend in bends]
        heights = [0.0, *(spans[bend][1] - spans[bend][0] for bend in bends), 0.0]
        yield f'<path d="{curve([*points, (x, y - 6)], heights)}"/>'
        yield f'<path class="tip" d="M{x:.0f} {y - 0.7:.1f}l-4 -7h8z"/>'


def ports(room: Room, ends: dict[Path, tuple[str, str]], middle: dict[str, float]) -> dict[Path, float]:
    """Where each arrow leaves or meets its box, in the order of where it goes or comes from."""
    at: dict[Path, float] = {}
    for name, box in room.boxes.items():
        paths = sorted((middle[other], path) for path, (own, other) in ends.items() if own == name)
        step = min(16.0, (box.width - 20) / max(1, len(paths) - 1))
        for number, (_, path) in enumerate(paths):
            at[path] = middle[name] + step * (number - (len(paths) - 1) / 2)
    return at


def curve(points: Sequence[tuple[float, float]], heights: Sequence[float]) -> str:
    """A line through the points, straight for the height of each; it leaves and meets boxes vertically."""
    slopes = [(to_x - x) / (to_y - y) for (x, y), (to_x, to_y) in pairwise(points)]
    leans = [0.0, *(slighter(upper, lower) for upper, lower in pairwise(slopes)), 0.0]
    nodes: list[tuple[float, float, float]] = []  # x, y, and the line's slope there
    for (x, y), lean, height in zip(points, leans, heights, strict=True):
        lean = max(-BEND / BOX, min(BEND / BOX, lean))
        nodes += [(x + lean * part, y + part, lean) for part in sorted({-height / 2, height / 2})]
    parts = [f"M{nodes[0][0]:.0f} {nodes[0][1]:.0f}"]
    for (x, y, lean), (to_x, to_y, to_lean) in pairwise(nodes):
        half = (to_y - y) / 2
        bend_x, bend_to_x = x + lean * half, to_x - to_lean * half
        parts.append(f"C{bend_x:.0f} {y + half:.0f} {bend_to_x:.0f} {y + half:.0f} {to_x:.0f} {to_y:.0f}")
    return "".join(parts)


def slighter(slope: float, other: float) -> float:
    """The slope nearer to a vertical line's, 0, where both lean the same way; 0 else (minmod)."""
    return 0.0 if slope * other < 0 else min(slope, other, key=abs)


def draw_wide(room: str, x: float, top: float, bottom: float) -> Iterator[str]:
    """The arrow from a room to what is below it."""
    yield f'<g class="{room}"><path class="wide" d="M{x:.0f} {top + 1:.0f}V{bottom - 10:.0f}"/>'
    yield f'<path class="tip" d="M{x:.0f} {bottom - 1:.0f}l-7 -11h14z"/></g>'


def main() -> None:
    """Draw it anew."""
    FILE.write_text(drawing())


if __name__ == "__main__":
    main()
