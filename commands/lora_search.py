"""/loras --like: LoRAs in the order in which CLIP finds their pictures near to somebody's words."""

from collections.abc import Sequence
from dataclasses import replace

from commands.answers import LoraCards, RunTask
from commands.context import ChatContext
from commands.help import align
from commands.syntax.numbers import pluralize
from engine.messages import LoraScores, SearchLoras
from storage import adapters
from storage.adapters import LoraView
from storage.clip_embeddings import face, save
from storage.votes import add_likes

SHOWN = 12
WIDE = 10  # characters of a meter


def bar(share: float) -> str:
    """A share of 1, as a bar: "▓▓▓▓░░░░░░"."""
    full = round(min(1.0, max(0.0, share)) * WIDE)
    return "▓" * full + "░" * (WIDE - full)


async def search_by_words(context: ChatContext, words: str, loras: Sequence[LoraView]) -> RunTask | LoraCards:
    """A task of the engine that scores these LoRAs by the words. Raises InvalidRequest."""
    request = SearchLoras(
        job=context.job, words=words, candidates=tuple(face(lora, _caption(lora)) for lora in loras)
    )
    if not loras:
        return LoraCards(loras=(), text="There is no such LoRA here. Make one with /train NAME.")

    async def finish(context: ChatContext, result: LoraScores) -> LoraCards:
        return await _rank(context, words, loras, result)

    return RunTask(request=request, finish=finish)


async def _rank(context: ChatContext, words: str, loras: Sequence[LoraView], result: LoraScores) -> LoraCards:
    """Those that may still be used, the nearest first; what was seen of them is kept.

    CLIP's cosines of words with words are far higher than those with pictures: what has no picture is last.
    """
    space, person = context.space.id, context.person.id
    usable = await adapters.list_usable(context.session, space, person, info="no curves")
    still = {entry.id: entry for entry in usable}
    scored = []
    for lora, seen, score in zip(loras, result.candidates, result.scores, strict=True):
        if lora.id in still and score is not None:
            await save(context.session, still[lora.id], seen)
            scored.append((seen.picture is not None, score, still[lora.id]))
    scored.sort(key=lambda entry: entry[:2], reverse=True)
    near = [replace(lora, likeness=score if pictured else None) for pictured, score, lora in scored[:SHOWN]]
    near = await add_likes(context.session, space, near)
    return LoraCards(loras=tuple(near), text=_list_text(words, near))


def _list_text(words: str, near: Sequence[LoraView]) -> str:
    best = max((lora.likeness or 0.0 for lora in near), default=0.0) or 1.0
    rows = [(lora.name, _row(lora, best)) for lora in near]
    query = " ".join(words.split())
    return "\n".join([f"{pluralize(len(near), 'LoRA')} nearest to “{query}”:", *align(rows)])


def _row(lora: LoraView, best: float) -> str:
    if lora.likeness is None:
        return f"by its words alone, {lora.phrase}" if lora.phrase else "by its name alone"
    return ", ".join(filter(None, (f"{bar(lora.likeness / best)} {lora.likeness:.1f}", lora.phrase)))


def _caption(lora: LoraView) -> str:
    """The words that describe a LoRA, without its trigger."""
    _, _, kind = lora.phrase.partition(" ")
    return f"a picture of {kind or lora.name.replace('-', ' ')}"
