"""/privacy: what is stored about somebody, to see, to export or to delete."""

from typing import Annotated

from commands.answers import ExportData, ForgetPerson, Text
from commands.context import ChatContext
from commands.help import align
from commands.syntax.numbers import pluralize
from commands.syntax.spec import Option, command
from storage import privacy as stored
from storage.privacy import StoredCounts

NOTHING = "Nothing is stored about you here except your name."
CONFIRM = "This deletes all of it for good, in all spaces of this chat, and stops what runs:"
SURE = "/privacy delete --sure does it. /privacy export sends you everything first."
DELETED = "You are forgotten here. This is gone for good, and your cards leave the chat:"
LEFT = (
    "What others painted with your LoRAs is theirs and stays. Where there are limits, what you used today "
    "is known until tomorrow, and a block stays a block. What you say next is stored again."
)


@command
async def privacy(context: ChatContext) -> Text:
    """Show what is stored about you."""
    counts = await stored.count_stored(context.session, context.person.id)
    if not counts.anything:
        return Text(text=NOTHING)
    name = f"Stored about you in all spaces of this chat, under the name {context.person.name}:"
    return Text(
        text="\n".join(
            [
                name,
                *_rows(counts),
                "/privacy export sends you all of it as a zip. /privacy delete deletes it for good.",
            ]
        )
    )


@command
async def privacy_export(context: ChatContext) -> ExportData:
    """Get all that is stored about you as a zip, privately."""
    return ExportData(text="All that is stored about you. You can download it for a day.")


@command
async def privacy_delete(
    context: ChatContext, *, sure: Annotated[bool, Option("Yes, delete all of it for good")] = False
) -> Text | ForgetPerson:
    """Delete all that is stored about you, for good."""
    if not sure:
        counts = await stored.count_stored(context.session, context.person.id)
        return Text(text="\n".join([CONFIRM, *_rows(counts), SURE]) if counts.anything else NOTHING)
    forgotten = await stored.forget_person(context.session, context.person.id, context.now)
    return ForgetPerson(forgotten=forgotten, text="\n".join([DELETED, *_rows(forgotten.counts), LEFT]))


def _rows(counts: StoredCounts) -> list[str]:
    """A row for each kind of thing that is stored."""
    rows = [
        (pluralize(counts.prompts, "prompt"), "what you asked for, with its settings"),
        (pluralize(counts.pictures, "picture"), "painted for you"),
        (pluralize(counts.trainings, "training"), "its words, report and curve, and what its steps painted"),
        (pluralize(counts.training_pictures, "training picture"), "what your trainings learn from"),
        (pluralize(counts.checkpoints, "checkpoint"), "what they had learned on their way"),
        (pluralize(counts.adapters, "LoRA"), "that you own"),
        (pluralize(counts.votes, "vote"), "pictures that you keep"),
        (pluralize(counts.settings, "setting"), "your defaults for /imagine"),
        (pluralize(counts.uploads, "file"), "that you sent or requested lately, deleted after a day"),
    ]
    return align([row for row in rows if not row[0].startswith("0 ")]) or ["nothing but your name"]
