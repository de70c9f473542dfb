"""/train on Discord: a form with files, the report, the training's card in a thread of its own."""

import asyncio
import io
import json
import zipfile

import pytest

from bot.cards.card import Card
from bot.chats.discord import interactions
from bot.chats.discord.messages import Messages
from tests.bot.discord.harness import DiscordBot, text_of
from tests.bot.running_bot import rows
from tests.bot.training_cases import a_picture
from tests.fakes.discord import Attached, Channel, Message, Modal

SAID = "ohwx gear --steps 10"


def pictures(many: int) -> list[Attached]:
    return [Attached(f"{number}.png", a_picture(number)) for number in range(many)]


async def opens(harness: DiscordBot, name: str = "maria", **given: object) -> Modal:
    """/train's form."""
    heard = await harness.discord.command(harness.ana, harness.channel, "train", name=name, **given)
    assert heard.modal is not None, text_of(heard.message)
    return heard.modal


def threads(harness: DiscordBot) -> list[Channel]:
    return harness.channel.threads


async def card(harness: DiscordBot, words: str, seconds: float = 20.0) -> Message:
    """The card in the newest thread, once it says this."""

    def matching_cards() -> list[Message]:
        return [
            message
            for thread in threads(harness)[-1:]
            for message in thread.messages
            if words in text_of(message)
        ]

    await harness.discord.until(lambda: bool(matching_cards()), seconds)
    return matching_cards()[-1]


async def presses(harness: DiscordBot, message: Message, action: str) -> None:
    custom_id = next(
        component["custom_id"]
        for component in message.components
        if component["custom_id"].partition(":")[0] == action
    )
    await harness.discord.click(harness.ana, message, custom_id)


async def test_ten_pictures_in_a_form_become_a_lora(harness: DiscordBot) -> None:
    form = await opens(harness, preset="object", trigger="ohwx")
    assert form.title == "/train maria"
    assert form.field("rest")["value"] == "ohwx"

    await harness.discord.submit(
        harness.ana, form, {"pictures": pictures(10), "preset": ["object"], "rest": SAID, "consent": ["yes"]}
    )
    report = await card(harness, "10 pictures")
    await presses(harness, report, "start")
    done = await card(harness, "/imagine a photo of ohwx gear --lora maria", 60)

    assert done.channel.parent is harness.channel
    assert rows(harness.folder, "SELECT state FROM jobs") == [("succeeded",)]
    assert rows(harness.folder, "SELECT consent_at > 0 FROM trainings") == [(1,)]


async def test_two_rows_of_files_are_one_set(harness: DiscordBot) -> None:
    form = await opens(harness)
    files = pictures(12)

    await harness.discord.submit(
        harness.ana,
        form,
        {"pictures": files[:10], "pictures-2": files[10:], "rest": SAID, "consent": ["yes"]},
    )

    await card(harness, "12 pictures")


async def test_a_form_that_is_sent_twice_files_once(harness: DiscordBot) -> None:
    form = await opens(harness)
    values = {"pictures": pictures(3), "rest": SAID, "consent": ["yes"]}

    await harness.discord.submit(harness.ana, form, values)
    await card(harness, "3 pictures")
    again = await harness.discord.submit(harness.ana, form, values)

    assert again.ephemeral
    assert "already sent" in text_of(again.message)
    assert rows(harness.folder, "SELECT count(*) FROM jobs") == [(1,)]


async def test_a_form_that_is_sent_twice_at_once_files_once(harness: DiscordBot) -> None:
    form = await opens(harness)
    values = {"pictures": pictures(3), "rest": SAID, "consent": ["yes"]}

    both = await asyncio.gather(*(harness.discord.submit(harness.ana, form, values) for _ in range(2)))
    await card(harness, "3 pictures")

    assert sorted("already sent" in text_of(answer.message) for answer in both) == [False, True]
    assert rows(harness.folder, "SELECT count(*) FROM jobs") == [(1,)]
    assert len(threads(harness)) == 1


async def test_attachments_do_where_no_form_can_take_files(harness: DiscordBot) -> None:
    files = {f"picture{number + 1}": picture for number, picture in enumerate(pictures(3))}

    await harness.discord.command(
        harness.ana,
        harness.channel,
        "train",
        name="maria",
        subject="gear",
        consent=True,
        more="--batch 2",
        **files,
    )

    await card(harness, "3 pictures")


async def test_a_zip_brings_pictures_with_captions(harness: DiscordBot) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number in range(3):
            archive.writestr(f"{number}.png", a_picture(number))
            archive.writestr(f"{number}.txt", f"gear number {number}")

    packed = Attached("many.zip", out.getvalue())
    await harness.discord.command(
        harness.ana, harness.channel, "train", name="maria", subject="gear", consent=True, zip=packed
    )

    await card(harness, "3 pictures")


async def test_without_consent_nothing_is_filed(harness: DiscordBot) -> None:
    heard = await harness.discord.command(
        harness.ana, harness.channel, "train", name="maria", subject="gear", picture1=pictures(1)[0]
    )
    await harness.discord.until(lambda: "you may use these pictures" in heard.text)

    assert rows(harness.folder, "SELECT id FROM jobs") == []
    assert harness.channel.messages == []


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Attached("notes.png", b"these are no pixels"), "not a picture that can be read"),
        (Attached("empty.png", b""), "empty"),
        (Attached("lost.png", b"", gone=True), "no longer has this file"),
    ],
    ids=["no picture", "empty", "lost"],
)
async def test_a_bad_attachment_is_left_out_and_told(harness: DiscordBot, bad: Attached, reason: str) -> None:
    form = await opens(harness)

    heard = await harness.discord.submit(
        harness.ana, form, {"pictures": [*pictures(3), bad], "rest": SAID, "consent": ["yes"]}
    )
    await card(harness, "3 pictures")
    await harness.discord.until(lambda: reason in heard.text)

    assert bad.name in heard.text
    assert all(followup.ephemeral for followup in heard.followups if reason in followup.content)


async def test_with_bad_attachments_alone_nothing_is_filed(harness: DiscordBot) -> None:
    form = await opens(harness)

    heard = await harness.discord.submit(
        harness.ana,
        form,
        {"pictures": [Attached("empty.png", b"")], "rest": SAID, "consent": ["yes"]},
    )
    await harness.discord.until(lambda: "empty" in heard.text)

    assert rows(harness.folder, "SELECT id FROM jobs") == []
    assert harness.channel.messages == []


async def test_a_draft_that_is_edited_keeps_its_pictures(harness: DiscordBot) -> None:
    form = await opens(harness)
    await harness.discord.submit(
        harness.ana, form, {"pictures": pictures(3), "rest": SAID, "consent": ["yes"]}
    )
    report = await card(harness, "3 pictures, 10 steps")
    edit = next(
        component["custom_id"]
        for component in report.components
        if component["custom_id"].startswith("edit:")
    )

    again = (await harness.discord.click(harness.ana, report, edit)).modal
    assert again is not None
    assert again.field("rest")["value"] == SAID
    await harness.discord.submit(
        harness.ana, again, {"rest": SAID.replace("10", "15"), "consent": ["yes"], "preset": ["object"]}
    )

    await card(harness, "3 pictures, 15 steps")
    assert rows(harness.folder, "SELECT count(*) FROM jobs WHERE deleted_at IS NULL") == [(1,)]


async def test_captions_go_out_as_a_file_and_come_back_with_the_form(harness: DiscordBot) -> None:
    form = await opens(harness)
    sent = {"pictures": pictures(3), "rest": SAID, "consent": ["yes"]}
    await harness.discord.submit(harness.ana, form, sent)
    report = await card(harness, "3 pictures, 10 steps")
    await presses(harness, report, "describe")
    await harness.discord.until(
        lambda: {"start", "captions"} <= actions(report) and "describe" not in actions(report)
    )

    await presses(harness, report, "captions")

    direct = harness.discord.direct(harness.ana)
    await harness.discord.until(lambda: any(message.files for message in direct.messages))
    ((name, content),) = direct.messages[0].files.items()
    assert "1.png,the captioner's 1.png" in content.decode()
    edit = next(part["custom_id"] for part in report.components if part["custom_id"].startswith("edit:"))
    again = (await harness.discord.click(harness.ana, report, edit)).modal
    assert again is not None
    back = Attached(name, content.replace(b"the captioner's 1.png", b"a gear") + b"9.png,gone\r\n")
    heard = await harness.discord.submit(harness.ana, again, {**sent, "pictures": [back]})
    await harness.discord.until(lambda: "9.png: There is a caption for it" in heard.text)
    ((request,),) = rows(harness.folder, "SELECT request FROM jobs WHERE deleted_at IS NULL")
    captions = [example["caption"] for example in json.loads(request)["examples"]]
    assert captions == ["the captioner's 0.png", "a gear", "the captioner's 2.png"]


def actions(message: Message) -> set[str]:
    return {str(part.get("custom_id", "")).partition(":")[0] for part in message.components}


async def test_a_draft_that_is_changed_in_its_thread_keeps_the_thread(
    harness: DiscordBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = await opens(harness)
    await harness.discord.submit(
        harness.ana, form, {"pictures": pictures(3), "rest": SAID, "consent": ["yes"]}
    )
    report = await card(harness, "3 pictures, 10 steps")
    edit = next(
        component["custom_id"]
        for component in report.components
        if component["custom_id"].startswith("edit:")
    )
    again = (await harness.discord.click(harness.ana, report, edit)).modal
    removed = after_removals(monkeypatch)

    await harness.discord.submit(
        harness.ana, again, {"rest": SAID.replace("10", "15"), "consent": ["yes"], "preset": ["object"]}
    )

    changed = await card(harness, "3 pictures, 15 steps")
    assert removed.is_set()
    assert threads(harness) == [report.channel]
    assert changed.channel is report.channel
    assert report not in report.channel.messages


def after_removals(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """New cards come once an old one has gone with all that belongs to it; whether one has."""
    removed = asyncio.Event()
    show, remove = Messages.show, Messages.remove

    async def show_later(self: Messages, channel: str, message: str | None, card: Card) -> str:
        if message is None:
            await removed.wait()
        return await show(self, channel, message, card)

    async def note_removal(self: Messages, channel: str, message: str) -> None:
        await remove(self, channel, message)
        removed.set()

    monkeypatch.setattr(Messages, "show", show_later)
    monkeypatch.setattr(Messages, "remove", note_removal)
    monkeypatch.setattr(interactions, "PATIENCE", 60.0)  # or a word that it takes a while is in the thread
    return removed


async def test_a_wrong_word_in_the_form_is_told(harness: DiscordBot) -> None:
    form = await opens(harness)

    heard = await harness.discord.submit(
        harness.ana,
        form,
        {"pictures": pictures(3), "rest": "--triger ohwx", "consent": ["yes"]},
    )

    assert heard.ephemeral
    assert "Did you mean --trigger?" in text_of(heard.message).replace("\\", "")


async def test_the_pictures_of_ones_own_message_are_trained_on(harness: DiscordBot) -> None:
    message = harness.discord.posts(harness.ana, harness.channel, *pictures(4))

    heard = await harness.discord.menu(harness.ana, message, "Train on these pictures")
    assert heard.modal is not None and heard.modal.title == "/train"
    values = {"name": "maria", "pictures": pictures(6)[4:], "rest": SAID, "consent": ["yes"]}
    await harness.discord.submit(harness.ana, heard.modal, values)

    report = await card(harness, "6 pictures")
    assert "maria" in text_of(report)
    await presses(harness, report, "start")
    await card(harness, "/imagine a photo of ohwx gear --lora maria", 60)


async def test_a_message_of_somebody_else_or_without_files_is_not_trained_on(harness: DiscordBot) -> None:
    theirs = harness.discord.posts(harness.bo, harness.channel, *pictures(4))
    empty = harness.channel.says(harness.ana, "hello")

    refused = await harness.discord.menu(harness.ana, theirs, "Train on these pictures")
    without = await harness.discord.menu(harness.ana, empty, "Train on these pictures")

    assert refused.modal is None and without.modal is None
    assert "You can train only on your own pictures" in refused.text
    assert "This message has no files" in without.text


async def test_a_bad_name_is_told_and_the_same_message_can_be_chosen_again(harness: DiscordBot) -> None:
    message = harness.discord.posts(harness.ana, harness.channel, *pictures(3))
    first = await harness.discord.menu(harness.ana, message, "Train on these pictures")
    values = {"rest": SAID, "consent": ["yes"]}

    heard = await harness.discord.submit(harness.ana, first.modal, {**values, "name": "Ma ria!"})
    await harness.discord.until(lambda: "may only have a-z, 0-9" in heard.text)
    again = await harness.discord.menu(harness.ana, message, "Train on these pictures")
    await harness.discord.submit(harness.ana, again.modal, {**values, "name": "maria"})

    await card(harness, "3 pictures")
    assert rows(harness.folder, "SELECT count(*) FROM jobs") == [(1,)]


async def test_a_restart_forgets_the_pictures_of_a_message_and_says_that_there_are_none(
    harness: DiscordBot,
) -> None:
    message = harness.discord.posts(harness.ana, harness.channel, *pictures(3))
    opened = await harness.discord.menu(harness.ana, message, "Train on these pictures")
    await harness.restart()

    values = {"name": "maria", "rest": SAID, "consent": ["yes"]}
    heard = await harness.discord.submit(harness.ana, opened.modal, values)

    await harness.discord.until(lambda: "Add pictures to learn from" in heard.text)
    assert rows(harness.folder, "SELECT id FROM jobs") == []


async def test_nobody_trains_on_what_somebody_else_has_chosen(harness: DiscordBot) -> None:
    message = harness.discord.posts(harness.ana, harness.channel, *pictures(3))
    anas = await harness.discord.menu(harness.ana, message, "Train on these pictures")

    values = {"name": "maria", "rest": SAID, "consent": ["yes"]}
    heard = await harness.discord.submit(harness.bo, anas.modal, values)

    await harness.discord.until(lambda: "Add pictures to learn from" in heard.text)
    assert rows(harness.folder, "SELECT id FROM jobs") == []
