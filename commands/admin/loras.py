"""/admin loras: all LoRAs of a space, their approval, weights and owners."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

from commands.admin.records import find_person, record
from commands.answers import Text, UpdateCards
from commands.context import ChatContext
from commands.help import align
from commands.lora import ACCESS_TEXT, Access, approval_text, bounds_text, check_weight
from commands.syntax.lora_syntax import OperatorFiles, printable
from commands.syntax.numbers import pluralize
from commands.syntax.parser import closest, join_list, shorten
from commands.syntax.spec import Option, admin_command, lists_folder
from commands.train import read_lora_name
from engine.messages import ADAPTER_WEIGHT, InvalidRequest, check_number
from storage import adapters, lora_approval
from storage.adapters import LoraView

NONE = "none"
LONGEST = 200  # characters of a reason
SHOWN = 20  # files of the operator's folder
Change = Callable[[ChatContext, LoraView], Awaitable[UpdateCards]]


def read_weight(text: str) -> float | str:
    """A weight, or the word none. Raises InvalidRequest."""
    return NONE if text.strip().lower() == NONE else _read_number("A weight", text)


def read_bounds(text: str) -> tuple[float, float] | str:
    """Two weights as in "0.2 to 1", or the word none. Raises InvalidRequest."""
    if text.strip().lower() == NONE:
        return NONE
    parts = text.replace("..", " ").replace(" to ", " ").replace(",", " ").split()
    if len(parts) != 2:
        raise InvalidRequest(
            f"--weights must be two weights such as 0.2 to 1, or none, not {shorten(text)!r}."
        )
    least, most = (_read_number("A weight", part) for part in parts)
    if least > most:
        raise InvalidRequest(f"The lowest weight, {least:g}, is above the highest, {most:g}.")
    return least, most


@lists_folder
@admin_command
async def admin_loras(
    context: ChatContext,
    name: Annotated[str, Option("One of them", otherwise="all")] = "",
    approve: Annotated[bool, Option("Let others use it as its owner shares it")] = False,
    refuse: Annotated[str, Option("Leave it to its owner alone, with your reason", otherwise="no")] = "",
    retire: Annotated[bool, Option("Let nobody use it any more, old recipes still name it")] = False,
    restore: Annotated[bool, Option("Let it be used again")] = False,
    usual: Annotated[
        float | str | None,
        Option(
            "Put it into every new picture at this weight, or none",
            read=read_weight,
            otherwise="unchanged",
        ),
    ] = None,
    weights: Annotated[
        tuple[float, float] | str | None,
        Option("Allowed weights, such as 0.2 to 1, or none", read=read_bounds, otherwise="unchanged"),
    ] = None,
    give: Annotated[str, Option("New owner", otherwise="unchanged")] = "",
    delete: Annotated[bool, Option("Delete it for good, with its files")] = False,
    sure: Annotated[bool, Option("Yes, delete it for good")] = False,
) -> Text | UpdateCards:
    """List all LoRAs here, or approve, refuse, retire, restore, limit, give or delete one."""
    wanted: Mapping[str, Change | None] = {
        "--approve": _approve if approve else None,
        "--refuse": _refuse(refuse) if refuse else None,
        "--retire": _retire if retire else None,
        "--restore": _restore if restore else None,
        "--usual": None if usual is None else _set_usual(usual),
        "--weights": None if weights is None else _set_bounds(weights),
        "--give": _give(give) if give else None,
        "--delete": _delete(sure=sure) if delete else None,
    }
    changes = [change for change in wanted.values() if change is not None]
    if len(changes) > 1:
        raise InvalidRequest(f"Use only one of {join_list(list(wanted), 'or')}.")
    if not changes:
        return await _list(context, name)
    if not name:
        raise InvalidRequest("Say which LoRA. /admin loras lists them.")
    return await changes[0](context, await find_lora(context, name))


async def find_lora(context: ChatContext, text: str) -> LoraView:
    """The LoRA of this space with this name. Raises InvalidRequest."""
    name = read_lora_name(text)
    loras = await adapters.list_of_space(context.session, context.space.id, name)
    if loras:
        return loras[0]
    names = [lora.name for lora in await adapters.list_of_space(context.session, context.space.id)]
    meant = closest(name, names)
    hint = f"Did you mean {meant}?" if meant else "/admin loras lists them."
    raise InvalidRequest(f"No LoRA made here is called {shorten(name)!r}. {hint}")


async def _set_approval(
    context: ChatContext, lora: LoraView, to: lora_approval.Approval, sentence: str, reason: str = ""
) -> UpdateCards:
    """Change the approval of a LoRA and record that. Raises InvalidRequest when nothing changes."""
    if (lora.approval, lora.reason) == (to, reason):
        raise InvalidRequest(
            f"Nothing changed. The LoRA {lora.name} is already {approval_text(lora) or 'approved'}."
        )
    await lora_approval.set_approval(context.session, lora.id, to, reason)
    before, after = (
        {"standing": approval or "approved", "reason": why}
        for approval, why in ((lora.approval, lora.reason), (to, reason))
    )
    return await _record_change(context, lora, sentence, before, after)


async def _approve(context: ChatContext, lora: LoraView) -> UpdateCards:
    return await _set_approval(context, lora, "", f"can be used by {ACCESS_TEXT[lora.access]} now.")


def _refuse(reason: str) -> Change:
    check_number("The length of a reason", len(reason), 1, LONGEST)

    async def change(context: ChatContext, lora: LoraView) -> UpdateCards:
        return await _set_approval(
            context, lora, "refused", "can only be used by its owner, who sees why.", reason.strip()
        )

    return change


async def _retire(context: ChatContext, lora: LoraView) -> UpdateCards:
    return await _set_approval(context, lora, "retired", "is retired. --restore brings it back.")


async def _restore(context: ChatContext, lora: LoraView) -> UpdateCards:
    if lora.approval != "retired":
        raise InvalidRequest(f"The LoRA {lora.name} is not retired.")
    return await _set_approval(context, lora, "", "can be used again.")


def _set_usual(weight: float | str) -> Change:
    async def change(context: ChatContext, lora: LoraView) -> UpdateCards:
        after = None if isinstance(weight, str) else weight
        if after is not None:
            _check_usual(lora, after)
        await lora_approval.set_usual_weight(context.session, lora.id, after)
        sentence = (
            "is in new pictures only where somebody asks for it."
            if after is None
            else f"is in every new picture here at {after:g}. --lora {lora.name}:0 leaves it out."
        )
        return await _record_change(context, lora, sentence, {"usual": lora.usual}, {"usual": after})

    return change


def _check_usual(lora: LoraView, weight: float) -> None:
    """Raise InvalidRequest when not everybody here could use the LoRA at this weight."""
    if lora.approval or lora.access == Access.ME:
        raise InvalidRequest(
            f"The LoRA {lora.name} is not for everybody here. {lora.person or 'Its owner'} shares it with "
            f"/lora {lora.name} --share space, and an admin approves it."
        )
    if lora.tokens:
        raise InvalidRequest(
            f"The LoRA {lora.name} brings a new token, and a picture can have only one such LoRA. "
            "It cannot be in all of them."
        )
    limits = lora_approval.WeightBounds(name=lora.name, sha256=lora.sha256, least=lora.least, most=lora.most)
    check_weight(limits, weight)


def _set_bounds(weights: tuple[float, float] | str) -> Change:
    async def change(context: ChatContext, lora: LoraView) -> UpdateCards:
        least, most = (None, None) if isinstance(weights, str) else weights
        await lora_approval.set_weight_bounds(context.session, lora.id, least, most)
        sentence = f"can be used at weights {bounds_text(least, most) or 'of any size'}."
        before, after = {"least": lora.least, "most": lora.most}, {"least": least, "most": most}
        return await _record_change(context, lora, sentence, before, after)

    return change


def _give(who: str) -> Change:
    async def change(context: ChatContext, lora: LoraView) -> UpdateCards:
        person = await find_person(context, who)
        if person.id == lora.person_id:
            raise InvalidRequest(f"The LoRA {lora.name} already belongs to {person.name}.")
        await lora_approval.set_owner(context.session, lora.id, person.id)
        before, after = {"owner": lora.person_key}, {"owner": person.key}
        return await _record_change(context, lora, f"now belongs to {person.name}.", before, after)

    return change


def _delete(*, sure: bool) -> Change:
    async def change(context: ChatContext, lora: LoraView) -> UpdateCards:
        if not sure:
            raise InvalidRequest(
                f"This deletes the LoRA {lora.name} for good, with its files. Add --sure, or --retire it."
            )
        unneeded = await adapters.delete(context.session, lora.id, context.now)
        await record(context, "loras", f"LoRA {lora.name}", {"owner": lora.person_key}, None)
        jobs = () if lora.job is None else (lora.job,)
        return UpdateCards(jobs=jobs, text=f"The LoRA {lora.name} is deleted.", unneeded=tuple(unneeded))

    return change


async def _record_change(
    context: ChatContext, lora: LoraView, sentence: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> UpdateCards:
    await record(context, "loras", f"LoRA {lora.name}", before, after)
    return UpdateCards(jobs=() if lora.job is None else (lora.job,), text=f"The LoRA {lora.name} {sentence}")


async def _list(context: ChatContext, name: str) -> Text:
    if name:
        loras = [await find_lora(context, name)]
    else:
        loras = await adapters.list_of_space(context.session, context.space.id)
    rows = align([(lora.name, _row(lora)) for lora in loras])
    asks = "new ones wait for an admin" if context.space_settings.rules.approve else "new ones need no admin"
    head = f"{pluralize(len(loras), 'LoRA')} made here ({asks}, see /admin rules --approve):"
    lines = [head, *(rows or ["  none"])]
    return Text(
        text="\n".join(lines if name else [*lines, *_rows_of_skipped(await context.library.list_files())])
    )


def _rows_of_skipped(folder: OperatorFiles) -> list[str]:
    """The skipped files of the operator's folder, and why each was skipped."""
    rows = [(printable(file), why) for file, why in sorted(folder.passed.items())]
    more = [f"  and {len(rows) - SHOWN} more"] if len(rows) > SHOWN else []
    head = f"{pluralize(len(rows), 'file')} in the operator's folder skipped:"
    return [head, *align(rows[:SHOWN]), *more] if rows else []


def _row(lora: LoraView) -> str:
    allowed = bounds_text(lora.least, lora.most)
    parts = (
        approval_text(lora),
        f"by {lora.person}" if lora.person else "",
        f"for {ACCESS_TEXT[lora.access]}",
        f"in every picture at {lora.usual:g}" if lora.usual is not None else "",
        f"weights {allowed}" if allowed else "",
        pluralize(lora.uses, "use"),
    )
    return ", ".join(filter(None, parts))


def _read_number(subject: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise InvalidRequest(f"{subject} must be a number or none, not {shorten(text)!r}.") from None
    check_number(subject, number, *ADAPTER_WEIGHT)
    return number
