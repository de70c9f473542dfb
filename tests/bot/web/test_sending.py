"""Who may send files, and how many: blocks and limits hold for them as for everything else."""

import asyncio
import io

import numpy as np
import pytest
from PIL import Image

from bot.uploads.intake import IntakeResult
from engine.messages import InvalidRequest, Sha256
from tests.bot.fake_chat import Chat, OpenChat, Seen, caller
from tests.bot.quick_lora import a_file
from tests.bot.uploads.coming import pieces
from tests.bot.uploads.test_hostile_pictures import make_zip

BLOCKED = r"^An admin has blocked you here\. Ask one of them about it\.$"


def noise(seed: int, side: int = 400) -> bytes:
    """A picture that is as large as its pixels: 0.48 MB, with 400 a side."""
    out = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


async def sends(
    chat: Chat, who: str, content: bytes, space: str = "home", name: str = "a.png"
) -> IntakeResult:
    return await chat.bot.intake.take(caller(who, space), name, pieces(content))


async def sends_lora(chat: Chat, who: str, content: bytes) -> Sha256:
    return await chat.bot.intake.take_lora(caller(who), pieces(content))


async def keeps(chat: Chat, text: str) -> str:
    """What an admin is told."""
    reply = await Seen.of(chat.bot.dispatch.say(caller("keeper", admin=True), text))
    assert reply.ok, reply.text
    return reply.text


async def test_who_only_sends_files_is_known_to_admins_and_can_be_blocked(open_chat: OpenChat) -> None:
    chat = await open_chat()
    await sends(chat, "ana", noise(1))

    listed = await keeps(chat, "/admin people")
    await keeps(chat, "/admin people ana --block")

    assert "ana" in listed and "1 file sent (key ana)" in listed
    with pytest.raises(InvalidRequest, match=BLOCKED):
        await sends(chat, "ana", noise(2))
    with pytest.raises(InvalidRequest, match=BLOCKED):
        await sends_lora(chat, "ana", a_file())
    assert (await sends(chat, "ben", noise(3))).pictures
    assert (await sends(chat, "ana", noise(3), space="elsewhere")).pictures
    assert (
        await Seen.of(chat.bot.dispatch.say(caller("keeper", "elsewhere", admin=True), "/admin people ben"))
    ).ok is (False)


async def test_of_a_blocked_person_nothing_is_read(open_chat: OpenChat) -> None:
    chat = await open_chat()
    await sends(chat, "ana", noise(1))
    await keeps(chat, "/admin people ana --block")
    coming = pieces(noise(2))

    with pytest.raises(InvalidRequest, match=BLOCKED):
        await chat.bot.intake.take(caller("ana"), "a.png", coming)

    assert await anext(coming)


async def test_files_that_are_sent_count_against_the_megabytes(open_chat: OpenChat) -> None:
    chat = await open_chat()
    await keeps(chat, "/admin limits --megabytes 1")

    with pytest.raises(
        InvalidRequest, match=r"^This has 1\.9 MB\. You have 0\.0 MB here\. At most 1 MB are allowed\. "
    ):
        await sends(chat, "ana", noise(0, 800))
    await sends(chat, "ana", noise(1))
    await sends(chat, "ana", noise(2))
    with pytest.raises(InvalidRequest) as refusal:
        await sends(chat, "ana", noise(3))

    assert str(refusal.value) == (
        "This has 0.5 MB. You have 1.0 MB here. At most 1 MB are allowed. "
        "Delete some of your jobs or LoRAs first. What you sent and do not use goes after a day."
    )
    assert (await sends(chat, "ben", noise(3))).pictures
    assert (await sends(chat, "ana", noise(3), space="elsewhere")).pictures
    assert "of 1 MB, 0 MB left" in (await chat.says("ana", "/me")).text
    assert "limit of megabytes" in await keeps(chat, "/admin stats")


async def test_of_a_zip_as_much_is_taken_as_there_is_room_for(open_chat: OpenChat) -> None:
    chat = await open_chat()
    await keeps(chat, "/admin limits --megabytes 1")

    sent = await sends(chat, "ana", make_zip({f"{seed}.png": noise(seed) for seed in range(3)}))

    assert [picture.name for picture in sent.pictures] == ["0.png", "1.png"]
    assert [name for name, _ in sent.refused] == ["2.png"]


async def test_a_lora_that_is_sent_counts_against_the_megabytes(open_chat: OpenChat) -> None:
    chat = await open_chat()
    await keeps(chat, "/admin limits --megabytes 1")
    await sends(chat, "ana", noise(1))
    large = a_file() + bytes(600_000)

    with pytest.raises(
        InvalidRequest, match=r"^This has 0\.\d MB\. You have 0\.5 MB here\. At most 1 MB are allowed\."
    ):
        await sends_lora(chat, "ana", large)


async def test_files_sent_at_once_share_one_room(open_chat: OpenChat) -> None:
    chat = await open_chat()
    await keeps(chat, "/admin limits --megabytes 1")

    results = await asyncio.gather(
        *(sends(chat, "ana", noise(seed)) for seed in range(6)), return_exceptions=True
    )

    assert sum(isinstance(result, IntakeResult) for result in results) == 2
