"""Captions of scenes: complete ones in varied words, and short ones that leave things open."""

from __future__ import annotations

from engine.demo.world import Relation, Rng, Scene, Thing

RELATION_WORDS: dict[Relation, tuple[str, ...]] = {
    "above": ("above", "above", "above", "over"),
    "below": ("below", "below", "below", "under"),
    "left of": ("to the left of", "left of", "to the left of"),
    "right of": ("to the right of", "right of", "to the right of"),
}
SIZE_WORDS = {"small": ("small", "small", "tiny", "little"), "big": ("big", "big", "large", "huge")}
OPENINGS = ("a picture of ", "a drawing of ", "a painting of ")


def plain(scene: Scene) -> str:
    """The caption that describes all of the scene in the most usual words."""
    first, *others = (_thing(thing) for thing in scene.things)
    words = f"{first} {_usual(scene.relation)} {others[0]}" if scene.relation else first
    return f"{words} on {_a(scene.background)} background{', in grayscale' if scene.grayscale else ''}"


def caption(rng: Rng, scene: Scene) -> str:
    """A random caption: of all of the scene, in about a fifth of the cases of a part, rarely empty."""
    dice = rng.random()
    if dice < 0.01:
        return ""
    if dice < 0.20:
        return _part(rng, scene)
    return _whole(rng, scene)


def _usual(relation: Relation | None) -> str:
    return RELATION_WORDS[relation][0] if relation else ""


def _a(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _thing(thing: Thing) -> str:
    size = "" if thing.size == "medium" else f"{thing.size} "
    return _a(f"{size}{_fill(thing)}{thing.colour} {thing.shape}")


def _fill(thing: Thing) -> str:
    return "hatched " if thing.hatched else "" if thing.filled else "outlined "


def _varied_thing(rng: Rng, thing: Thing) -> str:
    sizes = SIZE_WORDS.get(thing.size, ("medium",) if rng.random() < 0.1 else ())
    size = f"{sizes[rng.integers(len(sizes))]} " if sizes else ""
    fill = _fill(thing) or ("filled " if rng.random() < 0.1 else "")
    dice = rng.random()
    if fill and dice < 0.15:
        return _a(f"{size}{thing.colour} {fill}{thing.shape}")
    if dice > 0.95 and (size or fill):
        return _a(f"{thing.colour} {thing.shape}, {size}{'and ' if size and fill else ''}{fill}".strip())
    return _a(f"{size}{fill}{thing.colour} {thing.shape}")


def _whole(rng: Rng, scene: Scene) -> str:
    words = _varied_thing(rng, scene.things[0])
    if scene.relation:
        options = RELATION_WORDS[scene.relation]
        other = _varied_thing(rng, scene.things[1])
        words = f"{words} {options[rng.integers(len(options))]} {other}"
    if rng.random() < 0.1:
        words = OPENINGS[rng.integers(len(OPENINGS))] + words
    words = _with_background(rng, words, scene.background)
    return words + _style(rng, scene)


def _with_background(rng: Rng, words: str, background: str) -> str:
    dice = rng.random()
    if dice < 0.6:
        return f"{words} on {_a(background)} background"
    if dice < 0.7:
        return f"{words}, {background} background"
    if dice < 0.78:
        return f"{words} on {background}"
    if dice < 0.85:
        return f"on {_a(background)} background, {words}"
    return words


def _style(rng: Rng, scene: Scene) -> str:
    if not scene.grayscale:
        return ""
    return (", in grayscale", " in grayscale", ", grayscale")[rng.integers(3)]


def _part(rng: Rng, scene: Scene) -> str:
    """A random caption that is true of the scene and leaves the rest open."""
    thing = scene.things[int(rng.integers(len(scene.things)))]
    colour = scene.background if rng.random() < 0.4 else thing.colour
    options = [
        *(colour, colour, colour, thing.shape),
        f"{_a(scene.background)} background",
        f"{_a(scene.background)} picture",
        "outlined" if not thing.filled else thing.shape,
        thing.size if thing.size != "medium" else colour,
    ]
    options += _part_of_two(scene) if scene.relation else _part_of_one(scene.background, thing)
    if scene.grayscale:
        return ("grayscale", "in grayscale", f"{_a(thing.shape)} in grayscale")[rng.integers(3)]
    return options[int(rng.integers(len(options)))]


def _part_of_one(background: str, thing: Thing) -> list[str]:
    return [
        *(_a(thing.shape), _a(f"{thing.colour} {thing.shape}")) * 2,
        f"{_a(thing.shape)} on {_a(background)} background",
        f"{thing.colour} {thing.shape}",
        _a(f"{'filled' if thing.filled else 'outlined'} {thing.shape}"),
        _a(f"{thing.size} {thing.shape}"),
    ]


def _part_of_two(scene: Scene) -> list[str]:
    first, second = scene.things
    return [
        *(f"{_a(first.shape)} {_usual(scene.relation)} {_a(second.shape)}",) * 3,
        f"{_a(first.shape)} and {_a(second.shape)}",
        f"{_a(first.colour + ' ' + first.shape)} and {_a(second.colour + ' ' + second.shape)}",
        "two shapes",
    ]
