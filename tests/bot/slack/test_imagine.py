"""/imagine in a workspace: as a line, as a modal, and what is answered when it cannot be done."""

import asyncio
import io
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

from bot.config import SlackSettings
from bot.engine_client.client import PROGRAM
from engine.messages import EngineSettings
from tests.bot.fake_chat import a_config
from tests.bot.slack.harness import Atelier, OpenAtelier, button, job_of


async def test_a_command_becomes_one_message_that_ends_with_the_picture(atelier: Atelier) -> None:
    card = await atelier.paints(atelier.ana, "a red fox --steps 8 --seed 7")

    assert [message.ts for message in atelier.channel.messages] == [card.ts]
    assert "seed 7" in card.words
    (file,) = card.thread[0].files
    assert file.content.startswith(b"\x89PNG")
    assert card.pictures == [file.id]


@pytest.mark.timeout(300)
async def test_a_red_circles_picture_is_red_where_it_must_be(
    open_atelier: OpenAtelier, tmp_path: Path
) -> None:
    engine = EngineSettings(model="demo", files=str(tmp_path / "files"), deadline_floor_seconds=30.0)
    atelier = await open_atelier(config=replace(a_config(tmp_path), engine=engine), program=PROGRAM)

    await atelier.says(atelier.ana, "/imagine", "a big red circle on a white background --seed 7 --steps 10")
    card = await atelier.shows(lambda message: bool(message.pictures), seconds=200)

    picture = Image.open(io.BytesIO(card.thread[0].files[0].content)).convert("RGB")
    middle, corner = picture.getpixel((picture.width // 2, picture.height // 2)), picture.getpixel((2, 2))
    assert isinstance(middle, tuple) and isinstance(corner, tuple)
    assert middle[0] > 150 and max(middle[1:]) < 110
    assert min(corner) > 180


async def test_the_acknowledgement_comes_when_the_job_is_on_disk(open_atelier: OpenAtelier) -> None:
    atelier = await open_atelier(seconds=0.2)

    heard = await atelier.says(atelier.ana, "/imagine", "a red fox --steps 4")

    assert heard.acked is not None and heard.acked < 3
    await atelier.restart()
    await atelier.shows(lambda message: "a red fox" in message.words and "Painted in" in message.words)
    assert len(atelier.cards()) == 1


async def test_a_card_is_edited_at_most_once_in_three_seconds(open_atelier: OpenAtelier) -> None:
    atelier = await open_atelier(seconds=0.25, starts=False)
    atelier.every = 3.0
    await atelier.start()

    await atelier.says(atelier.ana, "/imagine", "a red fox --steps 20")
    await atelier.shows(lambda message: "Painted in" in message.words and bool(message.pictures), seconds=20)

    at = [call.at for call in atelier.slack.calls("chat.update")]
    assert len(at) >= 2
    assert min(later - sooner for sooner, later in pairwise(at)) >= 2.9


async def test_progress_is_seen_while_it_is_painted(open_atelier: OpenAtelier) -> None:
    atelier = await open_atelier(seconds=0.1)

    await atelier.says(atelier.ana, "/imagine", "a red fox --steps 20")

    running = await atelier.shows(lambda message: "▓" in message.words)
    assert "step" in running.words


async def test_four_pictures_are_one_grid_with_a_row_of_buttons_each(atelier: Atelier) -> None:
    card = await atelier.paints(atelier.ana, "a red fox --count 4")

    assert len(card.pictures) == 1
    rows = [block for block in card.blocks if block["type"] == "actions"]
    assert len(rows) == 5
    *buttons, more = rows[2]["elements"]
    assert [element["value"] for element in buttons] == [
        f"{action}:{job_of(card)}:2" for action in ("vary", "keep", "send")
    ]
    assert f"image:{job_of(card)}:2" in [option["value"] for option in more["options"]]


async def test_nothing_in_a_prompt_pings_or_links(atelier: Atelier) -> None:
    prompt = "<!channel> <@U0001> @here https://example.test <https://example.test|a> & *bold*"

    card = await atelier.paints(atelier.ana, prompt)

    assert prompt in card.words
    assert not card.pings
    assert not card.links


async def test_an_empty_command_opens_the_form_of_the_one_definition(atelier: Atelier) -> None:
    heard = await atelier.says(atelier.ana, "/imagine")

    assert heard.view is not None
    elements = {element["block_id"]: element for element in heard.view.elements}
    assert elements["steps"]["type"] == "number_input"
    assert (elements["steps"]["min_value"], elements["steps"]["max_value"]) == ("1", "100")
    assert elements["sampler"]["type"] == "static_select"
    assert elements["lora"]["type"] == "multi_external_select"


async def test_the_form_paints(atelier: Atelier) -> None:
    heard = await atelier.says(atelier.ana, "/imagine")

    sent = await atelier.slack.submit(atelier.ana, heard.view, {"prompt": "a red fox", "steps": "9"})

    assert not sent.errors
    card = await atelier.shows(lambda message: "Painted in" in message.words)
    assert "steps 9" in card.words


async def test_a_form_sent_twice_is_filed_once(atelier: Atelier) -> None:
    heard = await atelier.says(atelier.ana, "/imagine")
    await atelier.slack.submit(atelier.ana, heard.view, {"prompt": "a red fox"})
    assert heard.view is not None and heard.view.closed
    heard.view.closed = False

    await atelier.slack.submit(atelier.ana, heard.view, {"prompt": "a red fox"})

    await atelier.shows(lambda message: "Painted in" in message.words)
    assert len(atelier.cards()) == 1


async def test_what_is_wrong_stands_at_its_field(atelier: Atelier) -> None:
    heard = await atelier.says(atelier.ana, "/imagine")

    sent = await atelier.slack.submit(atelier.ana, heard.view, {"prompt": "a fox", "size": "huge"})

    assert list(sent.errors) == ["size"]
    assert not atelier.channel.messages


async def test_somebodys_own_defaults_stand_in_the_form(atelier: Atelier) -> None:
    await atelier.says(atelier.ana, "/settings", "--steps 33")

    heard = await atelier.says(atelier.ana, "/imagine")

    assert heard.view is not None
    steps = next(element for element in heard.view.elements if element["block_id"] == "steps")
    assert steps["placeholder"]["text"] == "33"


async def test_editing_a_card_opens_its_recipe(atelier: Atelier) -> None:
    card = await atelier.paints(atelier.ana, "a red fox --steps 8 --no blurry")

    heard = await atelier.slack.act(atelier.bo, card, button(card, "edit"))

    assert heard.view is not None
    filled = {element["block_id"]: element.get("initial_value") for element in heard.view.elements}
    assert (filled["prompt"], filled["no"], filled["steps"]) == ("a red fox", "blurry", "8")


async def test_an_unknown_flag_suggests_the_near_one(atelier: Atelier) -> None:
    heard = await atelier.says(atelier.ana, "/imagine", "a fox --step 20")

    assert "Did you mean --steps?" in heard.words
    assert not atelier.channel.messages


async def test_a_text_that_is_only_flags_is_told_what_is_missing(atelier: Atelier) -> None:
    heard = await atelier.says(atelier.ana, "/imagine", "--steps 20")

    assert "The prompt is missing" in heard.words


async def test_a_macs_long_dashes_are_flags(atelier: Atelier) -> None:
    card = await atelier.paints(atelier.ana, "a red fox —steps 8")

    assert "steps 8" in card.words


async def test_where_the_bot_is_no_member_it_says_to_invite_it(atelier: Atelier) -> None:
    elsewhere = atelier.team.channel("elsewhere", member=False)

    heard = await atelier.says(atelier.ana, "/imagine", "a red fox", elsewhere)

    assert "/invite @atelier" in heard.words
    assert not elsewhere.messages
    elsewhere.member = True
    await atelier.paints(atelier.ana, "a red fox", elsewhere)


async def test_several_people_who_write_to_each_other_paint_together(atelier: Atelier) -> None:
    group = atelier.team.group(atelier.ana, atelier.bo)

    card = await atelier.paints(atelier.ana, "a red fox --seed 7", group)

    assert card.channel is group
    await atelier.slack.react(atelier.bo, card, "🔁")
    await atelier.slack.until(lambda: len(atelier.cards(group)) == 2)


async def test_among_people_who_left_it_out_it_says_where_else_to_ask(atelier: Atelier) -> None:
    group = atelier.team.group(atelier.ana, atelier.bo, member=False)

    heard = await atelier.says(atelier.ana, "/imagine", "a red fox", group)

    assert "write to it directly" in heard.words
    assert not group.messages


async def test_the_operator_may_keep_it_to_some_channels(open_atelier: OpenAtelier) -> None:
    atelier = await open_atelier(settings=SlackSettings(channels=("C0NOTHERE",)))

    heard = await atelier.says(atelier.ana, "/imagine", "a red fox")

    assert "other channels" in heard.words
    await atelier.paints(atelier.ana, "a red fox", atelier.slack.direct(atelier.ana))


async def test_thirty_commands_at_once_are_all_painted(atelier: Atelier) -> None:
    people = [atelier.team.user(f"person{number}") for number in range(10)]

    heard = await asyncio.gather(
        *(atelier.says(who, "/imagine", f"fox {number} --steps 1") for who in people for number in range(3))
    )

    assert all(answer.acked is not None and answer.acked < 3 for answer in heard)
    await atelier.slack.until(
        lambda: sum("Painted in" in card.words for card in atelier.cards()) == 30, seconds=30
    )
    assert len(atelier.cards()) == 30


async def test_a_weight_that_is_painted_as_words_is_told_under_the_card(atelier: Atelier) -> None:
    card = await atelier.paints(atelier.ana, "a fox BREAK a hill --steps 2")

    assert "Painted as plain words, for weights are not understood here: BREAK." in card.words


async def test_a_pasted_recipe_is_painted_and_what_is_not_known_is_told(atelier: Atelier) -> None:
    block = "a red fox\nNegative prompt: hat\nSteps: 2, Seed: 7, Size: 64x96, Clip skip: 2"

    heard = await atelier.says(atelier.ana, "imagine", block)

    card = await atelier.shows(lambda message: "Painted in" in message.words)
    assert "no hat" in card.words and "seed 7" in card.words and "size 64x96" in card.words
    assert heard.words == "Left out, because it is not known here: Clip skip: 2."


async def test_a_private_picture_comes_by_direct_message(atelier: Atelier) -> None:
    slack, direct = atelier.slack, atelier.slack.direct(atelier.ana)

    heard = await atelier.says(atelier.ana, "imagine", "a red fox --private --steps 8")

    card = await atelier.shows(
        lambda message: "Painted in" in message.words and bool(message.pictures), direct
    )
    assert "steps 8" in card.words and "private" not in card.words
    assert heard.words == "It is in your direct messages."
    assert not atelier.cards()
    refused = await atelier.says(atelier.ana, "imagine", "a red fox --private --steps 800")
    assert "--steps must be from 1 to 100, not 800" in refused.words
    await slack.react(atelier.ana, card, "⭐")
    await slack.until(lambda: "⭐ 1" in card.words)


async def test_a_picture_is_private_whatever_the_phone_makes_of_the_dashes(atelier: Atelier) -> None:
    heard = await atelier.says(atelier.ana, "imagine", "a red fox \u2014private --no blue circle --steps 2")

    card = await atelier.shows(
        lambda message: "Painted in" in message.words, atelier.slack.direct(atelier.ana)
    )
    assert "no blue circle" in card.words and "private" not in card.words
    assert heard.words == "It is in your direct messages."
    assert not atelier.cards()


async def test_a_private_picture_is_asked_for_in_a_form_too(atelier: Atelier) -> None:
    heard = await atelier.says(atelier.ana, "imagine", "--private")

    sent = await atelier.slack.submit(atelier.ana, heard.view, {"prompt": "a blue hen"})

    assert not sent.errors
    await atelier.shows(lambda message: "Painted in" in message.words, atelier.slack.direct(atelier.ana))
    assert not atelier.cards()


async def test_my_pictures_are_hung_on_a_sheet_for_me_alone(atelier: Atelier) -> None:
    card = await atelier.paints(atelier.ana, "a red fox --steps 2")

    heard = await atelier.says(atelier.ana, "/gallery")

    await atelier.wait_for_file(atelier.ana, "gallery.png")
    (words,) = heard.ephemerals
    assert "Your pictures here, newest first" in words.words
    assert words.pictures == []
    assert [message.ts for message in atelier.channel.messages] == [card.ts]
