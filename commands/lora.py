"""/loras and /lora: what has been learned here, and who may use it."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated

from commands.answers import LoraCards, RunTask, SendFiles, Text, UpdateCards
from commands.context import ChatContext
from commands.help import aligned
from commands.lora_search import likened
from commands.recipe_text import lora_fields
from commands.syntax.numbers import counted
from commands.syntax.parser import near, short
from commands.syntax.spec import Option, command, lists_folder
from commands.train import check_free, lora_name
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


SHARED: Mapping[str, str] = {
    Access.ME: "its owner alone",
    Access.SPACE: "everybody here",
    Access.EVERYBODY: "everybody, anywhere",
}


@lists_folder
@command
async def loras(
    context: ChatContext,
    words: Annotated[
        str, Option("only those with these words in name, preset or owner", otherwise="all")
    ] = "",
    like: Annotated[
        str, Option("only those that paint something like this, the nearest first", otherwise="any")
    ] = "",
) -> LoraCards | RunTask:
    """List the LoRAs that you may use."""
    wanted = words.lower().split()
    trained = await adapters.list_usable(context.session, context.space.id, context.person.id)
    found = [one for one in trained if all(word in _words(one) for word in wanted)]
    if like:
        return await likened(context, like, found)
    names = {one.name for one in trained} | await names_of_retired(context.session, context.space.id)
    lying = await context.library.lying()
    others = {
        name: lying.called(name)
        for name in sorted(lying.offered)
        if name not in names and all(word in f"{name} {lying.called(name)}".lower() for word in wanted)
    }
    found = await add_likes(context.session, context.space.id, found)
    return LoraCards(loras=tuple(found), text=_listed(found, others))


@lists_folder
@command
async def lora(
    context: ChatContext,
    name: Annotated[str, Option("which LoRA, such as maria", kind="lora", read=lora_name)],
    rename: Annotated[
        str | None, Option("call it so from now on", kind="name", read=lora_name, otherwise="its name stays")
    ] = None,
    share: Annotated[
        Access | None, Option("who may use it", otherwise="as it is, at first you alone")
    ] = None,
    delete: Annotated[bool, Option("delete it for good")] = False,
    download: Annotated[bool, Option("get the file")] = False,
) -> LoraCards | Text | UpdateCards | SendFiles:
    """Tell how a LoRA was made, or rename, share, delete or download it."""
    said = [rename is not None, share is not None, delete, download]
    if sum(said) > 1:
        raise InvalidRequest("say one thing at a time: --rename, --share, --delete or --download.")
    known = await adapters.find_usable(context.session, context.space.id, context.person.id, name)
    if known is None and name in await names_of_retired(context.session, context.space.id):
        raise InvalidRequest(f"the LoRA {name} is retired here: an admin can restore it.")
    if known is None:
        return await _of_the_folder(context, name, changed=any(said))
    if rename is not None:
        return await _rename(context, known, rename)
    if share is not None:
        return await _share(context, known, share)
    if delete:
        return await _delete(context, known)
    if download:
        return SendFiles(files=((f"{known.name}.safetensors", known.sha256),), text=line(known))
    made = await comparisons.of_lora(context.session, context.space.id, known.sha256)
    (known,) = await add_likes(context.session, context.space.id, [known])
    return LoraCards(loras=(known,), text=_told(known, made))


async def _rename(context: ChatContext, known: LoraView, name: str) -> UpdateCards:
    _check_owner(context, known, "rename")
    if name != known.name:
        await check_free(context, name, known.space_id)
        await adapters.rename(context.session, known.id, name)
    return UpdateCards(jobs=_card(known), text=f"the LoRA {known.name} is called {name} now.")


async def _share(context: ChatContext, known: LoraView, access: Access) -> UpdateCards:
    _check_owner(context, known, "share")
    await adapters.share(context.session, known.id, access.value)
    text = f"the LoRA {known.name} can be used by {SHARED[access]}"
    if known.standing and access is not Access.ME:
        return UpdateCards(jobs=(), text=f"{text} once an admin has said yes: {standing_words(known)}.")
    return UpdateCards(jobs=(), text=f"{text}.")


async def _delete(context: ChatContext, known: LoraView) -> UpdateCards:
    _check_owner(context, known, "delete")
    unneeded = await adapters.delete(context.session, known.id, context.now)
    return UpdateCards(jobs=_card(known), text=f"the LoRA {known.name} is deleted.", unneeded=tuple(unneeded))


def _card(known: LoraView) -> tuple[JobId, ...]:
    """The training that made it: its card tells the LoRA's name."""
    return () if known.job is None else (known.job,)


async def _of_the_folder(context: ChatContext, name: str, *, changed: bool) -> Text:
    """A LoRA that the operator put there can be used, and no more. Raises InvalidRequest."""
    names = await context.library.names()
    if name not in names:
        meant = near(name, names)
        hint = f"did you mean {meant}?" if meant else "/loras tells them all."
        raise InvalidRequest(f"there is no LoRA {short(name)!r}: {hint}")
    if changed:
        raise InvalidRequest(f"the LoRA {name} was not trained here: it is the operator's.")
    return Text(text=f"{name} was not trained here: it is the operator's.\n/imagine a fox --lora {name}")


def _check_owner(context: ChatContext, known: LoraView, verb: str) -> None:
    if known.person_id != context.person.id:
        raise InvalidRequest(f"only {known.person or 'its owner'} can {verb} the LoRA {known.name}.")


def _words(one: LoraView) -> str:
    return " ".join((one.name, one.phrase, one.preset, one.person)).lower()


def _listed(found: Sequence[LoraView], others: Mapping[str, str]) -> str:
    rows = [(one.name, _row(one)) for one in found]
    rows += [(name, f"the operator's {file}".rstrip()) for name, file in others.items()]
    if not rows:
        return "there is no such LoRA here: /train NAME makes one."
    return "\n".join([f"{counted(len(rows), 'LoRA')} that you may use:", *aligned(rows)])


def _row(one: LoraView) -> str:
    parts = (
        one.phrase,
        one.preset,
        f"by {one.person}" if one.person else "",
        f"for {SHARED[one.access]}",
        f"weight {one.hint:g}" if one.hint != 1 else "",
        standing_words(one),
        counted(one.uses, "use") if one.uses else "",
        counted(one.likes, "like") if one.likes else "",
    )
    return ", ".join(filter(None, parts))


def standing_words(one: LoraView) -> str:
    """What keepers say of it, where that is not simply yes."""
    words = {"waiting": "it waits for an admin", "refused": "refused by an admin", "retired": "retired"}
    said = words.get(one.standing, "")
    return f"{said}: {one.reason}" if said and one.reason else said


def bounds_words(least: float | None, most: float | None) -> str:
    """The weights at which it may be used, where not all are allowed."""
    if least is None and most is None:
        return ""
    ends = (("from", least), ("to", most))
    return " ".join(f"{word} {number:g}" for word, number in ends if number is not None)


def check_weight(bounds: WeightBounds, weight: float) -> None:
    """Raise InvalidRequest when keepers do not let it be used at this weight."""
    if not bounds.hold(weight):
        allowed = bounds_words(bounds.least, bounds.most)
        raise InvalidRequest(
            f"the weight of LoRA {bounds.name} is {weight:g}, but here it must be {allowed}."
        )


def line(one: LoraView) -> str:
    """What paints with it."""
    return f"/imagine a picture of {one.phrase or 'a fox'} --lora {one.name}"


def _told(one: LoraView, made: Sequence[ComparisonView]) -> str:
    """All about it, for people: how it is used, whose it is, how it was made and how it compares."""
    rows = [
        ("calls it up", one.phrase),
        ("made by", one.person),
        ("for", SHARED[one.access]),
        ("state", standing_words(one)),
        ("used", counted(one.uses, "time")),
        ("likes", str(one.likes) if one.likes else ""),
        ("weight", ", ".join(filter(None, (f"{one.hint:g}", bounds_words(one.least, one.most))))),
        *lora_fields(one),
        *(("compared", compared(each)) for each in made),
        ("loss", _curve([value for _, value in one.info.get("losses", ())])),
    ]
    shown = [(label, text) for label, text in rows if text]
    return "\n".join([f"{one.name}:", *aligned(shown), line(one)])


def compared(made: ComparisonView) -> str:
    """What CLIP said of a comparison, how many keep it, and how it is seen again."""
    scores = [one.name if one.clip is None else f"{one.name} {one.clip:.1f}" for one in made.scores]
    stars = f"{made.stars} {STAR}, " if made.stars else ""
    return f"{', '.join(scores)} ({stars}/show {made.job})"


def _curve(losses: Sequence[float]) -> str:
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
