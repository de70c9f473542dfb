"""/gallery: what somebody painted here, or keeps, nine to a sheet."""

from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncSession

from commands.answers import PictureSheet, Text
from engine.messages import JobId
from storage.tables import Job
from tests.commands.chat import Chat


async def paint(chat: Chat, name: str, words: str, count: int = 1, space: str = "general") -> JobId:
    job = await chat.files(name, f"/imagine {words} --count {count} --seed 1", space)
    await chat.paints(job, count)
    return job


async def sheet_of(
    chat: Chat, line: str = "/gallery", name: str = "ana", space: str = "general"
) -> PictureSheet:
    answer = await chat.says(name, line, space)
    assert isinstance(answer, PictureSheet)
    return answer


async def test_the_newest_come_first_with_what_brings_them_back(chat: Chat) -> None:
    fox, owls = await paint(chat, "ana", "a fox"), await paint(chat, "ana", "two owls", count=2)
    await paint(chat, "bob", "a cow")
    await paint(chat, "ana", "a tree", space="art")

    sheet = await sheet_of(chat)

    assert [picture.caption for picture in sheet.pictures] == [f"1  {owls}", f"2  {owls}", f"3  {fox}"]
    assert [picture.sha256 for picture in sheet.pictures[1:]] == [
        (await chat.sees(owls)).pictures[1].sha256,
        (await chat.sees(fox)).pictures[0].sha256,
    ]
    assert sheet.text.splitlines()[0] == "Your pictures here, newest first:"
    assert f"1 {owls}  two owls" in sheet.text
    assert f"/show {owls} brings a card back with its buttons." in sheet.text
    assert "--page" not in sheet.text


async def test_ten_pictures_are_two_sheets(chat: Chat) -> None:
    chat.per_person = 10
    jobs = [await paint(chat, "ana", f"fox {nth}", count=2) for nth in range(5)]

    first, second = await sheet_of(chat), await sheet_of(chat, "/gallery --page 2")
    beyond = await chat.says("ana", "/gallery --page 3")

    assert len(first.pictures) == 9
    assert first.text.endswith("/gallery --page 2 shows older ones.")
    assert [picture.caption for picture in second.pictures] == [f"1  {jobs[0]}"]
    assert second.text.startswith("Your pictures here, newest first, page 2:")
    assert beyond == Text(text="There is no page 3. /gallery shows the first.")


async def test_what_is_kept_has_a_sheet_of_its_own(chat: Chat) -> None:
    nothing = await chat.says("ana", "/gallery --starred")
    fox, cow = await paint(chat, "ana", "a fox"), await paint(chat, "bob", "a cow")
    await chat.presses("ana", f"keep:{cow}:1")

    starred, mine = await sheet_of(chat, "/gallery --starred"), await sheet_of(chat)

    assert nothing == Text(text="You have no favourites here yet. Press ⭐ under a picture to add it.")
    assert [picture.caption for picture in starred.pictures] == [f"1  {cow}, favourite"]
    assert starred.text.startswith("Your favourites here")
    assert [picture.caption for picture in mine.pictures] == [f"1  {fox}"]


async def test_who_has_painted_nothing_is_told_how_to_begin(chat: Chat) -> None:
    await paint(chat, "bob", "a cow")

    assert await chat.says("ana", "/gallery") == Text(
        text="You have no pictures here yet. Start with /imagine a red fox."
    )


async def test_what_is_deleted_is_gone_from_it(chat: Chat) -> None:
    fox, owl = await paint(chat, "ana", "a fox"), await paint(chat, "ana", "an owl")
    await chat.presses("ana", f"delete:{owl}")

    assert [picture.caption for picture in (await sheet_of(chat)).pictures] == [f"1  {fox}"]


async def test_pictures_for_adults_are_seen_in_their_channels_only(chat: Chat) -> None:
    job = await paint(chat, "ana", "a secret")
    number = (await chat.sees(job)).number

    async def for_adults(session: AsyncSession) -> None:
        (await session.get_one(Job, number)).adult = True

    await chat.database.write(for_adults)

    here, there = await sheet_of(chat), await sheet_of(replace(chat, adult=True))

    assert [(picture.sha256, picture.caption) for picture in here.pictures] == [(None, f"1  {job}, hidden")]
    assert "a secret" not in here.text and "for adults only" in here.text
    assert there.pictures[0].sha256 is not None
    assert "a secret" in there.text


async def test_a_direct_message_has_the_pictures_of_all_places(chat: Chat) -> None:
    fox, tree = await paint(chat, "ana", "a fox"), await paint(chat, "ana", "a tree", space="art")
    cow = await paint(chat, "bob", "a cow")
    await chat.presses("ana", f"keep:{cow}:1")
    direct = replace(chat, direct=True)

    mine, starred = (
        await sheet_of(direct, space="with ana"),
        await sheet_of(direct, "/gallery --starred", space="with ana"),
    )

    assert [picture.caption for picture in mine.pictures] == [f"1  {tree}", f"2  {fox}"]
    assert mine.text.startswith("Your pictures, newest first:")
    assert f"/show {tree}" in mine.text
    assert [picture.caption for picture in starred.pictures] == [f"1  {cow}, favourite"]
    assert "/show" not in starred.text
