"""/me: what somebody uses here, and what they have left."""

from dataclasses import asdict, replace

from commands.admin.limits import WORDS
from commands.answers import SizedText
from commands.context import ChatContext
from commands.help import align
from commands.limits import files_of, reset_time, usage_of
from commands.syntax.spec import command
from storage import member_stats


@command
async def me(context: ChatContext) -> SizedText:
    """Show what you use here, what is left of it today, and what is yours."""
    session, space, person = context.session, context.space.id, context.person
    used, most = await usage_of(context, person.id), asdict(context.space_settings.limits)
    own = [
        ("LoRAs", str(await member_stats.count_loras(session, space, person.id))),
        ("your key", f"{person.key}{' (an admin here)' if context.admin else ''}"),
    ]
    blocked = ["an admin has blocked you here."] if context.space_settings.blocked else []
    last = [f"a day begins at {reset_time(context.now)}.", *blocked]

    def write(megabytes: float) -> str:
        amounts = asdict(replace(used, megabytes=megabytes))
        rows = [
            (WORDS[name], _usage_text(amounts[name], most[name]))
            for name in WORDS
            if name != "total" or most[name] is not None
        ]
        return "\n".join([f"{person.name}, this is yours here:", *align([*rows, *own]), *last])

    return SizedText(files=await files_of(context, person.id), write=write)


def _usage_text(used: float, most: int | None) -> str:
    if most is None:
        return f"{round(used):,}, without a limit"
    return f"{round(used):,} of {most:,}, {max(0, round(most - used)):,} left"
