"""Pictures that a training paints by the way: samples of what it has learned, and pictures of its class."""

from collections.abc import Callable, Generator, Mapping, Sequence

from PIL import Image

from engine.messages import JobId, Paint, Sha256, Size
from engine.sdxl.latent_decoder import BrokenPicture, decode
from engine.sdxl.model import Model
from engine.sdxl.new_tokens import TokenVectors
from engine.sdxl.painting import Painting, Stage, predict
from engine.sdxl.png_file import Recipe, png
from engine.sdxl.prompts import Reader

STEPS = 20
GUIDANCE = 5.0
AT_ONCE = 4  # pictures in a forward
ANYTHING = "a picture"  # what is painted of a class without a word


def asked(job: JobId, prompts: Sequence[str], first_seed: int, size: Size) -> list[Paint]:
    """A request for one picture of each prompt, with seeds one after another."""
    return [
        Paint(
            job=job,
            prompt=prompt or ANYTHING,
            seed=first_seed + number,
            steps=STEPS,
            guidance_scale=GUIDANCE,
            size=size,
        )
        for number, prompt in enumerate(prompts)
    ]


def rehearsed(
    model: Model, requests: Sequence[Paint], use: Callable[[], None], tokens: Sequence[TokenVectors] = ()
) -> Generator[None, None, list[Painting]]:
    """Denoise these requests, all of one size, a forward a step; `use` says what counts in the model.

    Returns the paintings, not yet decoded.
    """
    reader = Reader(model.base)  # it remembers nothing: what it reads holds for this moment's adapter only
    paintings = []
    for request in requests:
        if not isinstance(request.size, Size):
            raise TypeError("a rehearsal has its size in pixels")
        painting = Painting(request, request.seed, 0, request.size, model)
        use()
        painting.begin(reader, None, tokens)
        paintings.append(painting)
        yield
    while waiting := [painting for painting in paintings if painting.stage is Stage.BASE]:
        together = [painting for painting in waiting if painting.key == waiting[0].key][:AT_ONCE]
        use()
        for painting, (question, answer) in zip(together, predict(model.base.unet, together), strict=True):
            painting.answer(question, answer)
        yield
    return paintings


def shown(model: Model, painting: Painting) -> bytes:
    """The picture as a PNG; a black one when nothing can be seen of it, so that samples keep their places."""
    try:
        return seen(model, painting)
    except BrokenPicture:
        return _png(model, painting, Image.new("RGB", (painting.size.width, painting.size.height)), {})


def seen(model: Model, painting: Painting, hashes: Mapping[Sha256, str] | None = None) -> bytes:
    """The picture as a PNG. Raises BrokenPicture when nothing can be seen of it."""
    return _png(model, painting, decode(model.base.vae, painting.latents), hashes or {})


def _png(model: Model, painting: Painting, image: Image.Image, hashes: Mapping[Sha256, str]) -> bytes:
    recipe = Recipe(
        request=painting.request,
        seed=painting.seed,
        size=painting.size,
        model=model.name,
        lora_hashes=hashes,
    )
    return png(image, recipe)
