"""Stored files that no row knows any more, removed."""

from collections.abc import Collection
from functools import partial

import structlog

from engine.messages import Sha256
from storage import pictures
from storage.database import CannotStore, Database
from storage.files import Files

log = structlog.get_logger(__name__)


async def remove(database: Database, files: Files, hashes: Collection[Sha256]) -> None:
    """Remove those of the files that nothing needs; one that cannot be removed only costs space.

    Asked again at the last moment and among the writes: the same picture may just have been painted anew.
    """
    if not hashes:
        return
    try:
        for sha256 in await database.write(partial(pictures.unneeded, hashes=list(hashes))):
            await files.remove(sha256)
    except (CannotStore, OSError) as error:
        log.warning("files that nobody needs could not be removed", reason=str(error))
