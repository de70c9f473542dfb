"""What of the engine decides about pixels, as text by which recipes are told apart."""

import json
from dataclasses import asdict
from pathlib import Path

from engine.messages import EngineSettings

OTHERS = frozenset(
    {
        "clip",
        "captioner",
        "files",
        "shards",
        "largest_batch",
        "adapter_cache_mb",
        "training_share",
        "deadline_floor_seconds",
    }
)
"""Settings that change no pixel."""


def engine_identity(settings: EngineSettings) -> str:
    """The settings that change pixels, and the state of the files that they name: another file is another
    model, also under the same name.
    """
    values = {name: str(value) for name, value in asdict(settings).items() if name not in OTHERS}
    states = {name: _file_states(Path(value)) for name, value in values.items() if "/" in value}
    return json.dumps([values, states], sort_keys=True)


def _file_states(path: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of the file, or of those in the folder; nothing of a name on the Hub."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    states = [(file.name, file.stat()) for file in files if file.is_file()]
    return [(name, state.st_size, state.st_mtime_ns) for name, state in states]
