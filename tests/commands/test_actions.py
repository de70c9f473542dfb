"""Buttons: the same for every chat, and checked again at every click."""

from dataclasses import replace

import pytest
from sqlalchemy import select

from commands.actions import ACTIONS, available_actions, button_id, read_button
from commands.answers import CancelJob, CreateJob, Form, SendFiles, UpdateCards
from engine.messages import InvalidRequest, JobId, Paint
from storage.tables import Audit
from tests.commands.chat import Chat, request_of


async def refusal_of(chat: Chat, name: str, button: str, space: str = "general") -> str:
    with pytest.raises(InvalidRequest) as refusal:
        await chat.presses(name, button, space)
    return str(refusal.value)


async def buttons(chat: Chat, job: JobId) -> list[str]:
    """The ids of the buttons under a job's card, without the job."""
    shown = [
        button_id(action.name, job, picture) for action, picture in available_actions(await chat.sees(job))
    ]
    return [button.replace(f":{job}", "") for button in shown]


def test_each_action_says_what_it_does_in_a_sentence() -> None:
    assert [action.emoji for action in ACTIONS] == [
        *("🔁", "🎲", "✏️", "⭐", "✉️", "🖼️", "🩹", "🔍", "🔭", "🛰️"),
        *("⬅️", "➡️", "⬆️", "⬇️", "🔲", "↔️", "🚩", "❌", "🗑️"),
    ]
    assert all(action.help[0].isupper() and action.help.endswith(".") for action in ACTIONS)


def test_a_button_is_read_as_it_was_written() -> None:
    job = JobId("k3f9qa")

    assert button_id("again", job) == "again:k3f9qa"
    assert read_button("again:k3f9qa") == ("again", job, None)
    assert read_button(button_id("keep", job, 2)) == ("keep", job, 2)


@pytest.mark.parametrize(
    "forged",
    [
        "",
        "again",
        "again:",
        "again:k3f9q",
        "again:k3f9qa:",
        "again:k3f9qa:9",
        "again:k3f9qa:1:1",
        "again:k3f9qa\n",
        "boom:k3f9qa",
        "__class__:k3f9qa",
        "again:../etc",
        "again:k3f9q\u0661",
        "x" * 100_000,
    ],
)
def test_a_forged_button_is_answered_with_one_short_sentence(forged: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^There is no button .* here\.$") as refusal:
        read_button(forged)

    assert len(str(refusal.value)) < 100


async def test_the_buttons_are_those_that_can_do_something_now(chat: Chat) -> None:
    job = await chat.files("ana", "/imagine a fox")
    assert await buttons(chat, job) == ["stop"]

    await chat.paints(job)
    assert await buttons(chat, job) == [
        *("again", "vary", "edit", "keep", "send", "image", "part", "upscale"),
        *("zoom", "wide", "left", "right", "up", "down", "square", "report", "delete"),
    ]

    cancelled = await chat.files("ana", "/imagine a fox")
    await chat.presses("ana", f"stop:{cancelled}")
    assert await buttons(chat, cancelled) == ["again", "edit", "delete"]

    await chat.presses("ana", f"delete:{job}")
    assert await buttons(chat, job) == []


async def test_several_pictures_have_buttons_of_their_own(chat: Chat) -> None:
    job = await chat.files("ana", "/imagine a fox --count 2")
    await chat.paints(job, 2)

    assert await buttons(chat, job) == [
        *("again", "vary:1", "vary:2", "edit", "keep:1", "keep:2", "send:1", "send:2"),
        *(
            "image:1",
            "image:2",
            "part:1",
            "part:2",
            "upscale:1",
            "upscale:2",
            "extend:1",
            "extend:2",
            "report:1",
            "report:2",
            "delete",
        ),
    ]


async def test_again_paints_the_same_with_a_new_seed_for_whoever_asks(chat: Chat) -> None:
    job = await chat.files("ana", "/imagine a fox --steps 9 --seed 7")
    before = await chat.paints(job)

    answer = await chat.presses("bob", f"again:{job}")

    request = request_of(answer)
    assert isinstance(answer, CreateJob) and isinstance(before.request, Paint)
    assert answer.parent == job
    assert request.seed != 7
    assert request == replace(before.request, job=request.job, seed=request.seed)
    assert (await chat.sees(request.job)).person == "bob"


async def test_vary_paints_four_near_the_picture_that_was_pressed(chat: Chat) -> None:
    job = await chat.files("ana", "/imagine a fox --count 2 --seed 7")
    await chat.paints(job, 2)

    first, second = [request_of(await chat.presses("bob", f"vary:{job}:2")) for _ in range(2)]

    assert (first.seed, first.count, first.variation) == (8, 4, 0.15)
    assert first.variation_seed != second.variation_seed


async def test_again_of_variations_stays_near_the_picture_that_they_came_from(chat: Chat) -> None:
    job = await chat.files("ana", "/imagine a fox --seed 7 --variation 0.15 --variation-seed 3")
    await chat.paints(job)

    again = request_of(await chat.presses("ana", f"again:{job}"))

    assert (again.seed, again.variation) == (7, 0.15)
    assert again.variation_seed != 3


async def test_edit_opens_the_form_with_the_whole_recipe(chat: Chat) -> None:
    job = await chat.files("ana", "/imagine a fox --seed 7 --size 3:2 --lora ink:0.8")

    form = await chat.presses("bob", f"edit:{job}")

    assert isinstance(form, Form)
    assert form.command == "imagine"
    assert form.values == {
        "prompt": "a fox",
        "no": "",
        "lora": "ink:0.8",
        "steps": "30",
        "cfg": "5",
        "seed": "7",
        "size": "3:2",
        "sampler": "Euler",
        "count": "1",
        "refiner": "0",
        "variation": "0",
        "variation_seed": "",
        "fast": "false",
        "hires": "1",
        "detail": "",
        "detail_strength": "0.4",
        "image": "",
        "strength": "0.6",
        "fresh": "false",
    }


async def test_a_star_is_given_and_taken_back_and_the_card_must_show_it(chat: Chat) -> None:
    job = await chat.files("ana", "/imagine a fox")
    before = await chat.paints(job)

    given = await chat.presses("bob", f"keep:{job}")
    card = await chat.sees(job)
    taken = await chat.presses("bob", f"keep:{job}:1")

    assert given == UpdateCards(jobs=(job,), text="The picture is in your favourites.")
    assert (card.pictures[0].stars, card.revision > before.revision) == (1, True)
    assert taken == UpdateCards(jobs=(job,), text="The picture is no longer a favourite.")
    assert (await chat.sees(job)).pictures[0].stars == 0


async def test_send_gives_the_file_with_the_command_that_paints_it_again(chat: Chat) -> None:
    job = await chat.files("ana", "/imagine a fox --count 2 --seed 7")
    view = await chat.paints(job, 2)

    gift = await chat.presses("bob", f"send:{job}:2")

    assert isinstance(gift, SendFiles)
    assert gift.files == ((f"atelier-{job}-2.png", view.pictures[1].sha256),)
    assert gift.text.startswith("/imagine a fox ")
    assert "--seed 8" in gift.text
    assert "--count" not in gift.text


async def test_stop_cancels_what_waits_and_asks_the_engine_about_what_runs(chat: Chat) -> None:
    waits, runs = [await chat.files("ana", "/imagine a fox") for _ in range(2)]
    await chat.starts(runs)

    assert await chat.presses("ana", f"stop:{waits}") == UpdateCards(
        jobs=(waits,), text=f"Job {waits} is cancelled."
    )
    assert await chat.presses("root", f"stop:{runs}") == CancelJob(
        job=runs, text=f"Job {runs} is being stopped."
    )


async def test_delete_takes_the_pictures_and_the_words_and_tells_which_files_can_go(chat: Chat) -> None:
    job = await chat.files("ana", "/imagine a secret fox")
    view = await chat.paints(job)

    answer = await chat.presses("ana", f"delete:{job}")

    assert answer == UpdateCards(
        jobs=(job,), text=f"Job {job} is deleted.", unneeded=(view.pictures[0].sha256,)
    )
    after = await chat.sees(job)
    assert (after.deleted, after.request, after.pictures) == (True, None, ())


async def test_what_an_admin_deletes_is_written_down_without_its_words(chat: Chat) -> None:
    job = await chat.files("ana", "/imagine a secret fox")
    await chat.paints(job)

    await chat.presses("root", f"delete:{job}")

    async with chat.database.reading() as session:
        (row,) = await session.scalars(select(Audit))
    assert (row.action, row.subject, row.before) == ("delete", f"job {job}", {"state": "succeeded"})


async def test_buttons_that_may_not_or_cannot_be_pressed_are_answered_with_a_sentence(chat: Chat) -> None:
    job = await chat.files("ana", "/imagine a fox --count 2")

    assert await refusal_of(chat, "bob", "again:k3f9qa") == "There is no job k3f9qa here."
    assert await refusal_of(chat, "ana", f"again:{job}", "private") == f"There is no job {job} here."
    assert await refusal_of(chat, "bob", f"stop:{job}") == f"Only ana or an admin can cancel job {job}."
    assert await refusal_of(chat, "bob", f"delete:{job}") == f"Only ana or an admin can delete job {job}."
    assert await refusal_of(chat, "ana", f"delete:{job}") == f"Job {job} has not ended yet. Cancel it first."
    assert await refusal_of(chat, "ana", f"keep:{job}") == f"Job {job} has no pictures."
    await chat.paints(job, 2)
    assert await refusal_of(chat, "ana", f"stop:{job}") == f"Job {job} has already ended."
    assert await refusal_of(chat, "ana", f"vary:{job}") == f"Job {job} has 2 pictures. Say which one."
    assert await refusal_of(chat, "ana", f"keep:{job}:3") == f"Job {job} has 2 pictures. Say which one."
    await chat.presses("ana", f"delete:{job}")
    assert await refusal_of(chat, "ana", f"again:{job}") == f"Job {job} was deleted."
