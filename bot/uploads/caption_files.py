"""Files of captions that are sent to people, and that come back with other captions."""

from collections import Counter
from collections.abc import AsyncIterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from bot.uploads import captions
from bot.uploads.caption_table import is_table, largest_table, read_table, write_table
from bot.uploads.captions import ENDINGS, caption_names, normalize, read_caption
from engine.messages import CHAT_EXAMPLES, Example, InvalidRequest

ABSENT = "There is a caption for it and no such picture."
Refused = tuple[str, str]


def is_caption_file(name: str) -> bool:
    """Whether a file of this name is a caption, or a table of captions."""
    path = PurePosixPath(name)
    return path.suffix.lower() in ENDINGS or is_table(path)


def captions_file(examples: Sequence[Example]) -> bytes:
    """A captions.csv of these pictures."""
    names = unique_names(examples)
    return write_table([(name, example.caption) for name, example in zip(names, examples, strict=True)])


def unique_names(examples: Sequence[Example]) -> list[str]:
    """The pictures' names, the second of a name as "a.png (2)" and so on."""
    seen: Counter[str] = Counter()
    names = []
    for place, example in enumerate(examples, start=1):
        name = example.name or f"picture {place}"
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return names


async def read_captions(name: str, chunks: AsyncIterable[bytes]) -> tuple[Mapping[str, str], list[Refused]]:
    """The captions in a file by the names in it, and the rows that cannot be read.

    A text file has one, by its own name. Raises InvalidRequest with one sentence.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    content = bytearray()
    most = largest_table(CHAT_EXAMPLES) if is_table(path) else captions.LARGEST
    async for chunk in chunks:
        content += chunk
        if len(content) > most:
            raise InvalidRequest(f"It is larger than {most // 2**10:,} KB.")
    if not is_table(path):
        return {path.name: read_caption(bytes(content))}, []
    table = read_table(path.name, bytes(content))
    return table.captions, [(path.name, problem) for problem in table.problems]


def apply_captions(
    examples: Sequence[Example], captions: Mapping[str, str]
) -> tuple[tuple[Example, ...], list[Refused]]:
    """The pictures with those captions that are for them, and the names of those that are for none."""
    by_name = {normalize(PurePosixPath(name)): name for name in captions}
    used: set[str] = set()
    changed = []
    for name, example in zip(unique_names(examples), examples, strict=True):
        path = PurePosixPath(name)
        keys = [normalize(key) for key in (path, *caption_names(path))]
        match = next((by_name[key] for key in keys if key in by_name), None)
        if match is not None:
            used.add(match)
            example = replace(example, caption=captions[match])
        changed.append(example)
    return tuple(changed), [(name, ABSENT) for name in captions if name not in used]
