"""/train on Discord: a form with files, the report, the training's card in a thread of its own."""

import asyncio
import io
import zipfile

import pytest

from bot.cards.card import Card
from bot.chats.discord import interactions
from bot.chats.discord.messages import Messages
from tests.bot.discord.harness import Studio, shown
from tests.bot.running_bot import rows
from tests.bot.training_cases import a_picture
from tests.fakes.discord import Attached, Channel, Message, Modal

SAID = "ohwx gear --steps 10"


def pictures(many: int) -> list[Attached]:
    return [Attached(f"{number}.png", a_picture(number)) for number in range(many)]


async def opens(studio: Studio, name: str = "maria", **given: object) -> Modal:
    """/train's form."""
    heard = await studio.discord.command(studio.ana, studio.channel, "train", name=name, **given)
    assert heard.modal is not None, shown(heard.message)
    return heard.modal


def threads(studio: Studio) -> list[Channel]:
    return studio.channel.threads


async def card(studio: Studio, words: str, seconds: float = 20.0) -> Message:
    """The card in the newest thread, once it says this."""

    def found() -> list[Message]:
        return [one for thread in threads(studio)[-1:] for one in thread.messages if words in shown(one)]

    await studio.discord.until(lambda: bool(found()), seconds)
    return found()[-1]


async def presses(studio: Studio, message: Message, action: str) -> None:
    custom_id = next(
        one["custom_id"] for one in message.components if one["custom_id"].partition(":")[0] == action
    )
    await studio.discord.click(studio.ana, message, custom_id)


async def test_ten_pictures_in_a_form_become_a_lora(studio: Studio) -> None:
    form = await opens(studio, preset="object", trigger="ohwx")
    assert form.title == "/train maria"
    assert form.field("rest")["value"] == "ohwx"

    await studio.discord.submit(
        studio.ana, form, {"pictures": pictures(10), "preset": ["object"], "rest": SAID, "consent": ["yes"]}
    )
    report = await card(studio, "10 pictures")
    await presses(studio, report, "start")
    done = await card(studio, "/imagine a photo of ohwx gear --lora maria", 60)

    assert done.channel.parent is studio.channel
    assert rows(studio.folder, "SELECT state FROM jobs") == [("succeeded",)]
    assert rows(studio.folder, "SELECT consent_at > 0 FROM trainings") == [(1,)]


async def test_two_rows_of_files_are_one_set(studio: Studio) -> None:
    form = await opens(studio)
    files = pictures(12)

    await studio.discord.submit(
        studio.ana,
        form,
        {"pictures": files[:10], "pictures-2": files[10:], "rest": SAID, "consent": ["yes"]},
    )

    await card(studio, "12 pictures")


async def test_a_form_that_is_sent_twice_files_once(studio: Studio) -> None:
    form = await opens(studio)
    values = {"pictures": pictures(3), "rest": SAID, "consent": ["yes"]}

    await studio.discord.submit(studio.ana, form, values)
    await card(studio, "3 pictures")
    again = await studio.discord.submit(studio.ana, form, values)

    assert again.ephemeral
    assert "already sent" in shown(again.message)
    assert rows(studio.folder, "SELECT count(*) FROM jobs") == [(1,)]


async def test_a_form_that_is_sent_twice_at_once_files_once(studio: Studio) -> None:
    form = await opens(studio)
    values = {"pictures": pictures(3), "rest": SAID, "consent": ["yes"]}

    both = await asyncio.gather(*(studio.discord.submit(studio.ana, form, values) for _ in range(2)))
    await card(studio, "3 pictures")

    assert sorted("already sent" in shown(one.message) for one in both) == [False, True]
    assert rows(studio.folder, "SELECT count(*) FROM jobs") == [(1,)]
    assert len(threads(studio)) == 1


async def test_attachments_do_where_no_form_can_take_files(studio: Studio) -> None:
    files = {f"picture{number + 1}": one for number, one in enumerate(pictures(3))}

    await studio.discord.command(
        studio.ana,
        studio.channel,
        "train",
        name="maria",
        subject="gear",
        consent=True,
        more="--batch 2",
        **files,
    )

    await card(studio, "3 pictures")


async def test_a_zip_brings_pictures_with_captions(studio: Studio) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number in range(3):
            archive.writestr(f"{number}.png", a_picture(number))
            archive.writestr(f"{number}.txt", f"gear number {number}")

    packed = Attached("many.zip", out.getvalue())
    await studio.discord.command(
        studio.ana, studio.channel, "train", name="maria", subject="gear", consent=True, zip=packed
    )

    await card(studio, "3 pictures")


async def test_without_consent_nothing_is_filed(studio: Studio) -> None:
    heard = await studio.discord.command(
        studio.ana, studio.channel, "train", name="maria", subject="gear", picture1=pictures(1)[0]
    )
    await studio.discord.until(lambda: "you may use these pictures" in heard.text)

    assert rows(studio.folder, "SELECT id FROM jobs") == []
    assert studio.channel.messages == []


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Attached("notes.png", b"these are no pixels"), "not a picture that can be read"),
        (Attached("empty.png", b""), "empty"),
        (Attached("lost.png", b"", gone=True), "no longer has this file"),
    ],
    ids=["no picture", "empty", "lost"],
)
async def test_a_bad_attachment_is_left_out_and_told(studio: Studio, bad: Attached, reason: str) -> None:
    form = await opens(studio)

    heard = await studio.discord.submit(
        studio.ana, form, {"pictures": [*pictures(3), bad], "rest": SAID, "consent": ["yes"]}
    )
    await card(studio, "3 pictures")
    await studio.discord.until(lambda: reason in heard.text)

    assert bad.name in heard.text
    assert all(one.ephemeral for one in heard.followups if reason in one.content)


async def test_with_bad_attachments_alone_nothing_is_filed(studio: Studio) -> None:
    form = await opens(studio)

    heard = await studio.discord.submit(
        studio.ana,
        form,
        {"pictures": [Attached("empty.png", b"")], "rest": SAID, "consent": ["yes"]},
    )
    await studio.discord.until(lambda: "empty" in heard.text)

    assert rows(studio.folder, "SELECT id FROM jobs") == []
    assert studio.channel.messages == []


async def test_a_draft_that_is_edited_keeps_its_pictures(studio: Studio) -> None:
    form = await opens(studio)
    await studio.discord.submit(studio.ana, form, {"pictures": pictures(3), "rest": SAID, "consent": ["yes"]})
    report = await card(studio, "3 pictures, 10 steps")
    edit = next(one["custom_id"] for one in report.components if one["custom_id"].startswith("edit:"))

    again = (await studio.discord.click(studio.ana, report, edit)).modal
    assert again is not None
    assert again.field("rest")["value"] == SAID
    await studio.discord.submit(
        studio.ana, again, {"rest": SAID.replace("10", "15"), "consent": ["yes"], "preset": ["object"]}
    )

    await card(studio, "3 pictures, 15 steps")
    assert rows(studio.folder, "SELECT count(*) FROM jobs WHERE deleted_at IS NULL") == [(1,)]


async def test_a_draft_that_is_changed_in_its_thread_keeps_the_thread(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = await opens(studio)
    await studio.discord.submit(studio.ana, form, {"pictures": pictures(3), "rest": SAID, "consent": ["yes"]})
    report = await card(studio, "3 pictures, 10 steps")
    edit = next(one["custom_id"] for one in report.components if one["custom_id"].startswith("edit:"))
    again = (await studio.discord.click(studio.ana, report, edit)).modal
    removed = after_removals(monkeypatch)

    await studio.discord.submit(
        studio.ana, again, {"rest": SAID.replace("10", "15"), "consent": ["yes"], "preset": ["object"]}
    )

    changed = await card(studio, "3 pictures, 15 steps")
    assert removed.is_set()
    assert threads(studio) == [report.channel]
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


async def test_a_wrong_word_in_the_form_is_told(studio: Studio) -> None:
    form = await opens(studio)

    heard = await studio.discord.submit(
        studio.ana,
        form,
        {"pictures": pictures(3), "rest": "--triger ohwx", "consent": ["yes"]},
    )

    assert heard.ephemeral
    assert "Did you mean --trigger?" in shown(heard.message).replace("\\", "")


async def test_the_pictures_of_ones_own_message_are_trained_on(studio: Studio) -> None:
    message = studio.discord.posts(studio.ana, studio.channel, *pictures(4))

    heard = await studio.discord.menu(studio.ana, message, "Train on these pictures")
    assert heard.modal is not None and heard.modal.title == "/train"
    values = {"name": "maria", "pictures": pictures(6)[4:], "rest": SAID, "consent": ["yes"]}
    await studio.discord.submit(studio.ana, heard.modal, values)

    report = await card(studio, "6 pictures")
    assert "maria" in shown(report)
    await presses(studio, report, "start")
    await card(studio, "/imagine a photo of ohwx gear --lora maria", 60)


async def test_a_message_of_somebody_else_or_without_files_is_not_trained_on(studio: Studio) -> None:
    theirs = studio.discord.posts(studio.bo, studio.channel, *pictures(4))
    empty = studio.channel.says(studio.ana, "hello")

    refused = await studio.discord.menu(studio.ana, theirs, "Train on these pictures")
    without = await studio.discord.menu(studio.ana, empty, "Train on these pictures")

    assert refused.modal is None and without.modal is None
    assert "You can train only on your own pictures" in refused.text
    assert "This message has no files" in without.text


async def test_a_bad_name_is_told_and_the_same_message_can_be_chosen_again(studio: Studio) -> None:
    message = studio.discord.posts(studio.ana, studio.channel, *pictures(3))
    first = await studio.discord.menu(studio.ana, message, "Train on these pictures")
    values = {"rest": SAID, "consent": ["yes"]}

    heard = await studio.discord.submit(studio.ana, first.modal, {**values, "name": "Ma ria!"})
    await studio.discord.until(lambda: "may only have a-z, 0-9" in heard.text)
    again = await studio.discord.menu(studio.ana, message, "Train on these pictures")
    await studio.discord.submit(studio.ana, again.modal, {**values, "name": "maria"})

    await card(studio, "3 pictures")
    assert rows(studio.folder, "SELECT count(*) FROM jobs") == [(1,)]


async def test_a_restart_forgets_the_pictures_of_a_message_and_says_that_there_are_none(
    studio: Studio,
) -> None:
    message = studio.discord.posts(studio.ana, studio.channel, *pictures(3))
    opened = await studio.discord.menu(studio.ana, message, "Train on these pictures")
    await studio.restart()

    values = {"name": "maria", "rest": SAID, "consent": ["yes"]}
    heard = await studio.discord.submit(studio.ana, opened.modal, values)

    await studio.discord.until(lambda: "Add pictures to learn from" in heard.text)
    assert rows(studio.folder, "SELECT id FROM jobs") == []


async def test_nobody_trains_on_what_somebody_else_has_chosen(studio: Studio) -> None:
    message = studio.discord.posts(studio.ana, studio.channel, *pictures(3))
    anas = await studio.discord.menu(studio.ana, message, "Train on these pictures")

    values = {"name": "maria", "rest": SAID, "consent": ["yes"]}
    heard = await studio.discord.submit(studio.bo, anas.modal, values)

    await studio.discord.until(lambda: "Add pictures to learn from" in heard.text)
    assert rows(studio.folder, "SELECT id FROM jobs") == []
