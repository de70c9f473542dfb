"""/loras --like: the LoRAs whose pictures are nearest to somebody's words, by CLIP."""

from collections.abc import Sequence
from dataclasses import replace

from commands.answers import LoraCards, RunTask
from commands.context import ChatContext
from commands.help import aligned
from commands.syntax.numbers import counted
from engine.messages import LoraScores, SearchLoras
from storage import adapters
from storage.adapters import LoraView
from storage.clip_embeddings import face, save
from storage.votes import add_likes

SHOWN = 12
WIDE = 10  # characters of a meter


def meter(share: float) -> str:
    """A share of 1, as a bar: "▓▓▓▓░░░░░░"."""
    full = round(min(1.0, max(0.0, share)) * WIDE)
    return "▓" * full + "░" * (WIDE - full)


async def likened(context: ChatContext, words: str, loras: Sequence[LoraView]) -> RunTask | LoraCards:
    """The engine is asked which of these fit the words. Raises InvalidRequest."""
    asked = SearchLoras(
        job=context.job, words=words, candidates=tuple(face(one, _words(one)) for one in loras)
    )
    if not loras:
        return LoraCards(loras=(), text="there is no such LoRA here: /train NAME makes one.")

    async def finish(context: ChatContext, result: LoraScores) -> LoraCards:
        return await _ranked(context, words, loras, result)

    return RunTask(request=asked, finish=finish)


async def _ranked(
    context: ChatContext, words: str, loras: Sequence[LoraView], result: LoraScores
) -> LoraCards:
    """Those that may still be used, the nearest first; what was seen of them is kept.

    CLIP's cosines of words with words are far higher than those with pictures: what has no picture is last.
    """
    space, person = context.space.id, context.person.id
    still = {one.id: one for one in await adapters.list_usable(context.session, space, person)}
    found = []
    for lora, seen, score in zip(loras, result.candidates, result.scores, strict=True):
        if lora.id in still and score is not None:
            await save(context.session, still[lora.id], seen)
            found.append((seen.picture is not None, score, still[lora.id]))
    found.sort(key=lambda one: one[:2], reverse=True)
    near = [replace(lora, likeness=score if pictured else None) for pictured, score, lora in found[:SHOWN]]
    near = await add_likes(context.session, space, near)
    return LoraCards(loras=tuple(near), text=_told(words, near))


def _told(words: str, near: Sequence[LoraView]) -> str:
    best = max((one.likeness or 0.0 for one in near), default=0.0) or 1.0
    rows = [(one.name, _row(one, best)) for one in near]
    said = " ".join(words.split())
    return "\n".join([f"{counted(len(near), 'LoRA')} nearest to “{said}”:", *aligned(rows)])


def _row(one: LoraView, best: float) -> str:
    if one.likeness is None:
        return f"by its words alone, {one.phrase}" if one.phrase else "by its name alone"
    return ", ".join(filter(None, (f"{meter(one.likeness / best)} {one.likeness:.1f}", one.phrase)))


def _words(one: LoraView) -> str:
    """What is said of it, without the word that means nothing."""
    _, _, kind = one.phrase.partition(" ")
    return f"a picture of {kind or one.name.replace('-', ' ')}"
