"""Captioners: what says in words what is in a picture, in steps with other work between."""

from collections.abc import Generator
from typing import Any, Protocol

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from engine.messages import CAPTION_CHARACTERS, EngineSettings
from engine.sdxl.model import DEMO, CannotLoad, first_sentence, is_path
from engine.vision.picture_reader import load_picture_reader
from engine.vision.stepped_generation import generate_in_steps

SHIPPED = DEMO / "captioner"
LONGEST = 200  # tokens of a caption
TASK = "<DETAILED_CAPTION>"  # of Florence-2
QUESTION = "Describe this picture in one or two sentences."  # for models that talk
MULTIMODAL = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": QUESTION}]}

Caption = Generator[None, None, str]


class Captioner(Protocol):
    """Something that captions pictures."""

    def caption(self, picture: Image.Image) -> Caption:
        """A caption of a picture in RGB, in one line. Pauses between steps."""


class DrawingCaptioner:
    """The captioner of the model that ships, which knows the words of its world. Loaded when it is needed."""

    def __init__(self) -> None:
        self._reader: Any = None

    def caption(self, picture: Image.Image) -> Caption:
        if self._reader is None:
            self._reader = load_picture_reader(SHIPPED)
            yield
        text: str = self._reader.read(picture).caption
        return text


class TransformersCaptioner:
    """An image-to-text model of transformers, such as Florence-2 or BLIP, in the precision of its files."""

    def __init__(self, name: str, device: torch.device) -> None:
        """name: a folder or a Hugging Face id. Raises CannotLoad."""
        local = is_path(name)
        try:
            model: Any = AutoModelForImageTextToText.from_pretrained(
                name,
                local_files_only=local,
                use_safetensors=True,
                dtype="auto" if device.type != "cpu" else torch.float32,
            )
            self._processor: Any = AutoProcessor.from_pretrained(name, local_files_only=local)
        except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
            raise CannotLoad(f"The captioner {name!r} cannot be loaded. {first_sentence(error)}") from error
        self._model = model.to(device).requires_grad_(False).eval()

    def caption(self, picture: Image.Image) -> Caption:
        inputs = self._inputs(picture).to(self._model.device)
        inputs["pixel_values"] = inputs["pixel_values"].to(self._model.dtype)
        ids = yield from generate_in_steps(self._model, inputs, max_new_tokens=LONGEST)
        if not self._model.config.is_encoder_decoder and "input_ids" in inputs:
            ids = ids[:, inputs["input_ids"].shape[1] :]  # what was asked comes before the answer
        (text,) = self._processor.batch_decode(ids, skip_special_tokens=True)
        return " ".join(str(text).split())[:CAPTION_CHARACTERS]

    def _inputs(self, picture: Image.Image) -> Any:
        """The picture and the question, if the model wants one, as this model reads them."""
        if self._model.config.model_type == "florence2":
            return self._processor(images=picture, text=TASK, return_tensors="pt")
        if getattr(self._processor, "chat_template", None):
            asked = self._processor.apply_chat_template([MULTIMODAL], add_generation_prompt=True)
            return self._processor(images=picture, text=asked, return_tensors="pt")
        return self._processor(images=picture, return_tensors="pt")


def load_captioner(settings: EngineSettings, device: torch.device) -> Captioner | None:
    """The configured captioner, loaded at once since it may be downloaded; that of the model that ships; or
    None. Raises CannotLoad.
    """
    if settings.captioner:
        return TransformersCaptioner(settings.captioner, device)
    return DrawingCaptioner() if settings.model == "demo" else None
