"""The store for one job, which notes what the job has put there and no event has named yet."""

from pathlib import Path

from engine.messages import Event, FileStore, Sha256, stored_files


class JobStore:
    """Files of a job that ends too early are reported with its end, so that the bot can remove them.

    The engine itself removes nothing, since another job may have the same content.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._store = FileStore(folder)
        self._unreported: list[Sha256] = []

    @property
    def unreported(self) -> tuple[Sha256, ...]:
        """The files that were put and that no event has named yet."""
        return tuple(self._unreported)

    def put_bytes(self, content: bytes) -> Sha256:
        """Store these bytes and return their hash. Raises OSError."""
        sha256 = self._store.put_bytes(content)
        self._unreported.append(sha256)
        return sha256

    def get(self, sha256: Sha256) -> bytes:
        """The content of this file. Raises OSError."""
        return self._store.get(sha256)

    def mark_reported(self, event: Event) -> None:
        """Note that this event names its files to the bot, which is responsible for them from now on."""
        named = stored_files(event)
        self._unreported = [sha256 for sha256 in self._unreported if sha256 not in named]
