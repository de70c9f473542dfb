"""The router from a reply to the method of a chat's sink that shows it, now or after a deferral."""

import asyncio
from collections.abc import Awaitable

import structlog

from bot.chats.interface import (
    CardReply,
    FilesReply,
    FormReply,
    ImageReply,
    LorasReply,
    RefusalReply,
    Reply,
    ReplySink,
    TextReply,
)

log = structlog.get_logger(__name__)


async def answer(reply: Awaitable[Reply], sink: ReplySink, patience: float | None = None) -> None:
    """Show the reply; a sink that has shown nothing within `patience` seconds says that it takes a while."""
    deferral = None if patience is None else asyncio.create_task(_defer(sink, patience))
    try:
        await show(await reply, sink)
    finally:
        if deferral is not None:
            deferral.cancel()
            await asyncio.gather(deferral, return_exceptions=True)


async def show(reply: Reply, sink: ReplySink) -> None:
    """Show the reply in this sink."""
    match reply:
        case TextReply():
            await sink.show_text(reply)
        case RefusalReply():
            await sink.show_refusal(reply)
        case FormReply():
            await sink.open_form(reply)
        case FilesReply():
            await sink.send_files(reply)
        case ImageReply():
            await sink.show_image(reply)
        case LorasReply():
            await sink.show_loras(reply)
        case CardReply():
            await sink.show_card(reply)


async def _defer(sink: ReplySink, patience: float) -> None:
    await asyncio.sleep(patience)
    try:
        await sink.defer()
    except Exception:  # the reply itself may yet be taken
        log.exception("Unexpected error", what="defer")
