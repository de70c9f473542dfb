"""A LoRA from outside at the door: its numbers are looked at and a picture is painted before it is let in."""

from collections.abc import Generator

from engine.lora.adapter_file import Adapter, adapter_in
from engine.lora.adapters import Adapters
from engine.lora.kohya_format import form_of, is_kohya, kept, kohya_form
from engine.lora.safetensors_file import Header, read_header, stored_content
from engine.lora.short_hashes import lora_hash
from engine.messages import AdapterUse, ImportLora, InvalidRequest, LoraImported, Paint, Sha256, Size
from engine.sdxl.latent_decoder import BrokenPicture
from engine.sdxl.model import Model
from engine.tasks.task import Errand
from engine.training.sample_images import GUIDANCE, STEPS, rehearsed, seen

ANYTHING = "a picture"
SEEN = 1e-5  # of a module's weights: ten times as much is not yet seen in a picture's 256 steps
PHRASE = 80  # characters of what a file says calls it up


class Admission(Errand[ImportLora, LoraImported]):
    """One file on its way in."""

    kind = "admitting"

    def _lived(self) -> Generator[None, None, LoraImported]:
        request, lora = self._request, f"the LoRA {self._request.name}"
        use = AdapterUse(name=request.name, sha256=request.sha256)
        content = stored_content(self._store.folder, use)
        header = read_header(content, lora)
        adapter = adapter_in(content, header, self._adapters.names, lora)
        refuse_nothing(adapter, self._adapters, lora)
        yield
        sha256, size = self._kept(content, header, adapter)
        phrase = request.phrase or told_phrase(header, adapter)
        yield
        picture = yield from painted_alone(
            self._model, self._adapters, test_picture(self._model, request, sha256, phrase)
        )
        return LoraImported(
            job=request.job,
            sha256=sha256,
            form=form_of(header),
            phrase=phrase,
            tokens=sum(word.count for word in adapter.tokens),
            rank=max((change.rank for change in adapter.changes.values()), default=0),
            modules=len(adapter.changes),
            text_encoders=any(place.component != "unet" for place in adapter.changes),
            size=size,
            picture=picture,
            assumed=adapter.assumed,
        )

    def _kept(self, content: bytes, header: Header, adapter: Adapter) -> tuple[Sha256, int]:
        """The file as it is listed: the one that came, or the same LoRA under kohya's names, and its size."""
        if is_kohya(header):
            return self._request.sha256, len(content)
        told = {**kept(header.metadata), "atelier.imported": form_of(header)}
        if not told.get("ss_output_name"):
            told["ss_output_name"] = self._request.name
        told.setdefault("modelspec.title", self._request.name)
        written = kohya_form(adapter, self._adapters.names, told)
        return self._store.put_bytes(written), len(written)


def refuse_nothing(adapter: Adapter, adapters: Adapters, lora: str) -> None:
    """Raise InvalidRequest for a LoRA that changes nothing, or so little that no picture shows it."""
    if adapter.tokens:
        return
    most = 0.0
    for place, change in adapter.changes.items():
        most = max(most, adapters.strength(place, change))
        if most >= SEEN:  # as the first module of almost all has it
            return
    much = f"no more than {most:.1g} of a module's weights" if most else "nothing"
    raise InvalidRequest(f"{lora} changes {much}: whatever made it has learned nothing.")


def told_phrase(header: Header, adapter: Adapter) -> str:
    """What calls it up, as the file says: the standard's field, or the new word that it brings."""
    told = " ".join(header.metadata.get("modelspec.trigger_phrase", "").split())
    if not told.isprintable() or len(told) > PHRASE:
        told = ""
    return told or (adapter.tokens[0].word if adapter.tokens else "")


def test_picture(model: Model, request: ImportLora, sha256: Sha256, phrase: str) -> Paint:
    """What is painted before anybody else may use it."""
    return Paint(
        job=request.job,
        prompt=f"{ANYTHING} of {phrase}" if phrase else ANYTHING,
        seed=0,
        steps=STEPS,
        guidance_scale=GUIDANCE,
        size=Size(width=model.side, height=model.side),
        adapters=(AdapterUse(name=request.name, sha256=sha256),),
    )


def painted_alone(model: Model, adapters: Adapters, request: Paint) -> Generator[None, None, bytes]:
    """A picture as the studio paints it, a step at a time, as a PNG. Raises InvalidRequest when it is broken.

    Between the steps other mixes may count: this one is made to count before each.
    """

    def use() -> None:
        adapters.apply(request.adapters)

    use()
    yield
    tokens = adapters.tokens(request.adapters)
    (painting,) = yield from rehearsed(model, [request], use, tokens)
    hashes = {use.sha256: lora_hash(adapters.folder, use.sha256) for use in request.adapters}
    yield
    try:
        return seen(model, painting, hashes)
    except BrokenPicture as broken:
        raise InvalidRequest(
            "the picture that was painted with it came out empty, so it is not taken."
        ) from broken
