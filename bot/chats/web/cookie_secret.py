"""The secret that the page's cookies are made with: random, and the same after a restart."""

import os
import secrets
from pathlib import Path

import structlog

NAME = "page.secret"
LENGTH = 32  # bytes

log = structlog.get_logger(__name__)


def load_secret(folder: Path | None) -> bytes:
    """The secret that lies in this folder, made when there is none.

    Where it cannot be stored it is a new one, and browsers are asked for the token after each start.
    """
    secret = secrets.token_bytes(LENGTH)
    if folder is None:
        return secret
    path = folder / NAME
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size == LENGTH:
            return path.read_bytes()
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secret)
    except OSError as error:
        log.warning("Secret of the page's cookies cannot be stored", reason=str(error))
    return secret
