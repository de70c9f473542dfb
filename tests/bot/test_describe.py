"""/describe: words for a picture come from the engine, as commands that paint one like it."""

from tests.bot.fake_chat import OpenChat


async def test_a_picture_is_described_by_commands_to_copy(open_chat: OpenChat) -> None:
    chat = await open_chat()
    job = (await chat.says("ana", "/imagine a crow")).job
    await chat.ends(job)

    described = await chat.says("bob", f"/describe {job}")
    elsewhere = await chat.says("bob", f"/describe {job}", space="elsewhere")

    assert described.text.splitlines() == ["/imagine a fox", '/imagine "a fox -- in the snow"']
    assert elsewhere.text == f"There is no job {job} here."
