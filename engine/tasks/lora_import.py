"""Import of a LoRA file from outside: its numbers are checked, then a picture is painted with it."""

from collections.abc import Generator

from engine.lora.adapter_file import Adapter, decode_adapter
from engine.lora.adapters import Adapters
from engine.lora.kohya_format import encode_kohya, is_kohya, key_format, lasting_metadata
from engine.lora.safetensors_file import Header, read_header, read_stored_file
from engine.lora.short_hashes import lora_hash
from engine.messages import AdapterUse, ImportLora, InvalidRequest, LoraImported, Paint, Sha256, Size
from engine.sdxl.latent_decoder import BrokenPicture
from engine.sdxl.model import Model
from engine.tasks.task import Task
from engine.training.sample_images import GUIDANCE, STEPS, decode_sample, paint_samples

ANYTHING = "a picture"
SMALLEST_EFFECT = 1e-5  # of a module's weights: ten times as much still changes no pixel by 1/256
LONGEST_PHRASE = 80  # characters of a trigger phrase in a file


class LoraImport(Task[ImportLora, LoraImported]):
    """The import of one file."""

    kind = "import"

    def _run(self) -> Generator[None, None, LoraImported]:
        request, lora = self._request, f"The LoRA {self._request.name}"
        use = AdapterUse(name=request.name, sha256=request.sha256)
        content = read_stored_file(self._store.folder, use)
        header = read_header(content, lora)
        adapter = decode_adapter(content, header, self._adapters.names, lora)
        refuse_no_effect(adapter, self._adapters, lora)
        yield
        sha256, size = self._store_file(content, header, adapter)
        phrase = request.phrase or trigger_phrase(header, adapter)
        yield
        picture = yield from paint_with_adapters(
            self._model, self._adapters, check_request(self._model, request, sha256, phrase)
        )
        return LoraImported(
            job=request.job,
            sha256=sha256,
            form=key_format(header),
            phrase=phrase,
            tokens=sum(word.count for word in adapter.tokens),
            rank=max((change.rank for change in adapter.changes.values()), default=0),
            modules=len(adapter.changes),
            text_encoders=any(place.component != "unet" for place in adapter.changes),
            size=size,
            picture=picture,
            assumed=adapter.assumed,
            kind=adapter.kind,
        )

    def _store_file(self, content: bytes, header: Header, adapter: Adapter) -> tuple[Sha256, int]:
        """The hash and size of the file to use: the one that came, or the same LoRA under kohya's names."""
        if is_kohya(header):
            return self._request.sha256, len(content)
        metadata = {**lasting_metadata(header.metadata), "atelier.imported": key_format(header)}
        if not metadata.get("ss_output_name"):
            metadata["ss_output_name"] = self._request.name
        metadata.setdefault("modelspec.title", self._request.name)
        file = encode_kohya(adapter, self._adapters.names, metadata)
        return self._store.put_bytes(file), len(file)


def refuse_no_effect(adapter: Adapter, adapters: Adapters, lora: str) -> None:
    """Raise InvalidRequest for a LoRA that changes nothing, or too little to see in a picture."""
    if adapter.tokens:
        return
    largest = 0.0
    for place, change in adapter.changes.items():
        largest = max(largest, adapters.relative_strength(place, change))
        if largest >= SMALLEST_EFFECT:  # true of the first module of almost every file
            return
    effect = f"at most {largest:.1g} of a module's weights" if largest else "nothing"
    raise InvalidRequest(f"{lora} changes {effect}. Its training learned nothing.")


def trigger_phrase(header: Header, adapter: Adapter) -> str:
    """The trigger phrase of the file: from its metadata, or else its new word, or else empty."""
    phrase = " ".join(header.metadata.get("modelspec.trigger_phrase", "").split())
    if not phrase.isprintable() or len(phrase) > LONGEST_PHRASE:
        phrase = ""
    return phrase or (adapter.tokens[0].word if adapter.tokens else "")


def check_request(model: Model, request: ImportLora, sha256: Sha256, phrase: str) -> Paint:
    """The request for the picture that is painted before anybody may use the LoRA."""
    return Paint(
        job=request.job,
        prompt=f"{ANYTHING} of {phrase}" if phrase else ANYTHING,
        seed=0,
        steps=STEPS,
        guidance_scale=GUIDANCE,
        size=Size(width=model.side, height=model.side),
        adapters=(AdapterUse(name=request.name, sha256=sha256),),
    )


def paint_with_adapters(model: Model, adapters: Adapters, request: Paint) -> Generator[None, None, bytes]:
    """Paint a picture, a step at a time, and return it as a PNG. Raises InvalidRequest where it is empty.

    Its adapters are activated before each step, since others may be active in between.
    """

    def activate() -> None:
        adapters.apply(request.adapters)

    activate()
    yield
    tokens = adapters.tokens(request.adapters)
    (painting,) = yield from paint_samples(model, [request], activate, tokens)
    hashes = {use.sha256: lora_hash(adapters.folder, use.sha256) for use in request.adapters}
    yield
    try:
        return decode_sample(model, painting, hashes)
    except BrokenPicture as broken:
        raise InvalidRequest(
            "The picture that was painted with it came out empty, so it is not imported."
        ) from broken
