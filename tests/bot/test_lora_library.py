"""LoRAs of the operator's folder: read before a transaction opens, so that nobody waits for a disk in one."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from bot.dispatch.lora_library import MOST
from storage.database import Database
from tests.bot.fake_chat import Chat, OpenChat, Seen, caller
from tests.bot.quick_lora import a_file
from tests.bot.uploads.test_lora_files import imports

IN_A_TRANSACTION = ContextVar("IN_A_TRANSACTION", default=False)
RECIPE = "a hen <lora:Ink Wash v2.0:0.7>\nSteps: 3, Seed: 5, CFG scale: 4"


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What was done in a thread, as everything on a disk is, while a transaction waited for it."""
    seen: list[str] = []
    write, to_thread = Database.write, asyncio.to_thread

    async def watched_write(database: Database, work: Callable[[AsyncSession], Awaitable[Any]]) -> Any:
        async def record_and_write(session: AsyncSession) -> Any:
            token = IN_A_TRANSACTION.set(True)
            try:
                return await work(session)
            finally:
                IN_A_TRANSACTION.reset(token)

        return await write(database, record_and_write)

    async def watched_thread(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if IN_A_TRANSACTION.get():
            seen.append(repr(function))
        return await to_thread(function, *args, **kwargs)

    monkeypatch.setattr(Database, "write", watched_write)
    monkeypatch.setattr(asyncio, "to_thread", watched_thread)
    yield seen


def put(chat: Chat, *files: str) -> None:
    chat.bot.config.adapters.mkdir(exist_ok=True)
    for number, file in enumerate(files):
        (chat.bot.config.adapters / file).write_bytes(a_file(str(number)))


async def test_no_command_waits_for_a_disk_within_its_transaction(
    open_chat: OpenChat, waited: list[str]
) -> None:
    chat = await open_chat()
    put(chat, "ink.safetensors", "maria.safetensors", "Ink Wash v2.0.safetensors")
    keeper = caller("root", "home", admin=True)
    await chat.rules("/admin limits --megabytes 100")
    assert (await imports(chat, "ana", "fox")).ok
    painted = (await chat.says("ana", "/imagine a tree --lora ink, fox:0.5 --steps 2")).job
    await chat.ends(painted)

    replies = [
        await chat.says("ana", line)
        for line in (
            "/imagine a tree <lora:ink:0.5> --steps 2",
            f"/imagine {RECIPE}",
            "/compare a tree --lora ink --steps 2",
            "/loras",
            "/loras --like wood",
            "/lora ink",
            "/lora fox --rename hare",
            "/lora import owl",
            "/lora merge both ink:0.5 maria:0.5",
            "/train corgi",
            "/settings --steps 4",
            "/me",
        )
    ]
    replies += [
        await Seen.of(chat.bot.dispatch.say(keeper, "/admin loras")),
        await Seen.of(chat.bot.dispatch.read_recipe(caller("ana"), RECIPE)),
        await chat.presses("ana", "again", painted),
        await chat.presses("ana", "edit", painted),
    ]

    assert [reply.text for reply in replies if not reply.ok] == []
    assert waited == []


async def test_a_lora_that_many_mention_at_once_is_refused_with_one_sentence(open_chat: OpenChat) -> None:
    chat = await open_chat()
    names = [f"lora-{number}" for number in range(MOST + 1)]
    put(chat, *(f"{name}.safetensors" for name in names))

    reply = await chat.says("ana", f"/imagine a tree --lora {', '.join(names)}")

    assert reply.text == "Too many LoRAs were asked for at once."


async def test_a_folder_is_not_read_for_what_needs_none_of_it(
    open_chat: OpenChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = await open_chat()
    put(chat, "ink.safetensors")
    monkeypatch.setattr(type(chat.bot.library), "_scan", None)

    replies = [await chat.says("ana", line) for line in ("/imagine a tree --steps 2", "/queue", "/me")]

    assert [reply.text for reply in replies if not reply.ok] == []


async def test_loras_that_every_picture_has_need_no_folder(
    open_chat: OpenChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = await open_chat()
    assert (await imports(chat, "ana", "fox")).ok
    await chat.says("ana", "/lora fox --share space")
    await chat.rules("/admin loras fox --usual 0.5")
    monkeypatch.setattr(type(chat.bot.library), "_scan", None)

    reply = await chat.says("bo", "/imagine a tree --steps 2")

    assert (await chat.ends(reply.job)).state == "succeeded"
