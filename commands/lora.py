"""/loras and /lora: LoRAs listed, and one of them shown, renamed, shared, deleted or downloaded."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated

from commands.answers import LoraCards, RunTask, SendFiles, Text, UpdateCards
from commands.context import ChatContext
from commands.help import align
from commands.lora_search import search_by_words
from commands.paint_settings import read_kept
from commands.recipe_text import lora_fields
from commands.syntax.numbers import pluralize
from commands.syntax.parser import closest, shorten
from commands.syntax.spec import Option, command, lists_folder
from commands.train import check_free, read_lora_name
from engine.messages import InvalidRequest, JobId
from storage import adapters, comparisons
from storage.adapters import LoraView
from storage.comparisons import ComparisonView
from storage.lora_approval import WeightBounds, names_of_retired
from storage.pictures import STAR
from storage.votes import add_likes

BARS = "▁▂▃▄▅▆▇█"
CURVE = 30  # characters


class Access(StrEnum):
    """Who may use a LoRA: its owner, everybody here, everybody anywhere."""

    ME = "me"
    SPACE = "space"
    EVERYBODY = "everybody"


ACCESS_TEXT: Mapping[str, str] = {
    Access.ME: "its owner only",
    Access.SPACE: "everybody here",
    Access.EVERYBODY: "everybody everywhere",
}


@lists_folder
@command
async def loras(
    context: ChatContext,
    words: Annotated[str, Option("Words in the name, preset or owner", otherwise="all")] = "",
    like: Annotated[str, Option("LoRAs that paint something like this, nearest first", otherwise="any")] = "",
) -> LoraCards | RunTask:
    """List the LoRAs you may use."""
    wanted = words.lower().split()
    space, person = context.space.id, context.person.id
    trained = await adapters.list_usable(context.session, space, person, info="no curves" if like else "none")
    matching = [lora for lora in trained if all(word in _search_text(lora) for word in wanted)]
    if like:
        return await search_by_words(context, like, matching)
    names = {lora.name for lora in trained} | await names_of_retired(context.session, context.space.id)
    folder = await context.library.list_files()
    others = {
        name: folder.file_name(name)
        for name in sorted(folder.offered)
        if name not in names and all(word in f"{name} {folder.file_name(name)}".lower() for word in wanted)
    }
    matching = await add_likes(context.session, context.space.id, matching)
    return LoraCards(loras=tuple(matching), text=_list_text(matching, others))


@lists_folder
@command
async def lora(
    context: ChatContext,
    name: Annotated[str, Option("Which LoRA, such as maria", kind="lora", read=read_lora_name)],
    rename: Annotated[
        str | None,
        Option("New name", kind="name", read=read_lora_name, otherwise="its name stays"),
    ] = None,
    share: Annotated[Access | None, Option("Who may use it", otherwise="as it is, at first only you")] = None,
    delete: Annotated[bool, Option("Delete it for good")] = False,
    download: Annotated[bool, Option("Get the file")] = False,
    paint: Annotated[
        str | None,
        Option(
            "Settings that suit it, such as --steps 30 --cfg 5, or none",
            read=read_kept,
            otherwise="as they are",
        ),
    ] = None,
) -> LoraCards | Text | UpdateCards | SendFiles:
    """Show how a LoRA was made, or rename, share, delete or download it, or keep settings with it."""
    changes = [rename is not None, share is not None, delete, download, paint is not None]
    if sum(changes) > 1:
        raise InvalidRequest("Use only one of --rename, --share, --delete, --download or --paint.")
    view = await adapters.find_usable(context.session, context.space.id, context.person.id, name)
    if view is None and name in await names_of_retired(context.session, context.space.id):
        raise InvalidRequest(f"The LoRA {name} is retired here. An admin can restore it.")
    if view is None:
        return await _show_operator_lora(context, name, changed=any(changes))
    if rename is not None:
        return await _rename(context, view, rename)
    if share is not None:
        return await _share(context, view, share)
    if delete:
        return await _delete(context, view)
    if paint is not None:
        return await _keep_paint_settings(context, view, paint)
    if download:
        return SendFiles(files=((f"{view.name}.safetensors", view.sha256),), text=example_command(view))
    compared = await comparisons.of_lora(context.session, context.space.id, view.sha256)
    (view,) = await add_likes(context.session, context.space.id, [view])
    return LoraCards(loras=(view,), text=_details(view, compared))


async def _rename(context: ChatContext, lora: LoraView, name: str) -> UpdateCards:
    _check_owner(context, lora, "rename")
    if name != lora.name:
        await check_free(context, name, lora.space_id)
        await adapters.rename(context.session, lora.id, name)
    return UpdateCards(jobs=_card(lora), text=f"The LoRA {lora.name} is now called {name}.")


async def _keep_paint_settings(context: ChatContext, lora: LoraView, words: str) -> Text:
    _check_owner(context, lora, "change")
    await adapters.save_paint_settings(context.session, lora.id, words)
    if not words:
        return Text(text=f"The LoRA {lora.name} has no settings of its own any more.")
    return Text(text=f"The LoRA {lora.name} paints with {words} wherever nothing else is said.")


async def _share(context: ChatContext, lora: LoraView, access: Access) -> UpdateCards:
    _check_owner(context, lora, "share")
    await adapters.share(context.session, lora.id, access.value)
    text = f"The LoRA {lora.name} can be used by {ACCESS_TEXT[access]}"
    if lora.approval and access is not Access.ME:
        return UpdateCards(jobs=(), text=f"{text} once an admin approves it ({approval_text(lora)}).")
    return UpdateCards(jobs=(), text=f"{text}.")


async def _delete(context: ChatContext, lora: LoraView) -> UpdateCards:
    _check_owner(context, lora, "delete")
    unneeded = await adapters.delete(context.session, lora.id, context.now)
    return UpdateCards(jobs=_card(lora), text=f"The LoRA {lora.name} is deleted.", unneeded=tuple(unneeded))


def _card(lora: LoraView) -> tuple[JobId, ...]:
    """The job whose card shows the LoRA's name."""
    return () if lora.job is None else (lora.job,)


async def _show_operator_lora(context: ChatContext, name: str, *, changed: bool) -> Text:
    """The answer for a LoRA of the operator's folder, which nobody can change. Raises InvalidRequest."""
    names = await context.library.names()
    if name not in names:
        meant = closest(name, names)
        hint = f"Did you mean {meant}?" if meant else "/loras lists them all."
        raise InvalidRequest(f"There is no LoRA {shorten(name)!r}. {hint}")
    if changed:
        raise InvalidRequest(f"The LoRA {name} belongs to the operator and cannot be changed here.")
    return Text(
        text=f"{name} belongs to the operator and was not trained here.\n/imagine a fox --lora {name}"
    )


def _check_owner(context: ChatContext, lora: LoraView, verb: str) -> None:
    if lora.person_id != context.person.id:
        raise InvalidRequest(f"Only {lora.person or 'its owner'} can {verb} the LoRA {lora.name}.")


def _search_text(lora: LoraView) -> str:
    return " ".join((lora.name, lora.phrase, lora.preset, lora.person)).lower()


def _list_text(loras: Sequence[LoraView], others: Mapping[str, str]) -> str:
    rows = [(lora.name, _row(lora)) for lora in loras]
    rows += [(name, f"the operator's {file}".rstrip()) for name, file in others.items()]
    if not rows:
        return "There is no such LoRA here. Make one with /train NAME."
    return "\n".join([f"{pluralize(len(rows), 'LoRA')} you may use:", *align(rows)])


def _row(lora: LoraView) -> str:
    parts = (
        lora.phrase,
        lora.preset,
        f"by {lora.person}" if lora.person else "",
        f"for {ACCESS_TEXT[lora.access]}",
        f"weight {lora.hint:g}" if lora.hint != 1 else "",
        approval_text(lora),
        pluralize(lora.uses, "use") if lora.uses else "",
        pluralize(lora.likes, "like") if lora.likes else "",
    )
    return ", ".join(filter(None, parts))


def approval_text(lora: LoraView) -> str:
    """The approval in words; "" for an approved LoRA."""
    words = {"waiting": "waiting for an admin", "refused": "refused by an admin", "retired": "retired"}
    text = words.get(lora.approval, "")
    return f"{text}: {lora.reason}" if text and lora.reason else text


def bounds_text(least: float | None, most: float | None) -> str:
    """The allowed weights in words; "" when all are allowed."""
    if least is None and most is None:
        return ""
    ends = (("from", least), ("to", most))
    return " ".join(f"{word} {number:g}" for word, number in ends if number is not None)


def check_weight(bounds: WeightBounds, weight: float) -> None:
    """Raise InvalidRequest when admins do not allow this weight."""
    if not bounds.contains(weight):
        allowed = bounds_text(bounds.least, bounds.most)
        raise InvalidRequest(f"The weight of LoRA {bounds.name} must be {allowed} here, not {weight:g}.")


def example_command(lora: LoraView) -> str:
    """A command that paints with the LoRA."""
    return f"/imagine a picture of {lora.phrase or 'a fox'} --lora {lora.name}"


def _details(lora: LoraView, compared: Sequence[ComparisonView]) -> str:
    """Everything about a LoRA: trigger, owner, use, settings, comparisons and loss."""
    rows = [
        ("trigger", lora.phrase),
        ("made by", lora.person),
        ("for", ACCESS_TEXT[lora.access]),
        ("state", approval_text(lora)),
        ("used", pluralize(lora.uses, "time")),
        ("likes", str(lora.likes) if lora.likes else ""),
        ("paints with", lora.paint),
        ("weight", ", ".join(filter(None, (f"{lora.hint:g}", bounds_text(lora.least, lora.most))))),
        *lora_fields(lora),
        *(("compared", comparison_text(each)) for each in compared),
        ("loss", _curve_text([value for _, value in lora.info.get("losses", ())])),
    ]
    shown = [(label, text) for label, text in rows if text]
    return "\n".join([f"{lora.name}:", *align(shown), example_command(lora)])


def comparison_text(comparison: ComparisonView) -> str:
    """CLIP's scores of a comparison, its stars, and the command that shows it."""
    scores = [
        score.name if score.clip is None else f"{score.name} {score.clip:.1f}" for score in comparison.scores
    ]
    stars = f"{comparison.stars} {STAR}, " if comparison.stars else ""
    return f"{', '.join(scores)} ({stars}/show {comparison.job})"


def _curve_text(losses: Sequence[float]) -> str:
    """The loss as a line of bars, from the first step to the last."""
    if not losses:
        return ""
    stride = -(-len(losses) // CURVE)
    means = [
        sum(part) / len(part) for part in (losses[at : at + stride] for at in range(0, len(losses), stride))
    ]
    low, high = min(means), max(means)
    span = (high - low) or 1.0
    return "".join(BARS[round((mean - low) / span * (len(BARS) - 1))] for mean in means)
