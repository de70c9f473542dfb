"""/admin rules: words that are refused in a space, and what every picture avoids."""

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from typing import Annotated

from commands.admin.records import record
from commands.answers import Text
from commands.content_rules import MOST, normalize, read_rule
from commands.context import ChatContext
from commands.syntax.parser import closest
from commands.syntax.spec import Option, admin_command
from engine.messages import PROMPT_CHARACTERS, FlaggedPolicy, InvalidRequest, check_number
from storage import space_settings
from storage.rules import Rules, rules_to_json

NOTHING = "none"
FILTERED = {
    FlaggedPolicy.REFUSE: "never shown, except in channels for adults",
    FlaggedPolicy.SPOILER: "hidden until somebody opens it, except in channels for adults",
    FlaggedPolicy.SHOW: "shown",
}


class FlaggedChoice(StrEnum):
    """What admins may choose between; only channels for adults show everything."""

    SPOILER = "spoiler"
    REFUSE = "refuse"


def read_rules(text: str) -> tuple[str, ...]:
    """Words and patterns between commas; one pattern may have commas itself. Raises InvalidRequest."""
    text = text.strip()
    whole = text.startswith("/") and text.endswith("/") and text.count("/") == 2
    return (read_rule(text),) if whole else tuple(read_rule(part) for part in text.split(",") if part.strip())


@admin_command
async def admin_rules(
    context: ChatContext,
    *,
    refuse: Annotated[
        tuple[str, ...], Option("Words, or /a pattern/, that no prompt may have", read=read_rules)
    ] = (),
    adult: Annotated[
        tuple[str, ...],
        Option("The same, but allowed in channels for adults", read=read_rules),
    ] = (),
    allow: Annotated[tuple[str, ...], Option("Take these off both lists", read=read_rules)] = (),
    negative: Annotated[
        str | None, Option("What every picture here avoids, or none", otherwise="unchanged")
    ] = None,
    approve: Annotated[
        bool | None, Option("New LoRAs wait until an admin approves them", otherwise="unchanged")
    ] = None,
    filtered: Annotated[
        FlaggedChoice | None,
        Option(
            "What happens to pictures that the safety check flags", otherwise="unchanged, at first refuse"
        ),
    ] = None,
) -> Text:
    """Show or change what is refused here and what every picture avoids."""
    before = context.space_settings.rules
    after = before
    if refuse or adult:
        after = _add(after, refuse, adult)
    if allow:
        after = _remove(after, allow)
    if negative is not None:
        check_number("The length of --negative", len(negative), 0, PROMPT_CHARACTERS // 2)
        after = replace(after, negative="" if negative.strip().lower() == NOTHING else negative.strip())
    if approve is not None:
        after = replace(after, approve=approve)
    if filtered is not None:
        after = replace(after, filtered=FlaggedPolicy(filtered.value))
    if after != before:
        await space_settings.set_rules(context.session, context.space.id, after)
        await record(context, "rules", "rules", rules_to_json(before), rules_to_json(after))
    return Text(text=_rules_text(after))


def _add(rules: Rules, refuse: tuple[str, ...], adult: tuple[str, ...]) -> Rules:
    """Add words to the lists. A word is on one list only, the one it was put on last."""
    refused = (*(rule for rule in rules.refuse if rule not in adult), *refuse)
    adults = (*(rule for rule in rules.adult if rule not in refuse), *adult)
    after = replace(rules, refuse=tuple(dict.fromkeys(refused)), adult=tuple(dict.fromkeys(adults)))
    if len(after.refuse) + len(after.adult) > MOST:
        raise InvalidRequest(
            f"These would be more than {MOST} rules. One /pattern/ can stand for many words."
        )
    return after


def _remove(rules: Rules, allow: tuple[str, ...]) -> Rules:
    by_form = {normalize(rule): rule for rule in (*rules.refuse, *rules.adult)}
    for rule in allow:
        if rule not in by_form.values():
            meant = closest(rule, by_form.values())
            hint = f"Did you mean {meant}?" if meant else "/admin rules lists them."
            raise InvalidRequest(f"{rule!r} is not refused here. {hint}")
    stays: Callable[[str], bool] = lambda rule: rule not in allow  # noqa: E731
    return replace(rules, refuse=tuple(filter(stays, rules.refuse)), adult=tuple(filter(stays, rules.adult)))


def _rules_text(rules: Rules) -> str:
    return "\n".join(
        (
            f"Refused here: {', '.join(rules.refuse) or 'nothing'}",
            f"Only in channels for adults: {', '.join(rules.adult) or 'nothing'}",
            f"Avoided in every picture: {rules.negative or 'nothing'}",
            f"New LoRAs: {'wait for an admin' if rules.approve else 'need no admin'}",
            f"Flagged by the safety check: {FILTERED[rules.filtered]}",
        )
    )
