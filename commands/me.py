"""/me: what somebody uses here, and what they have left."""

from dataclasses import asdict

from commands.admin.limits import WORDS
from commands.answers import Text
from commands.context import ChatContext
from commands.help import align
from commands.limits import reset_time, usage_of
from commands.syntax.spec import command
from storage import member_stats


@command
async def me(context: ChatContext) -> Text:
    """Show what you use here, what is left of it today, and what is yours."""
    session, space, person = context.session, context.space.id, context.person
    used, most = asdict(await usage_of(context, person.id)), asdict(context.space_settings.limits)
    rows = [
        (WORDS[name], _usage_text(used[name], most[name]))
        for name in WORDS
        if name != "total" or most[name] is not None
    ]
    rows.append(("LoRAs", str(await member_stats.count_loras(session, space, person.id))))
    rows.append(("your key", f"{person.key}{' (an admin here)' if context.admin else ''}"))
    blocked = ["an admin has blocked you here."] if context.space_settings.blocked else []
    head = f"{person.name}, this is yours here:"
    return Text(text="\n".join([head, *align(rows), f"a day begins at {reset_time(context.now)}.", *blocked]))


def _usage_text(used: float, most: int | None) -> str:
    if most is None:
        return f"{round(used):,}, without a limit"
    return f"{round(used):,} of {most:,}, {max(0, round(most - used)):,} left"
