"""The store as one job fills it: it knows what it has put there that nobody was told of yet."""

from pathlib import Path

from engine.messages import Event, FileStore, Sha256, stored_files


class JobStore:
    """What a job that ends too early leaves behind is told with its end, so that it can be taken away.

    The engine itself removes nothing: the same content may be somebody else's, too.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._store = FileStore(folder)
        self._untold: list[Sha256] = []

    @property
    def untold(self) -> tuple[Sha256, ...]:
        """What was put and not handed over."""
        return tuple(self._untold)

    def put_bytes(self, content: bytes) -> Sha256:
        """Keep these bytes and tell their hash. Raises OSError."""
        sha256 = self._store.put_bytes(content)
        self._untold.append(sha256)
        return sha256

    def get(self, sha256: Sha256) -> bytes:
        """The content of this file. Raises OSError."""
        return self._store.get(sha256)

    def hand_over(self, event: Event) -> None:
        """The bot is told of what this event names, and sees to it from now on."""
        told = stored_files(event)
        self._untold = [sha256 for sha256 in self._untold if sha256 not in told]
