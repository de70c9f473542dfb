"""/train in a workspace: the modal with files, the report, and the training in a thread of its own."""

import io
import json
import zipfile

from tests.bot.running_bot import rows
from tests.bot.slack.harness import Atelier, OpenAtelier, button, part_of
from tests.bot.training_cases import a_picture
from tests.fakes.slack import Fault, File, Heard, Message, View

FILLED = {"trigger": "ohwx", "subject": "gear", "preset": "object", "consent": ["true"], "steps": "10"}


def files(atelier: Atelier, many: int) -> list[File]:
    return [atelier.slack.upload(atelier.ana, f"{number}.png", a_picture(number)) for number in range(many)]


async def opens(atelier: Atelier, name: str = "maria") -> View:
    heard = await atelier.says(atelier.ana, "/train", name)
    assert heard.view is not None, heard.words
    return heard.view


async def sends(atelier: Atelier, pictures: list[File], **more: object) -> Heard:
    return await atelier.slack.submit(
        atelier.ana, await opens(atelier), {**FILLED, "pictures": pictures, **more}
    )


async def card(atelier: Atelier, words: str, seconds: float = 20.0) -> Message:
    """The training's card, once it says this."""
    return await atelier.shows(
        lambda message: part_of(message) == "card" and words in message.words, seconds=seconds
    )


async def test_ten_pictures_in_a_modal_become_a_lora(atelier: Atelier) -> None:
    sent = await sends(atelier, files(atelier, 10))
    assert not sent.errors and sent.view is None

    report = await card(atelier, "10 pictures")
    (starter,) = atelier.channel.messages
    assert report.thread_ts == starter.ts
    assert "ana trains a LoRA: maria" in starter.words
    await atelier.slack.act(atelier.ana, report, button(report, "start"))
    done = await card(atelier, "/imagine a photo of ohwx gear --lora maria", 60)

    assert done.ts == report.ts
    assert len(atelier.cards()) == 1
    await atelier.slack.until(lambda: len(done.pictures) == 2)  # the curve and the samples
    assert rows(atelier.folder, "SELECT consent_at > 0 FROM trainings") == [(1,)]
    await atelier.slack.until(  # and the report is taken away
        lambda: sorted(file.id for reply in starter.thread for file in reply.files) == sorted(done.pictures)
    )


async def test_the_lora_is_found_by_typing_and_paints(atelier: Atelier) -> None:
    await sends(atelier, files(atelier, 3))
    report = await card(atelier, "3 pictures")
    await atelier.slack.act(atelier.ana, report, button(report, "start"))
    await card(atelier, "--lora maria", 60)
    form = await atelier.says(atelier.ana, "/imagine")

    (choice,) = await atelier.slack.suggest(atelier.ana, "lora", "mar")
    await atelier.slack.submit(atelier.ana, form.view, {"prompt": "a hill", "lora": [choice.value]})

    assert choice.value.startswith("maria")
    painting = await atelier.shows(lambda message: "Painted in" in message.words)
    assert "a hill, ohwx gear" in painting.words


async def test_without_consent_nothing_is_read(atelier: Atelier) -> None:
    sent = await sends(atelier, files(atelier, 3), consent=[])

    assert list(sent.errors) == ["consent"]
    assert not atelier.slack.calls("files.info")


async def test_without_pictures_the_modal_asks_for_them(atelier: Atelier) -> None:
    sent = await sends(atelier, [])

    assert list(sent.errors) == ["pictures"]
    assert "Add pictures to learn from" in sent.errors["pictures"]


async def test_a_file_that_is_no_picture_is_told(atelier: Atelier) -> None:
    broken = atelier.slack.upload(atelier.ana, "notes.png", b"no picture at all")

    alone = await sends(atelier, [broken])
    assert "not a picture" in alone.errors["pictures"]

    beside = await sends(atelier, [broken, *files(atelier, 3)])
    await card(atelier, "3 pictures")
    await atelier.slack.until(lambda: "notes.png: This is not a picture" in beside.words)


async def test_a_zip_of_pictures_is_taken(atelier: Atelier) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as zipped:
        for number in range(4):
            zipped.writestr(f"{number}.png", a_picture(number))
    content = atelier.slack.upload(atelier.ana, "all.zip", packed.getvalue())

    await sends(atelier, [content])

    await card(atelier, "4 pictures")


async def test_the_bots_token_goes_to_slack_alone(atelier: Atelier) -> None:
    theirs = atelier.slack.upload(atelier.bo, "theirs.png", a_picture(1))

    sent = await sends(atelier, [theirs])

    assert "theirs.png is not yours" in sent.errors["pictures"]
    assert not [call for call in atelier.slack.record if call.path.startswith("/files-pri/")]


async def test_pictures_that_take_long_are_read_on(atelier: Atelier) -> None:
    atelier.slack.faults.add("GET", r"/files-pri/.*", Fault.SLOW, times=3, seconds=2.5)

    sent = await sends(atelier, files(atelier, 3))

    assert sent.acked is not None and sent.acked < 3
    assert sent.view is not None and "being read" in sent.view.words
    await card(atelier, "3 pictures")


async def test_more_settings_unfold_in_the_modal(atelier: Atelier) -> None:
    view = await opens(atelier)
    before = {element["block_id"] for element in view.elements}
    assert "lr" not in before

    await atelier.slack.act(atelier.ana, view, "more")

    assert {"lr", "optimizer", "captions"} <= {element["block_id"] for element in view.elements}
    sent = await atelier.slack.submit(
        atelier.ana, view, {**FILLED, "pictures": files(atelier, 3), "lr": "0.00005"}
    )
    assert not sent.errors
    assert "5e-05" in (await card(atelier, "3 pictures")).words


async def test_changing_a_draft_keeps_its_pictures(atelier: Atelier) -> None:
    await sends(atelier, files(atelier, 3))
    report = await card(atelier, "3 pictures")

    heard = await atelier.slack.act(atelier.ana, report, button(report, "edit"))
    assert heard.view is not None and "3 pictures will be taken" in heard.view.words
    sent = await atelier.slack.submit(atelier.ana, heard.view, {"steps": "20"})

    assert not sent.errors
    changed = await card(atelier, "3 pictures, 20 steps")
    # The old card goes first, and then what stood in the channel above it.
    await atelier.slack.until(lambda: report.deleted and len(atelier.channel.messages) == 1)
    assert [card.ts for card in atelier.cards()] == [changed.ts]


async def test_captions_go_out_as_a_file_and_come_back_with_the_modal(atelier: Atelier) -> None:
    await sends(atelier, files(atelier, 3))
    report = await card(atelier, "3 pictures")

    await atelier.slack.act(atelier.ana, report, button(report, "captions"))

    direct = atelier.slack.direct(atelier.ana)
    await atelier.slack.until(lambda: any(message.files for message in direct.messages))
    (file,) = next(message.files for message in direct.messages if message.files)
    assert file.name == "maria-captions.csv"
    heard = await atelier.slack.act(atelier.ana, report, button(report, "edit"))
    changed = file.content.replace(b"1.png,", b"1.png,a gear")
    back = atelier.slack.upload(atelier.ana, file.name, changed)
    sent = await atelier.slack.submit(atelier.ana, heard.view, {"steps": "20", "pictures": [back]})

    assert not sent.errors
    await card(atelier, "3 pictures, 20 steps")
    ((request,),) = rows(atelier.folder, "SELECT request FROM jobs WHERE deleted_at IS NULL")
    assert [example["caption"] for example in json.loads(request)["examples"]] == ["", "a gear", ""]


async def test_changing_a_draft_needs_consent_again(atelier: Atelier) -> None:
    await sends(atelier, files(atelier, 3))
    report = await card(atelier, "3 pictures")

    heard = await atelier.slack.act(atelier.ana, report, button(report, "edit"))
    sent = await atelier.slack.submit(atelier.ana, heard.view, {"steps": "20", "consent": []})

    assert list(sent.errors) == ["consent"]


async def test_the_pictures_of_ones_own_message_are_trained_on(atelier: Atelier) -> None:
    message = atelier.slack.say(atelier.ana, atelier.channel, "look", files=files(atelier, 3))

    heard = await atelier.slack.shortcut(atelier.ana, message, "train_on_these")
    assert heard.view is not None and "3 pictures will be taken" in heard.view.words
    sent = await atelier.slack.submit(atelier.ana, heard.view, {**FILLED, "name": "maria"})

    assert not sent.errors
    await card(atelier, "3 pictures")


async def test_a_guest_by_slack_connect_trains_on_their_own_pictures(atelier: Atelier) -> None:
    guests = atelier.slack.team("guests")
    gus = guests.user("gus")
    atelier.channel.share_with(guests)
    sent = [atelier.slack.upload(gus, f"{number}.png", a_picture(number)) for number in range(3)]
    message = atelier.slack.say(gus, atelier.channel, "look", files=sent)

    heard = await atelier.slack.shortcut(gus, message, "train_on_these")
    others = await atelier.slack.shortcut(atelier.ana, message, "train_on_these")

    assert heard.view is not None and "3 pictures will be taken" in heard.view.words
    assert others.view is not None and "not yours" in others.view.words


async def test_the_pictures_of_others_are_not(atelier: Atelier) -> None:
    message = atelier.slack.say(atelier.ana, atelier.channel, "look", files=files(atelier, 3))

    heard = await atelier.slack.shortcut(atelier.bo, message, "train_on_these")

    assert heard.view is not None and "not yours" in heard.view.words
    assert not heard.view.elements


async def test_a_training_goes_on_after_a_restart_in_its_thread(open_atelier: OpenAtelier) -> None:
    atelier = await open_atelier(seconds=0.05)
    await sends(atelier, files(atelier, 3), steps="40")
    report = await card(atelier, "3 pictures")
    await atelier.slack.act(atelier.ana, report, button(report, "start"))
    await card(atelier, " of 40, loss")

    await atelier.restart()

    done = await card(atelier, "--lora maria", 60)
    assert done.ts == report.ts
    assert len(atelier.channel.messages) == 1


async def test_a_deleted_training_takes_its_thread_with_it(atelier: Atelier) -> None:
    await sends(atelier, files(atelier, 3))
    report = await card(atelier, "3 pictures")
    await atelier.slack.until(lambda: report.pictures)

    await atelier.slack.act(atelier.ana, report, button(report, "delete"))

    await atelier.slack.until(lambda: not atelier.channel.messages)
    assert not [message for message in atelier.channel.everything if not message.deleted and message.files]


async def test_a_thread_whose_post_was_cut_is_there_once(atelier: Atelier) -> None:
    atelier.slack.faults.add("POST", r"/api/chat\.postMessage", Fault.CUT_AFTER, times=2)

    await sends(atelier, files(atelier, 3))

    await card(atelier, "3 pictures")
    assert len(atelier.channel.messages) == 1
    assert len(atelier.cards()) == 1
