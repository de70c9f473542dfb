"""Short hashes by which A1111 and Civitai know a file: a LoRA's without its header, the checkpoint's whole.

Both are counted once, and in threads: no step waits for them.
"""

import hashlib
import time
from concurrent.futures import Future
from functools import lru_cache
from pathlib import Path
from threading import Thread

from huggingface_hub import try_to_load_from_cache

from engine.messages import Sha256, stored_path, weights_hash
from engine.sdxl.model import DEMO, is_path

LORA, MODEL = 12, 10  # characters
WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
PATIENCE = 30.0  # seconds from the start that pictures wait for the checkpoint's; they go without it then


@lru_cache(maxsize=1024)
def lora_hash(folder: Path, sha256: Sha256) -> str:
    """Of the numbers of a LoRA in the store: A1111's sshs_model_hash and Civitai's AutoV3. Raises OSError."""
    return weights_hash(stored_path(folder, sha256))[:LORA]


class ModelHash:
    """Of the model that paints: begun at once, in a thread that nobody waits for at the end."""

    def __init__(self, model: str) -> None:
        self._found: Future[str] = Future()
        self._until = time.monotonic() + PATIENCE
        Thread(target=self._find, args=(model,), name="model hash", daemon=True).start()

    def get(self) -> str:
        """The hash, or nothing where the model has no such file or the disk is very slow."""
        try:
            return self._found.result(max(0.0, self._until - time.monotonic()))
        except TimeoutError:
            return ""

    def _find(self, model: str) -> None:
        try:
            file = weights_file(model)
            self._found.set_result("" if file is None else whole_hash(file))
        except (OSError, ValueError):  # the second of a name that Hugging Face could not have
            self._found.set_result("")


def whole_hash(file: Path) -> str:
    """Civitai's AutoV2. Raises OSError."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()[:MODEL]


def weights_file(model: str) -> Path | None:
    """The file that A1111 would hash: a checkpoint itself; of diffusers' folders, the UNet's weights."""
    if model.endswith(".safetensors"):
        return Path(model)
    if model == "demo" or is_path(model):
        file = (DEMO / "base" if model == "demo" else Path(model).expanduser()) / WEIGHTS
        return file if file.is_file() else None
    cached = try_to_load_from_cache(model, WEIGHTS)
    return Path(cached) if isinstance(cached, str) else None
