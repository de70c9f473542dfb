"""/lora import and /lora merge: a LoRA from a file, and one made of several."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from commands.answers import Form, LoraCards, RunTask, TaskResult
from commands.content_rules import check_rules
from commands.context import ChatContext
from commands.limits import check_limits
from commands.lora import example_command
from commands.syntax.lora_syntax import Lora, Mention, add_phrases, read_mentions, resolve
from commands.syntax.parser import join_list
from commands.syntax.spec import Option, form_command, lists_folder
from commands.syntax.values import value_text
from commands.train import check_free, read_lora_name
from engine.messages import (
    ADAPTER_WEIGHT,
    MERGED_RANK,
    AdapterKind,
    AdapterUse,
    ImportLora,
    InvalidRequest,
    LoraImported,
    LorasMerged,
    MergeLoras,
    Paint,
    Sha256,
    check_text,
)
from storage import adapters, limits
from storage.adapters import NewLora

PHRASE = 80  # characters of what calls a LoRA up
ANYTHING = "a picture"  # what is painted where nobody says what
EXACT = 0.001  # of a mix's change: what is lost below that is the rounding of its numbers


@dataclass(frozen=True, kw_only=True)
class MergeName:
    """The name of a merged LoRA, with its parts where they were written after it."""

    name: str
    parts: tuple[Mention, ...] = ()

    @property
    def lora_names(self) -> tuple[str, ...]:
        """The names of the parts."""
        return tuple(part.name for part in self.parts)

    def __str__(self) -> str:
        return " ".join((self.name, *map(value_text, self.parts)))


def read_merge_name(text: str) -> MergeName:
    """The name, and after it LoRAs with weights: "both ink:0.7 chalk:0.5". Raises InvalidRequest."""
    name, _, rest = text.strip().partition(" ")
    return MergeName(name=read_lora_name(name), parts=read_mentions(rest))


@lists_folder
@form_command("Import")
async def lora_import(
    context: ChatContext,
    name: Annotated[str, Option("Name for the LoRA, such as maria", kind="name", read=read_lora_name)],
    file: Annotated[
        Sha256 | None,
        Option("The LoRA's .safetensors file", kind="lora_file", otherwise="a form asks for it", needed=True),
    ] = None,
    trigger: Annotated[str, Option("Words that call it up", otherwise="what the file says")] = "",
) -> RunTask | Form:
    """Import a LoRA that was made elsewhere."""
    await check_free(context, name, context.space.id)
    phrase = " ".join(trigger.split())
    check_text("The trigger", phrase)
    if len(phrase) > PHRASE:
        raise InvalidRequest(f"The trigger has {len(phrase)} characters. At most {PHRASE} are allowed.")
    _check_words(context, phrase)
    if file is None:
        return Form(command=lora_import.name, values={"name": name, "trigger": phrase})
    await _check_limits(context, pictures=1)
    return RunTask(
        request=ImportLora(job=context.job, name=name, sha256=file, phrase=phrase),
        finish=partial(_finish_import, name=name),
    )


@lists_folder
@form_command("Merge")
async def lora_merge(
    context: ChatContext,
    name: Annotated[
        MergeName,
        Option("New name, then the LoRAs: both ink:0.7 chalk:0.5", read=read_merge_name),
    ],
    lora: Annotated[
        tuple[Mention, ...],
        Option(
            "LoRAs to merge with weights, such as ink:0.7, maria:0.5",
            *ADAPTER_WEIGHT,
            kind="loras",
            read=read_mentions,
        ),
    ] = (),
    rank: Annotated[
        int | None, Option("Rank of the new LoRA", *MERGED_RANK, otherwise="all ranks together, exact")
    ] = None,
    prompt: Annotated[str, Option("Prompt for the test pictures", otherwise="their triggers")] = "",
) -> RunTask:
    """Merge several LoRAs into one that paints as they do together."""
    await check_free(context, name.name, context.space.id)
    mix = await resolve((*name.parts, *lora), context.library)
    request = MergeLoras(
        job=context.job,
        name=name.name,
        parts=tuple(use for _, use in mix),
        prompt=prompt.strip() or add_phrases("", [part for part, _ in mix]) or ANYTHING,
        rank=rank,
        author=context.person.name,
    )
    _check_words(context, request.prompt)
    await _check_limits(context, pictures=2)
    return RunTask(request=request, finish=partial(_finish_merge, mix=mix))


async def _finish_import(context: ChatContext, result: TaskResult, name: str) -> LoraCards:
    admitted = result.lora
    assert isinstance(admitted, LoraImported)
    _check_words(context, admitted.phrase)
    new = NewLora(
        name=name,
        sha256=admitted.sha256,
        phrase=admitted.phrase,
        preset="imported",
        thumbnail=result.thumbnail,
        tokens=admitted.tokens,
        info={
            "numbers": result.weights_hash,
            "imported": {
                "names": admitted.form,
                "rank": admitted.rank,
                "modules": admitted.modules,
                "text_encoders": admitted.text_encoders,
                "bytes": admitted.size,
                "kind": admitted.kind.label,
            },
        },
    )
    about = (
        f"rank {admitted.rank}, {admitted.modules:,} modules, from {admitted.form} names"
        if admitted.modules
        else "new tokens"
    )
    if admitted.kind is not AdapterKind.LORA:
        about = f"{admitted.kind.label}, {about}"
    text = f"The LoRA {name} is ready, for you only ({about})."
    if admitted.assumed:
        text += (
            " Its file does not give an alpha, so its rank is used. If it was trained with another alpha, "
            "use that alpha divided by the rank as its weight."
        )
    return await _add_lora(context, new, text, admitted.seconds)


async def _finish_merge(
    context: ChatContext, result: TaskResult, mix: Sequence[tuple[Lora, AdapterUse]]
) -> LoraCards:
    merged = result.lora
    assert isinstance(merged, LorasMerged)
    await _check_allowed(context, [use for _, use in mix])
    name, parts = merged.name, [value_text(Mention(use.name, use.weight)) for _, use in mix]
    new = NewLora(
        name=name,
        sha256=merged.sha256,
        phrase=" ".join(dict.fromkeys(lora.phrase for lora, _ in mix if lora.phrase))[:PHRASE],
        preset="merged",
        thumbnail=result.thumbnail,
        sheet=result.sheet,
        tokens=merged.tokens,
        info={
            "numbers": result.weights_hash,
            "merged": {
                "of": ", ".join(parts),
                "rank": merged.rank,
                "modules": merged.modules,
                "lost": _loss_text(merged.error),
                "apart": f"{merged.apart} of 255",
                "bytes": merged.size,
            },
        },
    )
    text = f"{name} merges {join_list(parts)} into one LoRA of rank {merged.rank}"
    text += f", for you only. It loses {_loss_text(merged.error)} of what they change"
    text += f", and its picture differs from theirs by at most {merged.apart} of 255."
    listing = await _add_lora(context, new, text, merged.seconds)
    files = () if result.sheet is None else ((f"{name}-beside-its-mix.png", result.sheet),)
    return LoraCards(loras=listing.loras, text=listing.text, files=files)


def _check_words(context: ChatContext, words: str) -> None:
    """Raise NotAllowed when the space's rules refuse these words in a prompt."""
    if words:
        paint = Paint(job=context.job, prompt=words, seed=0)
        check_rules(context.space_settings.rules, paint, adult=context.adult)


async def _check_limits(context: ChatContext, pictures: int) -> None:
    """Raise NotAllowed when the limits leave no room for a LoRA and so many test pictures."""
    paint = Paint(job=context.job, prompt=ANYTHING, seed=0, count=pictures)
    await check_limits(context, None, context.estimates.seconds(paint))


async def _check_allowed(context: ChatContext, mix: Sequence[AdapterUse]) -> None:
    """Raise InvalidRequest when one of the LoRAs was deleted or unshared meanwhile."""
    hashes = [use.sha256 for use in mix]
    barred = await adapters.forbidden_names(context.session, context.space.id, context.person.id, hashes)
    if barred:
        raise InvalidRequest(
            f"The LoRA {join_list(barred)} is not shared with you, or was retired or deleted."
        )


async def _add_lora(context: ChatContext, new: NewLora, text: str, seconds: float) -> LoraCards:
    """It is there from now on, and so many engine seconds are charged for it.

    Raises InvalidRequest when the name was taken meanwhile.
    """
    await check_free(context, new.name, context.space.id)
    await adapters.add(context.session, context.space.id, context.person.id, new, context.now)
    await limits.charge(context.session, context.space.id, context.person.key, seconds, context.now)
    lora = await adapters.find_usable(context.session, context.space.id, context.person.id, new.name)
    assert lora is not None
    return LoraCards(loras=(lora,), text=f"{text}\n{example_command(lora)}")


def _loss_text(error: float) -> str:
    """The part that is lost, in words."""
    return "nothing" if error < EXACT else f"{error:.1%}"
