"""What the version before left behind goes on in today's code: see tests/before.py for what it is.

Button ids, flags, JSON keys, tables, columns, config keys and metrics live outside the code: they keep their
names.
"""

import io
import json
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors
from PIL import Image

from bot.cards.card import Card
from bot.cards.job_card import card
from bot.chats.discord.buttons import CardButton, button_view
from bot.chats.discord.cards import EmbedImages, embeds
from bot.chats.interface import Caller
from bot.chats.slack.cards import blocks
from bot.chats.web.json_views import card_json
from bot.config import read_config
from bot.engine_client.client import PROGRAM
from bot.uploads.png_text import recipe_in
from engine.messages import (
    AdapterUse,
    EngineSettings,
    Example,
    FlaggedPolicy,
    JobId,
    Optimizer,
    Paint,
    Prior,
    Ratio,
    Sampler,
    Schedule,
    Sha256,
    Size,
    Train,
    TrainingPrecision,
    TrainingSettings,
    Variant,
    stored_path,
)
from engine.training.run_state import restore_run_state
from engine.training.state_file import unpack_state
from storage.database import Database
from storage.requests import from_json, to_json
from storage.views import JobView, views
from tests import before
from tests.before import BUTTONS, CONTRACT, JOBS
from tests.bot.fake_chat import SLEEPER, Chat, FakeChat, Seen, a_config
from tests.contract import contract, metrics

ENDED = 100.0  # seconds to wait for what ends, on machines with much to do
OWNERS: Mapping[str, Sequence[str]] = {
    "bo": ("ratio", "varied", "failed", "adult", "private", "cancelled", "deleted", "draft"),
    "cy": ("held", "up", "interrupted"),
    "mal": ("spam",),
}  # the jobs of each person; all others are ana's
SPACES = {"held": "away", "up": "away", "private": "dm-bo"}
CHALK = AdapterUse(
    name="chalk",
    sha256=Sha256("3d78c991bbec8e358d7981651d13bac3e969d8493fa5b2928a990de722afc1cc"),
    weight=0.8,
)
MARIA = AdapterUse(
    name="maria",
    sha256=Sha256("b22c79041ad5921423653333cb3ffbfff282c275e8abae3d3dc6594df8c28977"),
    weight=0.5,
)
PICTURES = (
    Example(sha256=Sha256("99e1b166b3607d1ff30ebf121d1ba7f18589347ab98b5a16f7ce7a2e6a4d1681"), name="0.png"),
    Example(sha256=Sha256("492ae7c634bd8c106fc7115d0f43f158c3df88945e27ef8e094f778cada5cdb8"), name="1.png"),
)

REQUESTS: Mapping[str, Paint | Train] = {
    "painted": Paint(
        job=JobId(JOBS["painted"]),
        prompt="a red circle, chlk, ohwx gear",
        seed=7,
        negative_prompt="text, blurry",
        steps=8,
        guidance_scale=5.5,
        size=Size(width=64, height=64),
        sampler=Sampler.DPM_2M_KARRAS,
        count=2,
        adapters=(CHALK, MARIA),
        refiner=0.3,
        flagged=FlaggedPolicy.SPOILER,
    ),
    "varied": Paint(
        job=JobId(JOBS["varied"]),
        prompt="a blue square",
        seed=2**63 - 1,
        negative_prompt="blurry",
        steps=1,
        size=Size(width=64, height=64),
        sampler=Sampler.LCM,
        count=4,
        adapters=(
            AdapterUse(
                name="ink",
                sha256=Sha256("d024f26d43bdc00a8c6b487182f8d5af6dede83dd4cf2f992228605c00fcd1c5"),
                weight=0.4,
            ),
        ),
        variation=0.15,
        variation_seed=1350948257,
        flagged=FlaggedPolicy.SPOILER,
    ),
    "compared": Paint(
        job=JobId(JOBS["compared"]),
        prompt="a green circle, chlk",
        seed=3,
        negative_prompt="blurry",
        steps=2,
        size=Size(width=64, height=64),
        adapters=(replace(CHALK, weight=1.0),),
        variants=(
            Variant(name="without"),
            Variant(name="chalk:0.5", adapters=(replace(CHALK, weight=0.5),)),
            Variant(name="chalk:1", adapters=(replace(CHALK, weight=1.0),)),
            Variant(name="chalk:1 and the refiner", adapters=(replace(CHALK, weight=1.0),), refiner=0.2),
        ),
        flagged=FlaggedPolicy.SPOILER,
    ),
    "held": Paint(
        job=JobId(JOBS["held"]),
        prompt="a held fox",
        seed=2522567093,
        steps=2,
        size=Ratio(across=3, down=2),
        adapters=(
            AdapterUse(
                name="pen",
                sha256=Sha256("d741f2ea8b7d456f799dd1638a8e0c7f49f04340483f9911e25a9b1f4ef8143c"),
                weight=0.6,
            ),
        ),
        flagged=FlaggedPolicy.REFUSE,
    ),
    "interrupted": Train(
        job=JobId(JOBS["interrupted"]),
        name="tom",
        examples=PICTURES,
        trigger="zwx",
        subject="gear",
        template="a {trigger} {subject}, plain",
        preset="object",
        wanted=(4, 15),
        settings=TrainingSettings(
            resolution=32,
            blocks=("mid",),
            rank=1,
            alpha=64.0,
            dropout=0.1,
            optimizer=Optimizer.ADAMW,
            learning_rate=0.005,
            text_learning_rate=4e-05,
            token_learning_rate=0.002,
            weight_decay=0.02,
            schedule=Schedule.LINEAR,
            warmup=2,
            accumulation=2,
            clipping=0.9,
            steps=60,
            precision=TrainingPrecision.AUTO,
            min_snr_gamma=4.0,
            noise_offset=0.05,
            caption_dropout=0.1,
            random_crop=True,
            prior=Prior.PREDICTION,
            prior_weight=0.5,
            new_tokens=1,
            pivot=0.9,
            validation=0.0,
            every=4,
            seed=5,
        ),
        prompts=("a zwx gear",),
        author="Cy",
        flagged=FlaggedPolicy.REFUSE,
    ),
}

SAID: Sequence[tuple[str, str, str, tuple[str, ...]]] = (
    ("ana", "home", "/me", ("ana", "500,000", "400")),
    ("ana", "home", "/settings", ("hat", "12", "Euler a", "3:2")),
    ("ana", "home", "/loras", ("chalk", "both", "maria")),
    ("ana", "home", "/lora maria", ("ohwx gear", "object", "mid")),
    ("ana", "home", "/lora both", ("chalk:0.7, ink:0.5", "no consent")),
    ("ana", "home", "/lora chalk", ("chlk", "25.9", JOBS["compared"])),
    ("ana", "home", "/queue", (JOBS["queued"],)),
    ("ana", "home", "/training", (JOBS["trained"], "maria")),
    ("ana", "home", "/privacy", ("2",)),
    ("bo", "home", "/training", (JOBS["draft"], "eve")),
    ("bo", "home", "/me", ("180,000",)),
    ("bo", "home", "/loras", ("chalk", "maria")),
    ("bo", "away", "/loras", ("maria", "pen")),
    ("cy", "home", "/training", (JOBS["interrupted"], "tom")),
    ("cy", "away", "/loras", ("pen",)),
    ("cy", "away", "/queue", (JOBS["held"], JOBS["up"])),
    ("root", "home", "/admin people", ("Ana", "Bo")),
    ("root", "home", "/admin people mal", ("mal",)),
    ("root", "home", "/admin loras", ("chalk", "0.2", "both", "no consent", "old", "maria")),
    ("root", "home", "/admin queue", (JOBS["queued"],)),
    ("root", "home", "/admin limits", ("500,000", "900,000", "9", "8", "400", "90")),
    ("root", "home", "/admin limits bo", ("180,000",)),
    ("root", "home", "/admin rules", ("gore", "/nak?ed+/", "nude", "blurry")),
    ("root", "home", "/admin audit", ("gore", "500000", "no consent", "Mal")),
    ("root", "home", "/admin stats", ("Ana", "Bo", "safety check", "gore")),
    ("root", "away", "/admin loras", ("pen", "0.6")),
    ("root", "away", "/admin queue", (JOBS["held"], JOBS["up"])),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    before.restore(tmp_path)
    return tmp_path


@pytest.fixture
async def chat(folder: Path) -> AsyncIterator[Chat]:
    """Today's bot in the folder of the version before; its engine never gets ready."""
    opened = await open_chat(folder, SLEEPER)
    yield opened
    await opened.close()


async def open_chat(folder: Path, program: Sequence[str]) -> Chat:
    engine = EngineSettings(model="demo", device="cpu", files=str(folder / "files"), largest_batch=4)
    return await Chat.open(folder, a_config(folder, engine=engine), program, FakeChat(name="discord"))


def caller(who: str, space: str = "home", **how: bool) -> Caller:
    return Caller(
        chat="discord",
        space=space,
        space_name=space,
        channel=space,
        person=who,
        person_name=who.title(),
        admin=who == "root",
        direct=space.startswith("dm-"),
        adult=how.get("adult", False),
    )


def owner(name: str) -> str:
    return next((who for who, names in OWNERS.items() if name in names), "ana")


async def press(chat: Chat, name: str, button: str) -> Seen:
    """Press a button under one of the jobs, as its person or, where they are blocked, as an admin."""
    who = {"mal": "root"}.get(owner(name), owner(name))
    pressing = chat.bot.dispatch.press(caller(who, SPACES.get(name, "home"), adult=name == "adult"), button)
    reply = await Seen.of(pressing)
    assert reply.ok, f"{button} of {name}: {reply.text}"
    return reply


async def say(chat: Chat, who: Caller, text: str) -> Seen:
    return await Seen.of(chat.bot.dispatch.say(who, text))


async def see(chat: Chat, *ids: str | None) -> list[JobView]:
    async with chat.bot.database.reading() as session:
        return await views(session, [JobId(id) for id in ids if id is not None])


def rows(folder: Path, question: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "atelier.db")) as database:
        return database.execute(question).fetchall()


async def test_every_row_is_there_with_all_its_values(folder: Path) -> None:
    path = folder / "atelier.db"
    with closing(sqlite3.connect(path)) as database:
        values = {table: before.rows(database, table) for table in CONTRACT["tables"]}

    await (await Database.open(f"sqlite+aiosqlite:///{path}")).close()

    with closing(sqlite3.connect(path)) as database:
        for table in CONTRACT["tables"].keys() - {"alembic_version"}:
            assert values[table], f"the version before left nothing in {table}"
            assert before.rows(database, table) == values[table], table
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []


def test_every_request_reads_back_with_all_its_values() -> None:
    for id, stored in before.stored_requests().items():
        if stored:  # a deleted job has none
            again = to_json(from_json(JobId(id), stored))
            request = {
                name: value for name, value in stored.items() if name != "hidden"
            }  # which is the row's
            assert has_all(again, request)


def has_all(again: Any, stored: Any) -> bool:
    """Whether all of the stored values are there again; settings that are newer may stand beside them."""
    if not isinstance(stored, dict):
        return bool(again == stored)
    return all(has_all(again.get(name), value) for name, value in stored.items())


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_is_what_was_asked_for(name: str) -> None:
    assert from_json(JobId(JOBS[name]), before.stored_requests()[JOBS[name]]) == REQUESTS[name]


async def test_every_card_is_made_with_its_buttons_in_every_chat(chat: Chat) -> None:
    for name, id in JOBS.items():
        (view,) = await see(chat, id)
        if name == "deleted":
            assert view.deleted and view.request is None
            continue
        shown = card(view, None)
        ids = [button.id for button in shown.buttons]
        assert [id for id in ids if id in BUTTONS[name]] == BUTTONS[name]  # newer ones may stand among them
        check_chats(shown)


def ids_of(part: Mapping[str, Any], key: str) -> list[str]:
    """The id of a button, or those in a list."""
    options = [str(option["value"]) for option in part.get("options", ())]
    return options or [str(part[key])]


def check_chats(shown: Card) -> None:
    """Discord, Slack and the page can show the card, and hand its buttons back as they were."""
    ids = {button.id for button in shown.buttons}
    assert embeds(shown, EmbedImages()) and blocks(shown, ())
    on_discord = [item.to_component_dict() for item in button_view(shown).children]
    assert {id for part in on_discord for id in ids_of(part, "custom_id")} == ids
    rows = [block for block in blocks(shown, ()) if block["type"] == "actions"]
    assert {id for row in rows for part in row["elements"] for id in ids_of(part, "action_id")} == ids
    assert {button["id"] for button in card_json("home", shown)["buttons"]} == ids


def test_discord_hears_every_button_that_an_old_message_has() -> None:
    heard = CardButton.__discord_ui_compiled_template__

    assert [id for ids in BUTTONS.values() for id in ids if heard.fullmatch(id) is None] == []


async def test_cards_show_what_became_of_their_jobs(chat: Chat) -> None:
    cards = {name: card(view, None) for name, id in JOBS.items() for view in await see(chat, id)}

    assert [picture.stars for picture in cards["painted"].pictures] == [2, 0]
    assert [picture.seed for picture in cards["painted"].pictures] == [7, 8]
    assert [picture.hidden for picture in cards["hidden"].pictures] == [True]
    assert cards["filtered"].pictures == () and cards["filtered"].line.startswith("filtered")
    assert "lora_unet_nowhere" in cards["failed"].line
    assert [note.text != "" for note in cards["draft"].notes] == [False, False, False, True]
    learned = cards["trained"]
    assert learned.curve is not None and len(learned.curve.losses) == 12
    assert [(point.step, point.place, point.chosen) for point in learned.checkpoints] == [
        (6, 1, True),
        (9, 2, False),
        (12, 3, False),
    ]
    assert learned.line_to_copy.endswith("--lora maria")
    assert {name: shown.state for name, shown in cards.items() if shown.state != "succeeded"} == {
        "draft": "draft",
        "failed": "failed",
        "cancelled": "cancelled",
        **dict.fromkeys(("held", "up", "interrupted", "queued"), "queued"),
    }


@pytest.mark.parametrize("action", ["again", "vary"])
async def test_buttons_that_paint_file_the_old_request_with_what_changes(chat: Chat, action: str) -> None:
    for name, buttons in BUTTONS.items():
        for button in buttons:
            if button.partition(":")[0] != action:
                continue
            old, new = await see(chat, JOBS[name], (await press(chat, name, button)).job)
            assert isinstance(old.request, Paint) and isinstance(new.request, Paint)
            check_changed(action, old, new, int(button.split(":")[2]) if button.count(":") == 2 else 1)
            assert new.parent == old.id
            await press(chat, name, f"stop:{new.id}")  # only so many may wait


def check_changed(action: str, old: JobView, new: JobView, place: int) -> None:
    """Painted again, all but a seed is as it was; a variation has four pictures beside one of those."""
    assert isinstance(old.request, Paint) and isinstance(new.request, Paint)
    # What becomes of flagged pictures is decided anew for every job.
    changes: dict[str, Any] = {"job": new.id, "flagged": new.request.flagged}
    if action == "vary":
        changes |= {"seed": old.pictures[place - 1].seed, "count": 4, "variation": 0.15}
        changes["variation_seed"] = new.request.variation_seed
    elif old.request.variation:
        changes |= {"variation_seed": new.request.variation_seed}
        assert new.request.variation_seed != old.request.variation_seed
    else:
        changes |= {"seed": new.request.seed}
        assert new.request.seed != old.request.seed
    assert new.request == replace(old.request, **changes)


async def test_pencils_show_the_old_requests_in_their_forms(chat: Chat) -> None:
    for name, buttons in BUTTONS.items():
        for button in buttons:
            if button.startswith("edit:"):
                form = (await press(chat, name, button)).form
                assert form is not None
                (view,) = await see(chat, JOBS[name])
                if isinstance(view.request, Train):
                    assert form.values["name"].startswith(view.request.name)  # which may be taken
                    assert json.loads(form.values["pictures"])[0]["name"] == "0.png"
                    assert form.values["rank"] == "1" and form.values["blocks"] == "mid"
                else:
                    assert view.request is not None
                    assert form.values["prompt"] in view.request.prompt
                    assert form.values["steps"] == str(view.request.steps)


async def test_the_other_buttons_do_what_they_did(chat: Chat, folder: Path) -> None:
    sent = await press(chat, "painted", f"send:{JOBS['painted']}:2")
    await press(chat, "painted", f"keep:{JOBS['painted']}:2")
    await press(chat, "painted", f"keep:{JOBS['painted']}:1")
    await press(chat, "trained", f"choose:{JOBS['trained']}:2")
    await press(chat, "draft", f"start:{JOBS['draft']}")
    for name in ("held", "queued", "interrupted"):
        await press(chat, name, f"stop:{JOBS[name]}")
    for name in ("spam", "cancelled", "draft"):
        await press(chat, name, f"delete:{JOBS[name]}")

    ((name, sha256),) = sent.files
    assert (name, sha256[:8]) == (f"atelier-{JOBS['painted']}-2.png", "e75993d6")
    assert Image.open(io.BytesIO(await chat.bot.files.get(sha256))).size == (64, 64)
    painted, trained = await see(chat, JOBS["painted"], JOBS["trained"])
    assert [picture.stars for picture in painted.pictures] == [1, 1]
    assert trained.training is not None and trained.training.chosen == 9
    assert rows(folder, "SELECT sha256 FROM adapters WHERE name = 'maria'")[0][0][:8] == "7507810c"
    states = [
        view.state for view in await see(chat, *(JOBS[name] for name in ("held", "queued", "interrupted")))
    ]
    assert states == ["cancelled"] * 3
    assert all(
        view.deleted for view in await see(chat, *(JOBS[name] for name in ("spam", "cancelled", "draft")))
    )


async def test_a_draft_is_started_and_a_stranger_starts_nothing(chat: Chat) -> None:
    refused = await Seen.of(chat.bot.dispatch.press(caller("ana"), f"start:{JOBS['draft']}"))

    await press(chat, "draft", f"start:{JOBS['draft']}")

    assert not refused.ok
    assert [view.state for view in await see(chat, JOBS["draft"])] == ["queued"]


async def test_a_star_under_an_old_message_keeps_its_pictures(chat: Chat, folder: Path) -> None:
    reply = await chat.bot.dispatch.react(caller("cy"), "home/1", "⭐")

    assert reply is not None and (await Seen.of_reply(reply)).ok
    assert rows(folder, "SELECT count(*) FROM votes WHERE emoji = '⭐'") == [(5,)]


async def test_commands_tell_what_was_there(chat: Chat) -> None:
    lacking = {}
    for who, space, text, words in SAID:
        reply = await say(chat, caller(who, space), text)
        assert reply.ok, f"{text}: {reply.text}"
        if absent := [word for word in words if word not in reply.text]:
            lacking[who, space, text] = (absent, reply.text)

    assert lacking == {}


async def test_files_of_old_rows_are_shown_and_handed_out(chat: Chat) -> None:
    gallery = await say(chat, caller("ana"), "/gallery")
    shown = await say(chat, caller("ana"), f"/show {JOBS['painted']}")
    export = await say(chat, caller("ana"), "/privacy export")
    lora = await say(chat, caller("ana"), "/lora maria --download")

    assert gallery.ok and gallery.drawn is not None
    assert shown.ok and shown.job == JOBS["painted"]
    assert export.ok and len(export.files) == 1
    assert lora.files == (("maria.safetensors", MARIA.sha256),)


async def test_the_recipe_in_an_old_picture_fills_the_form(chat: Chat) -> None:
    (view,) = await see(chat, JOBS["painted"])
    recipe = recipe_in(await chat.bot.files.get(view.pictures[1].sha256))

    form = (await Seen.of(chat.bot.dispatch.read_recipe(caller("ana"), recipe))).form

    assert form is not None
    assert (form.values["seed"], form.values["sampler"]) == ("8", "DPM++ 2M Karras")
    assert "chalk:0.8" in form.values["lora"]


async def test_what_admins_set_holds(chat: Chat) -> None:
    blocked = await say(chat, caller("mal"), "/imagine a tree")
    refused = await say(chat, caller("bo"), "/imagine gore")
    adult = await say(chat, caller("bo"), "/imagine a nude statue")
    retired = await say(chat, caller("cy"), "/imagine a tree --lora old")
    alone = await say(chat, caller("bo"), "/imagine a tree --lora both")
    heavy = await say(chat, caller("ana"), "/imagine a tree --lora chalk:1.5")
    usual = await say(chat, caller("eve", "away"), "/me")
    of_role = await say(chat, replace(caller("eve", "away"), roles=("123456789012345678",)), "/me")
    filed = await say(chat, caller("cy", "away"), "/imagine a tree")
    mine = await say(chat, caller("ana"), "/imagine a tree")

    assert [reply.ok for reply in (blocked, refused, adult, retired, alone, heavy)] == [False] * 6
    (changed,) = set(of_role.text.splitlines()) - set(usual.text.splitlines())
    assert " 9" in changed  # jobs in line
    there, here = await see(chat, filed.job, mine.job)
    assert isinstance(there.request, Paint) and isinstance(here.request, Paint)
    assert [(use.name, use.weight) for use in there.request.adapters] == [("pen", 0.6)]
    assert (here.request.negative_prompt, here.request.steps) == ("hat, blurry", 12)
    assert (here.request.sampler, here.request.flagged) == (Sampler.EULER_ANCESTRAL, FlaggedPolicy.REFUSE)


def test_the_state_of_a_training_tells_its_course(folder: Path) -> None:
    ((sha256,),) = rows(folder, "SELECT state_sha256 FROM trainings WHERE state_sha256 IS NOT NULL")
    request = REQUESTS["interrupted"]
    assert isinstance(request, Train)
    state = unpack_state(stored_path(folder / "files", Sha256(sha256)).read_bytes())["course"]

    course = restore_run_state(state, request)

    assert (course.step, course.steps, len(course.losses)) == (4, 60, 4)
    again = course.to_state(request)
    assert state.pop("losses").tolist() == again.pop("losses").tolist()
    assert {name: again.get(name) for name in state} == state


async def test_what_waited_is_painted_and_an_interrupted_training_ends(folder: Path) -> None:
    curve = json.loads(rows(folder, "SELECT curve FROM trainings WHERE name = 'tom'")[0][0])
    keys = metadata(folder, MARIA.sha256).keys()
    chat = await open_chat(folder, PROGRAM)
    try:
        await chat.shows(
            JobId(JOBS["interrupted"]),
            lambda card: len(card.checkpoints) > 1 or card.state == "failed",
            ENDED,
        )
        await press(chat, "interrupted", f"finish:{JOBS['interrupted']}")
        learned = await chat.ends(JobId(JOBS["interrupted"]), ENDED)
        waited = await chat.ends(JobId(JOBS["queued"]), ENDED)
        paused = [view.state for view in await see(chat, JOBS["held"], JOBS["up"])]
        resumed = await say(chat, caller("root", "away"), "/admin queue --resume")
        others = [await chat.ends(JobId(JOBS[name]), ENDED) for name in ("held", "up")]
        again = await chat.ends((await press(chat, "painted", f"again:{JOBS['painted']}")).job, ENDED)
        called = f"{learned.line_to_copy} --size 64x64 --steps 2 --sampler Euler"
        used = await say(chat, caller("cy"), called)
        assert used.ok, used.text
        mixed = await chat.ends(used.job, ENDED)
        numbers = chat.bot.metrics.text()
    finally:
        await chat.close()

    assert learned.state == "succeeded", learned.line
    assert learned.curve is not None
    assert [value for _, value in learned.curve.losses[: len(curve)]] == pytest.approx(curve)
    assert [step for step, _ in learned.curve.losses] == list(range(1, len(learned.curve.losses) + 1))
    assert len(learned.curve.losses) >= 8
    assert [(shown.state, len(shown.pictures)) for shown in (waited, *others, mixed)] == [
        ("succeeded", 1)
    ] * 4
    assert (paused, resumed.ok) == (["queued"] * 2, True)
    assert (again.state, len(again.pictures)) == ("succeeded", 2)
    ((sha256,),) = rows(folder, "SELECT sha256 FROM adapters WHERE name = 'tom'")
    assert metadata(folder, sha256).keys() >= keys
    assert 'atelier_jobs_ended_total{state="succeeded"} 6.0' in numbers.decode()
    assert set(metrics(numbers)) >= set(CONTRACT["metrics"])


def metadata(folder: Path, sha256: str) -> dict[str, str]:
    """What the file of a LoRA says of itself."""
    with safetensors.safe_open(stored_path(folder / "files", Sha256(sha256)), "pt") as file:
        return dict(file.metadata())


@pytest.mark.parametrize("part", [name for name in CONTRACT if name != "config"])
def test_what_lives_outside_the_code_is_still_there(part: str) -> None:
    assert list(missing(CONTRACT[part], contract()[part], part)) == []


def missing(old: Any, new: Any, path: str) -> list[str]:
    """What the old value has and the new one lacks."""
    if isinstance(old, Mapping):
        return [
            absent
            for key, value in old.items()
            for absent in (
                [f"{path}: {key}"] if key not in new else missing(value, new[key], f"{path}: {key}")
            )
        ]
    if isinstance(old, list):
        return [f"{path}: {value}" for value in old if value not in new]
    return [] if old == new else [f"{path}: {old}"]


OTHERWISE: Mapping[str, str] = {
    "device": '"cpu"',
    "precision": '"float32"',
    "level": '"debug"',
    "discord.channels": '["112233445566778899"]',
    "discord.roles": '["112233445566778899"]',
    "discord.guilds": '{112233445566778899 = {channels = ["112233445566778899"], roles = []}}',
    "slack.channels": '["C024BE91L"]',
    "admins.discord": '["112233445566778899"]',
    "admins.slack": '["U024BE7LH"]',
}  # values for keys that do not take any of their kind


def test_every_key_of_the_configuration_is_read(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("")
    usual = read_config(path)
    keys = {(table, key): value for table, keys in CONTRACT["config"].items() for key, value in keys.items()}
    for (table, key), value in {**keys, ("discord", "guilds"): {}}.items():
        other = OTHERWISE.get(f"{table}.{key}") or OTHERWISE.get(key) or _other(value)
        path.write_text(f"[{table}]\n{key} = {other}\n")
        assert read_config(path) != usual, f"{table}.{key}"


def _other(value: Any) -> str:
    match value:
        case bool():
            return str(not value).lower()
        case int() | float():
            return str(value + 1 if value >= 1 else value + 0.1)
        case list():
            return '["other"]'
        case _:
            return '"other"'
