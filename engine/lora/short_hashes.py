"""Short hashes of LoRAs and of the checkpoint, by which A1111 and Civitai know files.

Both are computed once, in threads, so that no step waits for them.
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
PATIENCE = 30.0  # seconds from the start that pictures wait for the checkpoint's hash


@lru_cache(maxsize=1024)
def lora_hash(folder: Path, sha256: Sha256) -> str:
    """The start of A1111's sshs_model_hash and Civitai's AutoV3 of a LoRA in the store. Raises OSError."""
    return weights_hash(stored_path(folder, sha256))[:LORA]


class ModelHash:
    """The hash of the model that paints, computed in a thread that nobody waits for at the end."""

    def __init__(self, model: str) -> None:
        self._hash: Future[str] = Future()
        self._until = time.monotonic() + PATIENCE
        Thread(target=self._find, args=(model,), name="model hash", daemon=True).start()

    def get(self) -> str:
        """The hash, or "" where the model has no such file or the disk is very slow."""
        try:
            return self._hash.result(max(0.0, self._until - time.monotonic()))
        except TimeoutError:
            return ""

    def _find(self, model: str) -> None:
        try:
            file = weights_file(model)
            self._hash.set_result("" if file is None else checkpoint_hash(file))
        except (OSError, ValueError):  # ValueError: no valid Hugging Face id
            self._hash.set_result("")


def checkpoint_hash(file: Path) -> str:
    """Civitai's AutoV2 of a checkpoint file. Raises OSError."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()[:MODEL]


def weights_file(model: str) -> Path | None:
    """The file that A1111 would hash: a checkpoint itself, or the UNet's weights in a diffusers folder."""
    if model.endswith(".safetensors"):
        return Path(model)
    if model == "demo" or is_path(model):
        file = (DEMO / "base" if model == "demo" else Path(model).expanduser()) / WEIGHTS
        return file if file.is_file() else None
    cached = try_to_load_from_cache(model, WEIGHTS)
    return Path(cached) if isinstance(cached, str) else None
