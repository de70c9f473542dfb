"""Buttons, reactions and message shortcuts, now and after a restart."""

from functools import partial

from bot.config import SlackSettings
from tests.bot.slack.harness import Atelier, OpenAtelier, button, job_of
from tests.fakes.slack import Heard, Message


def is_refused(heard: Heard) -> bool:
    return "There is no" in heard.words


async def again(atelier: Atelier, card: Message) -> Message:
    """Wait for the card that came from this one."""
    return await atelier.shows(
        lambda message: message.ts != card.ts and "Painted in" in message.words and bool(message.pictures)
    )


async def test_only_its_person_and_admins_delete_a_job(atelier: Atelier) -> None:
    card = await atelier.paints(atelier.ana, "a red fox")

    heard = await atelier.slack.act(atelier.bo, card, button(card, "delete"))

    await atelier.slack.until(lambda: "Only ana or an admin can delete" in heard.words)
    assert not card.deleted
    await atelier.slack.act(atelier.cem, card, button(card, "delete"))
    await atelier.slack.until(lambda: card.deleted)


async def test_a_deleted_job_leaves_no_file_in_slack(atelier: Atelier) -> None:
    card = await atelier.paints(atelier.ana, "a red fox")
    file = card.thread[0].files[0]
    await atelier.restart()

    await atelier.slack.act(atelier.ana, card, button(card, "delete"))

    await atelier.slack.until(lambda: card.deleted)
    assert file.deleted


async def test_a_running_job_is_cancelled(open_atelier: OpenAtelier) -> None:
    atelier = await open_atelier(seconds=0.2)
    await atelier.says(atelier.ana, "/imagine", "a red fox --steps 50")
    card = await atelier.shows(lambda message: "▓" in message.words)

    await atelier.slack.act(atelier.ana, card, button(card, "stop"))

    await atelier.slack.until(lambda: "Cancelled" in card.words)


async def test_the_full_file_comes_by_direct_message(atelier: Atelier) -> None:
    card = await atelier.paints(atelier.ana, "a red fox --seed 7")

    heard = await atelier.slack.act(atelier.bo, card, button(card, "send"))

    direct = atelier.slack.direct(atelier.bo)
    await atelier.slack.until(lambda: any(message.files for message in direct.messages))
    await atelier.slack.until(lambda: "direct message" in heard.words)
    assert any("--seed 7" in message.words for message in direct.messages)
    assert not any(message.files for message in atelier.channel.messages)


async def test_a_forged_button_is_refused(atelier: Atelier) -> None:
    card = await atelier.paints(atelier.ana, "a red fox")

    for value in ("delete:zzzzzz", "drop table:1", "again:" + "9" * 500, ""):
        heard = await atelier.slack.act(atelier.bo, card, "again:forged", value, forged=True)
        await atelier.slack.until(partial(is_refused, heard))
    assert len(atelier.cards()) == 1


async def test_reactions_do_what_the_buttons_do(atelier: Atelier) -> None:
    slack, card = atelier.slack, await atelier.paints(atelier.ana, "a red fox --seed 7")

    await slack.react(atelier.bo, card, "⭐")
    await slack.until(lambda: "⭐ 1" in card.words)
    await slack.unreact(atelier.bo, card, "⭐")
    await slack.until(lambda: "⭐ 1" not in card.words)
    await slack.react(atelier.bo, card, "🔁")
    assert "seed 7 " not in (await again(atelier, card)).words
    await slack.react(atelier.bo, card, "✉️")
    await slack.until(lambda: any(message.files for message in slack.direct(atelier.bo).messages))
    await slack.react(atelier.bo, card, "🎲")
    varied = await atelier.shows(lambda message: "variation 0.15" in message.words and bool(message.pictures))
    assert job_of(varied) != job_of(card)


async def test_a_reaction_to_the_picture_in_the_thread_is_one_to_its_card(atelier: Atelier) -> None:
    slack, card = atelier.slack, await atelier.paints(atelier.ana, "a red fox --seed 7")
    [picture] = card.thread
    message = slack.say(atelier.ana, atelier.channel, "what a fox", thread=card)

    await slack.react(atelier.bo, picture, "⭐")
    await slack.until(lambda: "⭐ 1" in card.words)
    await slack.unreact(atelier.bo, picture, "⭐")
    await slack.until(lambda: "⭐ 1" not in card.words)
    await slack.react(atelier.bo, message, "🔁")
    assert len(atelier.cards()) == 1
    await slack.react(atelier.bo, picture, "🔁")

    assert "seed 7 " not in (await again(atelier, card)).words


async def test_a_cross_deletes_ones_own_job_and_nobody_elses(atelier: Atelier) -> None:
    card = await atelier.paints(atelier.ana, "a red fox")

    await atelier.slack.react(atelier.bo, card, "❌")
    await atelier.slack.react(atelier.ana, card, "❌")

    await atelier.slack.until(lambda: card.deleted)


async def test_a_reaction_after_a_restart_finds_its_card(atelier: Atelier) -> None:
    card = await atelier.paints(atelier.ana, "a red fox")
    await atelier.restart()

    await atelier.slack.react(atelier.bo, card, "🔁")

    await again(atelier, card)


async def test_an_edit_after_a_restart_uploads_nothing_again(atelier: Atelier) -> None:
    card = await atelier.paints(atelier.ana, "a red fox")
    await atelier.restart()
    before = len(atelier.slack.calls("files.getUploadURLExternal"))

    await atelier.slack.react(atelier.bo, card, "⭐")

    await atelier.slack.until(lambda: "⭐ 1" in card.words)
    assert card.pictures == [card.thread[0].files[0].id]
    assert len(atelier.slack.calls("files.getUploadURLExternal")) == before


async def test_reactions_under_other_messages_mean_nothing(atelier: Atelier) -> None:
    message = atelier.slack.say(atelier.ana, atelier.channel, "hello")

    heard = await atelier.slack.react(atelier.bo, message, "🔁")
    other = await atelier.slack.react(atelier.bo, message, "👍")

    assert heard is not None and heard.acked is not None and not heard.words
    assert other is not None and other.acked is not None
    assert not atelier.cards()


async def test_the_reactions_of_another_bot_mean_nothing(atelier: Atelier) -> None:
    card = await atelier.paints(atelier.ana, "a red fox")
    poster = atelier.team.user("poster", bot=True)

    for emoji in ("🔁", "⭐"):
        heard = await atelier.slack.react(poster, card, emoji)
        assert heard is not None and heard.acked is not None

    await atelier.slack.react(atelier.bo, card, "⭐")
    await atelier.slack.until(lambda: "⭐ 1" in card.words)
    assert len(atelier.cards()) == 1


async def test_paint_like_this_opens_the_recipe_of_a_card(atelier: Atelier) -> None:
    card = await atelier.paints(atelier.ana, "a red fox --steps 8")

    heard = await atelier.slack.shortcut(atelier.bo, card, "paint_like_this")

    assert heard.view is not None
    await atelier.slack.submit(atelier.bo, heard.view, {"prompt": "a blue fox"})
    painting = await atelier.shows(
        lambda message: "a blue fox" in message.words and "Painted in" in message.words
    )
    assert "steps 8" in painting.words


async def test_paint_like_this_takes_the_words_of_a_message(atelier: Atelier) -> None:
    message = atelier.slack.say(atelier.ana, atelier.channel, "a fox in the snow")

    heard = await atelier.slack.shortcut(atelier.bo, message, "paint_like_this")

    assert heard.view is not None
    prompt = next(element for element in heard.view.elements if element["block_id"] == "prompt")
    assert prompt["initial_value"] == "a fox in the snow"


async def test_paint_like_this_reads_a_recipe_that_somebody_pasted(atelier: Atelier) -> None:
    block = "a red fox\nNegative prompt: hat\nSteps: 2, Seed: 7, Size: 64x96"
    message = atelier.slack.say(atelier.ana, atelier.channel, block)

    heard = await atelier.slack.shortcut(atelier.bo, message, "paint_like_this")

    assert heard.view is not None
    filled = {element["block_id"]: element.get("initial_value") for element in heard.view.elements}
    assert (filled["prompt"], filled["no"], filled["steps"]) == ("a red fox", "hat", "2")


async def test_a_card_whose_channel_is_closed_goes_to_its_person(open_atelier: OpenAtelier) -> None:
    atelier = await open_atelier(seconds=0.1, settings=SlackSettings())
    await atelier.says(atelier.ana, "/imagine", "a red fox --steps 10")
    await atelier.shows(lambda message: "▓" in message.words)

    atelier.channel.archived = True

    direct = atelier.slack.direct(atelier.ana)
    card = await atelier.shows(
        lambda message: "Painted in" in message.words and bool(message.pictures), direct
    )
    heard = await atelier.slack.act(atelier.ana, card, button(card, "keep"))
    await atelier.slack.until(lambda: "⭐ 1" in card.words)
    await atelier.slack.until(lambda: "favourites" in heard.words)
