"""The folder of compiled code, from which an engine that starts again has it in seconds."""

import logging
import os
import shutil
import tempfile
from pathlib import Path

from torch._inductor.runtime.cache_dir_utils import default_cache_dir

VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
NEEDED = 256 * 2**20  # bytes of free space

log = logging.getLogger(__name__)


def use_code_folder(folder: Path) -> None:
    """Keep compiled code in this folder, or where torch would keep it if this one cannot be written.

    An environment that names another folder is left alone. torch names its own there when it is imported.
    """
    if os.environ.get(VARIABLE, default_cache_dir()) != default_cache_dir():
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
    os.environ[VARIABLE] = str(folder.resolve())


def forget_code(folder: Path) -> None:
    """Delete the compiled code in this folder, if it is kept there.

    An engine that was killed while it wrote leaves files that are cut off, and the compiler would fail on
    them at every start.
    """
    if os.environ.get(VARIABLE) == str(folder.resolve()):
        shutil.rmtree(folder, ignore_errors=True)
