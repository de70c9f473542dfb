"""Pictures that a training paints: samples at its checkpoints, and pictures of its class."""

from collections.abc import Callable, Generator, Mapping, Sequence

from PIL import Image

from engine.messages import JobId, Paint, Sha256, Size
from engine.sdxl.latent_decoder import BrokenPicture, decode
from engine.sdxl.model import Model
from engine.sdxl.new_tokens import TokenVectors
from engine.sdxl.painting import Painting, Stage, predict
from engine.sdxl.png_file import Recipe, encode_png
from engine.sdxl.prompts import PromptEncoder

STEPS = 20
GUIDANCE = 5.0
LARGEST_BATCH = 4  # pictures in a forward
FALLBACK_PROMPT = "a picture"  # in place of an empty prompt


def sample_requests(job: JobId, prompts: Sequence[str], first_seed: int, size: Size) -> list[Paint]:
    """A request for one picture of each prompt, with consecutive seeds."""
    return [
        Paint(
            job=job,
            prompt=prompt or FALLBACK_PROMPT,
            seed=first_seed + number,
            steps=STEPS,
            guidance_scale=GUIDANCE,
            size=size,
        )
        for number, prompt in enumerate(prompts)
    ]


def paint_samples(
    model: Model, requests: Sequence[Paint], activate: Callable[[], None], tokens: Sequence[TokenVectors] = ()
) -> Generator[None, None, list[Painting]]:
    """Denoise these requests, all of one size, one forward a step.

    activate: called before each forward to activate the adapters. Returns the paintings, not decoded yet.
    """
    encoder = PromptEncoder(
        model.base
    )  # it remembers nothing: what it reads holds for this moment's adapter only
    paintings = []
    for request in requests:
        if not isinstance(request.size, Size):
            raise TypeError("a sample needs a size in pixels")
        painting = Painting(request, request.seed, 0, request.size, model)
        activate()
        painting.begin(encoder, None, tokens)
        paintings.append(painting)
        yield
    while waiting := [painting for painting in paintings if painting.stage is Stage.BASE]:
        batch = [painting for painting in waiting if painting.batch_key == waiting[0].batch_key][
            :LARGEST_BATCH
        ]
        activate()
        predictions = predict(model.base.unet, batch)
        for painting, (model_input, predicted) in zip(batch, predictions, strict=True):
            painting.apply_prediction(model_input, predicted)
        yield
    return paintings


def encode_sample(model: Model, painting: Painting) -> bytes:
    """The picture as a PNG, a black one where it is empty, so that samples keep their order."""
    try:
        return decode_sample(model, painting)
    except BrokenPicture:
        return _encode_png(model, painting, Image.new("RGB", (painting.size.width, painting.size.height)), {})


def decode_sample(model: Model, painting: Painting, hashes: Mapping[Sha256, str] | None = None) -> bytes:
    """The picture as a PNG. Raises BrokenPicture where it is empty."""
    return _encode_png(model, painting, decode(model.base.vae, painting.latents), hashes or {})


def _encode_png(model: Model, painting: Painting, image: Image.Image, hashes: Mapping[Sha256, str]) -> bytes:
    recipe = Recipe(
        request=painting.request,
        seed=painting.seed,
        size=painting.size,
        model=model.name,
        lora_hashes=hashes,
    )
    return encode_png(image, recipe)
