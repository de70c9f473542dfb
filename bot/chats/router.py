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
    deferrals: list[asyncio.Task[None]] = []  # none, for most: a task for each reply would cost as much as it
    timer = None
    if patience is not None:
        loop = asyncio.get_running_loop()
        timer = loop.call_later(patience, lambda: deferrals.append(loop.create_task(_defer(sink))))
    try:
        await show(await reply, sink)
    finally:
        if timer is not None:
            timer.cancel()
        for deferral in deferrals:
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


async def _defer(sink: ReplySink) -> None:
    try:
        await sink.defer()
    except Exception:  # the reply itself may yet be taken
        log.exception("Unexpected error", what="defer")
