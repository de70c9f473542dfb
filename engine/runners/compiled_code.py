"""The folder of compiled code, from which an engine that starts again has it in seconds."""

import logging
import os
import shutil
import tempfile
from pathlib import Path

NEEDED = 256 * 2**20  # bytes of free space

log = logging.getLogger(__name__)


def use_code_folder(folder: Path) -> None:
    """Keep compiled code in this folder, or where torch would keep it if this one cannot be written.

    An environment that names a folder of its own is left alone.
    """
    if "TORCHINDUCTOR_CACHE_DIR" in os.environ:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        if shutil.disk_usage(folder).free < NEEDED:
            raise OSError(f"Less than {NEEDED // 2**20} MB are free.")
    except OSError as error:
        log.warning("Compiled code cannot be kept in %s: %s", folder, error)
        return
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder.resolve())
