"""/me: what somebody has used here, and what is left."""

from dataclasses import asdict, replace

from commands.admin.limits import WORDS, usage_text
from commands.answers import SizedText
from commands.context import ChatContext
from commands.help import align
from commands.limits import files_of, reset_time, usage_of
from commands.syntax.spec import command
from storage import member_stats


@command
async def me(context: ChatContext) -> SizedText:
    """Show what you use here and what is left of it today."""
    session, space, person = context.session, context.space.id, context.person
    used, most = await usage_of(context, person.id), asdict(context.space_settings.limits)
    own = [
        ("LoRAs:", str(await member_stats.count_loras(session, space, person.id))),
        ("Your key:", f"{person.key}{' (an admin here)' if context.admin else ''}"),
    ]
    blocked = ["An admin has blocked you here."] if context.space_settings.blocked else []
    last = [f"The next day starts at {reset_time(context.now)}.", *blocked]

    def write(megabytes: float) -> str:
        amounts = asdict(replace(used, megabytes=megabytes))
        rows = [
            (f"{WORDS[name]}:", usage_text(name, amounts[name], most[name]))
            for name in WORDS
            if name != "total" or most[name] is not None
        ]
        return "\n".join([f"Your usage here, {person.name}:", *align([*rows, *own]), *last])

    return SizedText(files=await files_of(context, person.id), write=write)
