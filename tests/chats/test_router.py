"""A reply goes to the one method of its kind, at once or after the word that it takes a while."""

import asyncio
from typing import Any

import pytest

from bot.chats import router
from bot.chats.interface import (
    CardReply,
    FilesReply,
    FormReply,
    ImageReply,
    LorasReply,
    RefusalReply,
    Reply,
    TextReply,
)
from commands.answers import Form
from engine.messages import JobId


class Notes:
    """A sink that notes which of its methods were called."""

    def __init__(self) -> None:
        self.called: list[str] = []

    def __getattr__(self, method: str) -> Any:
        async def note(*replies: Reply) -> None:
            self.called.append(method)

        return note


KINDS: list[tuple[Reply, str]] = [
    (TextReply(text="yes"), "show_text"),
    (RefusalReply(text="no"), "show_refusal"),
    (FormReply(form=Form(command="imagine", values={})), "open_form"),
    (FilesReply(files=()), "send_files"),
    (ImageReply(name="stats.png", content=b""), "show_image"),
    (LorasReply(loras=(), person=1), "show_loras"),
    (CardReply(job=JobId("abc123")), "show_card"),
]


async def after(seconds: float, reply: Reply) -> Reply:
    await asyncio.sleep(seconds)
    return reply


@pytest.mark.parametrize(("reply", "method"), KINDS)
async def test_each_kind_has_its_method(reply: Reply, method: str) -> None:
    sink = Notes()

    await router.answer(after(0, reply), sink, patience=10)

    assert sink.called == [method]


async def test_what_takes_longer_than_the_patience_is_deferred_once() -> None:
    sink = Notes()

    await router.answer(after(0.2, TextReply()), sink, patience=0.02)

    assert sink.called == ["defer", "show_text"]


async def test_nothing_is_deferred_where_the_chat_waits() -> None:
    sink = Notes()

    await router.answer(after(0.1, TextReply()), sink)

    assert sink.called == ["show_text"]


async def test_what_goes_wrong_is_the_chats_to_tell_and_nothing_is_deferred_after_it() -> None:
    async def fails() -> Reply:
        raise RuntimeError("the disk is gone")

    sink = Notes()

    with pytest.raises(RuntimeError, match="the disk is gone"):
        await router.answer(fails(), sink, patience=0.02)
    await asyncio.sleep(0.05)

    assert sink.called == []
