"""Who imports whom in this tree, by packages and by the modules that lie beside packages."""

from collections.abc import Mapping, Set

import grimp

Arrows = Mapping[str, Set[str]]  # what each module or unit imports


def build(*rooms: str) -> Arrows:
    """Import-linter's graph of these packages, module by module; imports inside functions count."""
    graph = grimp.build_graph(*rooms, cache_dir=None)
    return {name: graph.find_modules_directly_imported_by(name) for name in sorted(graph.modules)}


def between_units(imports: Arrows) -> Arrows:
    """The same between units: packages, and the modules that lie beside packages."""
    packages = {name.rpartition(".")[0] for name in imports} - {""}
    parents = {package.rpartition(".")[0] for package in packages}

    def unit(name: str) -> str:
        package = name if name in packages else name.rpartition(".")[0]
        return name if package in parents else package

    arrows: dict[str, set[str]] = {unit(name): set() for name in imports}
    for importer, others in imports.items():
        arrows[unit(importer)] |= {unit(name) for name in others} - {unit(importer)}
    return arrows


def within(arrows: Arrows, room: str) -> Arrows:
    """The units of one room, and the arrows between them alone."""
    units = {name for name in arrows if name.partition(".")[0] == room}
    return {name: arrows[name] & units for name in arrows if name in units}


def circles(arrows: Arrows) -> list[frozenset[str]]:
    """The sets of modules or units that all import each other, by whatever way; the largest first."""
    below = reachable(arrows)
    mutual = {
        frozenset(other for other in below[name] if name in below[other])
        for name in arrows
        if name in below[name]
    }
    return sorted(mutual, key=lambda circle: (-len(circle), sorted(circle)))


def reachable(arrows: Arrows) -> dict[str, set[str]]:
    """What each one imports, directly or by way of others."""
    below: dict[str, set[str]] = {name: set() for name in arrows}
    for name, lower in below.items():
        rest = list(arrows[name])
        while rest:
            other = rest.pop()
            if other not in lower:
                lower.add(other)
                rest.extend(arrows[other])
    return below
