"""Pictures to start from: how people say them, who may use them, and how long their files stay."""

import pytest

from commands.answers import CreateJob, Form, ShowCard
from commands.recipe_text import command_text
from commands.source_pictures import origins
from commands.syntax.picture_reference import read_picture_reference
from engine.messages import InvalidRequest, JobId, Paint, Ratio, Sha256, Size
from storage import limits, pictures, privacy
from storage.views import JobView
from tests.commands.chat import Chat, request_of

SENT = Sha256("a" * 64)


async def painted(chat: Chat, who: str = "ana", line: str = "/imagine a fox", count: int = 1) -> JobId:
    job = await chat.files(who, line)
    await chat.paints(job, count)
    return job


async def refusal(chat: Chat, who: str, line: str, space: str = "general") -> str:
    with pytest.raises(InvalidRequest) as refused:
        await chat.says(who, line, space)
    return str(refused.value)


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("k3f9qa", "k3f9qa"),
        ("K3F9QA:2", "k3f9qa:2"),
        ("k3f9qa#2", "k3f9qa:2"),
        ("a" * 64, "a" * 64),
    ],
)
def test_a_picture_is_said_by_its_job_or_hash(text: str, reference: str) -> None:
    assert str(read_picture_reference(text)) == reference


@pytest.mark.parametrize(
    ("link", "message"),
    [
        ("https://discord.com/channels/112233/998877/223344556677889900", "998877-223344556677889900"),
        ("https://ptb.discord.com/channels/@me/998877/223344", "998877-223344"),
        ("<https://art.slack.com/archives/C024BE91L/p1700000000123456>", "C024BE91L-1700000000.123456"),
        (
            "https://art.slack.com/archives/C02/p1700000009123456?thread_ts=1700000000.123456&cid=C02",
            "C02-1700000000.123456",
        ),
    ],
)
def test_a_picture_is_said_by_the_link_of_its_message(link: str, message: str) -> None:
    reference = read_picture_reference(link)

    assert reference.message == message
    assert read_picture_reference(str(reference)) == reference


async def test_a_job_s_picture_is_started_from_at_its_own_size(chat: Chat) -> None:
    job = await painted(chat, count=2)

    request = request_of(await chat.says("bob", f"/imagine a wolf --image {job}:2 --strength 0.4"))

    [_, second] = (await chat.sees(job)).pictures
    assert request.source is not None
    assert (request.source.sha256, request.source.strength) == (second.sha256, 0.4)
    assert (request.source.job, request.source.place) == (job, 2)
    assert request.size == Size(width=second.width, height=second.height)


async def test_what_was_sent_is_started_from_at_about_its_ratio(chat: Chat) -> None:
    await chat.sends("ana", SENT, size=(1200, 801))

    usual = request_of(await chat.says("ana", f"/imagine a wolf --image {SENT}"))
    square = request_of(await chat.says("ana", f"/imagine a wolf --image {SENT} --size 1:1"))

    assert usual.size == Ratio(across=3, down=2)
    assert (usual.note, square.note) == ("", "The picture was cropped at its left and right to this size.")


async def test_without_words_those_of_the_picture_are_painted(chat: Chat) -> None:
    job = await painted(chat, line="/imagine a fox in snow")
    await chat.sends("ana", SENT, size=(640, 640))

    assert request_of(await chat.says("bob", f"/imagine --image {job}")).prompt == "a fox in snow"
    assert request_of(await chat.says("bob", f"/imagine --image {job} 2 owls")).prompt == "2 owls"
    assert await refusal(chat, "ana", f"/imagine --image {SENT}") == (
        "Nothing here knows which words painted that picture. Say what to paint."
    )


async def test_own_defaults_for_the_size_do_not_crop_it(chat: Chat) -> None:
    await chat.says("ana", "/settings --size portrait")
    job = await painted(chat, line="/imagine a fox --size 64x64")

    assert isinstance(request_of(await chat.says("ana", f"/imagine a wolf --image {job}")).size, Size)


async def test_what_cannot_be_started_from_is_refused_in_a_sentence(chat: Chat) -> None:
    job, grid = await painted(chat), await painted(chat, count=2)
    waiting = await chat.files("ana", "/imagine an owl")
    await chat.sends("ana", SENT, size=(1200, 8))

    refusals = [
        await refusal(chat, who, f"/imagine a wolf {flags}", space)
        for who, flags, space in [
            ("ana", f"--image {grid}", "general"),
            ("ana", f"--image {job}:3", "general"),
            ("ana", f"--image {waiting}", "general"),
            ("ana", f"--image {job}", "elsewhere"),
            ("bob", f"--image {SENT}", "general"),
            ("ana", f"--image {SENT}", "general"),
            ("ana", f"--image {job} --strength 2", "general"),
            ("ana", f"--image {job} --strength 0", "general"),
            ("ana", "--strength 0.3", "general"),
            ("ana", "--image cat.png", "general"),
        ]
    ]

    assert refusals == [
        f"Job {grid} has 2 pictures. Say which, such as {grid}:2.",
        f"Job {job} has no picture 3. It has 1.",
        f"Job {waiting} is not painted yet. Name another one.",
        f"There is no job {job} here.",
        "The picture is no longer here. Send it again.",
        "The picture has 1200x8 pixels. Each side must have at least 64.",
        "--strength must be from 0 to 1, not 2.",
        "A strength of 0 is less than one of 30 steps. Give it at least 0.04.",
        "--strength does nothing alone. Add a picture, such as --image k3f9qa:2.",
        "'cat.png' is no picture. Send one, or name a job's, such as k3f9qa or k3f9qa:2.",
    ]


async def test_the_link_of_a_message_elsewhere_is_that_of_no_card(chat: Chat) -> None:
    job = await painted(chat)
    await chat.posts(job, "998877-223344")
    link, other = (f"https://discord.com/channels/1/998877/{number}" for number in (223344, 5))

    request = request_of(await chat.says("bob", f"/imagine a wolf --image {link}"))
    elsewhere = await refusal(chat, "bob", f"/imagine a wolf --image {link}", "elsewhere")

    assert request.source is not None and request.source.job == job
    assert elsewhere == await refusal(chat, "bob", f"/imagine a wolf --image {other}")
    assert elsewhere == "There is no picture of mine in that message. Send the picture itself."


async def test_a_channel_for_adults_keeps_its_pictures(chat: Chat) -> None:
    chat.adult = True
    job = await painted(chat)
    chat.adult = False

    assert "is from a channel for adults" in await refusal(chat, "ana", f"/imagine a wolf --image {job}")


async def test_the_button_opens_the_form_with_the_picture_and_its_recipe(chat: Chat) -> None:
    job = await painted(chat, line="/imagine a fox --steps 9 --seed 7", count=2)

    form = await chat.presses("bob", f"image:{job}:2")

    assert isinstance(form, Form)
    values = form.values
    assert (values["prompt"], values["steps"], values["image"]) == ("a fox", "9", f"{job}:2")
    request = request_of(await chat.fills("bob", form.command, form.values))
    assert request.source is not None and request.seed != 7


async def test_again_and_the_card_s_command_keep_what_it_starts_from(chat: Chat) -> None:
    job = await painted(chat)
    changed = await painted(chat, "bob", f"/imagine a wolf --image {job} --strength 0.4 --seed 3")
    view = await chat.sees(changed)
    assert isinstance(view.request, Paint)

    again = await chat.presses("ana", f"again:{changed}")
    assert request_of(again).source == view.request.source
    assert f"--image {job}:1 --strength 0.4" in command_text(view.request)
    assert origins(view.request) == ((job, f"{job}, picture 1"),)


async def test_show_walks_back_through_what_a_picture_came_from(chat: Chat) -> None:
    first = await painted(chat, line="/imagine a fox")
    second = await painted(chat, line=f"/imagine a wolf --image {first}")
    third = await painted(chat, "bob", f"/imagine a bear --image {second}:1")

    shown = await chat.says("bob", f"/show {third}")
    await chat.presses("ana", f"delete:{first}")
    later = await chat.says("bob", f"/show {third}")

    assert isinstance(shown, ShowCard) and isinstance(later, ShowCard)
    assert shown.text.splitlines() == [
        f"{third} is from {second}, picture 1: a wolf",
        f"{second} is from {first}, picture 1: a fox",
    ]
    assert later.text.splitlines()[1] == f"{second} is from {first}, picture 1"
    assert await chat.says("bob", f"/show {second}") == ShowCard(job=second, text=later.text.splitlines()[1])


async def test_what_was_sent_is_gone_on_from_by_who_sent_it_alone(chat: Chat) -> None:
    await chat.sends("ana", SENT, size=(960, 640))
    job = await painted(chat, line=f"/imagine a wolf --image {SENT} --strength 0.4")
    await chat.forgets_uploads()

    form = await chat.presses("ana", f"edit:{job}")

    assert isinstance(form, Form) and form.values["image"] == f"{job}:0"
    request = request_of(await chat.fills("ana", form.command, form.values))
    assert request.source == (request_of_view(await chat.sees(job))).source
    again = await chat.presses("bob", f"again:{job}")
    for seen in (job, request_of(again).job):
        assert await refusal(chat, "bob", f"/imagine a wolf --image {seen}:0 --strength 0.1") == (
            f"What job {seen} started from is for who sent it alone. Start from {seen}:1 instead."
        )
    other = await painted(chat, line=f"/imagine a bear --image {job}")
    from_it = request_of(await chat.says("bob", f"/imagine a bear --image {other}:0"))
    assert from_it.source is not None and from_it.source.job == job
    assert "started from words alone" in await refusal(
        chat, "bob", f"/imagine a wolf --image {await painted(chat)}:0"
    )


def request_of_view(view: JobView) -> Paint:
    assert isinstance(view.request, Paint)
    return view.request


async def is_needed(chat: Chat, sha256: Sha256) -> bool:
    async with chat.database.reading() as session:
        return not await pictures.find_unneeded(session, [sha256])


async def test_a_sent_picture_stays_with_the_job_of_who_sent_it_and_goes_with_it(chat: Chat) -> None:
    await chat.sends("ana", SENT, size=(640, 640))
    job = await painted(chat, line=f"/imagine a wolf --image {SENT}")
    again = await chat.presses("bob", f"again:{job}")
    await chat.forgets_uploads()

    assert isinstance(again, CreateJob)
    assert await is_needed(chat, SENT)
    view = await chat.sees(job)
    async with chat.database.reading() as session:
        assert SENT in await limits.files(session, view.space_id, view.person_id)
    hers = await chat.files("ana", f"/imagine an owl --image {SENT}")
    assert "no longer here" in await refusal(chat, "bob", f"/imagine an owl --image {SENT}")
    await chat.says("ana", f"/cancel {hers}")
    for each in (job, hers):
        await chat.presses("ana", f"delete:{each}")

    assert not await is_needed(chat, SENT)


async def test_it_goes_with_its_person_whoever_painted_from_it(chat: Chat) -> None:
    await chat.sends("ana", SENT, size=(640, 640))
    job = await painted(chat, line=f"/imagine a wolf --image {SENT}")
    await chat.presses("bob", f"again:{job}")
    person = (await chat.sees(job)).person_id

    forgotten = await chat.database.write(lambda session: privacy.forget_person(session, person, chat.now))

    assert SENT in forgotten.unneeded
