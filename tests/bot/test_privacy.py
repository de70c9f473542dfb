"""What somebody is told of what is stored about them, what they take along, and how they are forgotten."""

import asyncio
import io
import json
import zipfile
from pathlib import Path

from bot.chats.interface import Caller
from engine.messages import JobId, Sha256
from storage.ids import new_job_id
from tests.bot.fake_chat import SLEEPER, Chat, OpenChat, Seen, caller
from tests.bot.running_bot import rows
from tests.bot.training_cases import drafts, learns, starts, wait_for_report
from tests.bot.uploads.coming import pieces

LONG = "2000"  # steps: it runs until something happens to it
TABLES = (
    "people",
    "jobs",
    "pictures",
    "votes",
    "adapters",
    "trainings",
    "examples",
    "uploads",
    "checkpoints",
)

COUNTED = (
    "1 prompt ",
    "2 pictures",
    "1 training ",
    "3 training pictures",
    "1 LoRA",
    "1 vote",
    "1 setting",
)


def files_in_store(chat: Chat) -> set[str]:
    """The hashes of all files in the store."""
    return {path.name for path in chat.bot.files.folder.glob("??/*")}


def rows_left(folder: Path) -> dict[str, int]:
    """How many rows each table on the disk has, of those that have any."""
    many = {table: rows(folder, f"SELECT count(*) FROM {table}")[0][0] for table in TABLES}
    return {table: number for table, number in many.items() if number}


async def lives(chat: Chat, who: str, name: str = "maria", trigger: str = "ohwx") -> None:
    """Somebody paints two pictures, keeps one, trains a LoRA, and has settings."""
    reply = await chat.says(who, "/imagine a secret fox --steps 2 --count 2")
    await chat.ends(reply.job)
    await Seen.of(chat.bot.dispatch.press(caller(who), f"keep:{reply.job}:1"))
    await chat.says(who, "/settings --steps 12")
    card = await chat.ends(await starts(chat, who, name, steps="12", trigger=trigger))
    assert card.state == "succeeded", card.line


async def deletes(chat: Chat, who: str = "ana", space: str = "home") -> Seen:
    reply = await chat.says(who, "/privacy delete --sure", space)
    assert reply.ok, reply.text
    return reply


async def test_somebody_is_told_what_is_stored_about_them(open_chat: OpenChat) -> None:
    chat = await open_chat()
    before = await chat.says("ana", "/privacy")
    await lives(chat, "ana")

    text = (await chat.says("ana", "/privacy", space="elsewhere")).text

    assert before.text.startswith("Nothing is stored about you")
    for line in COUNTED:
        assert line in text, text
    assert "maria" not in (await chat.says("bo", "/privacy")).text


async def test_deletion_is_asked_once_more(open_chat: OpenChat) -> None:
    chat = await open_chat()
    await lives(chat, "ana")

    reply = await chat.says("ana", "/privacy delete")

    assert "/privacy delete --sure does it" in reply.text
    assert "2 pictures" in reply.text
    assert rows_left(chat.folder)["pictures"] == 2


async def test_of_who_is_forgotten_no_row_and_no_file_is_left(open_chat: OpenChat) -> None:
    chat = await open_chat()
    await lives(chat, "ana")

    receipt = await deletes(chat)

    assert files_in_store(chat) == set()  # by the time they are told
    for line in COUNTED:
        assert line in receipt.text, receipt.text
    await chat.sees(lambda: chat.fake.cards == {})
    await chat.sees(lambda: rows_left(chat.folder) == {})
    names = [name for (name,) in rows(chat.folder, "SELECT name FROM sqlite_master WHERE type = 'table'")]
    every_row = str([rows(chat.folder, f"SELECT * FROM {name}") for name in names])
    assert not [word for word in ("ana", "maria", "secret", "ohwx") if word in every_row]
    words = (b"maria", b"secret fox", b"ohwx")
    files = list(chat.folder.glob("atelier.db*"))
    await chat.sees(lambda: not [one for one in files for word in words if word in one.read_bytes()])


async def test_what_others_made_stays(open_chat: OpenChat) -> None:
    chat = await open_chat()
    await lives(chat, "ana")
    await lives(chat, "bo", "tom", trigger="zwx")
    theirs = rows_left(chat.folder)

    await deletes(chat)

    await chat.sees(lambda: rows_left(chat.folder)["people"] == 1)
    assert rows_left(chat.folder) == {table: number // 2 for table, number in theirs.items()}
    assert [lora.name for lora in (await chat.says("bo", "/loras")).loras] == ["tom"]
    assert all(card.person == "bo" for card in chat.fake.cards.values())
    for sha256 in rows(chat.folder, "SELECT sha256 FROM pictures"):
        assert sha256[0] in files_in_store(chat)


async def test_what_runs_stops_and_what_waits_never_begins(open_chat: OpenChat) -> None:
    chat = await open_chat(seconds=0.02)
    training = await starts(chat, "ana", "maria", steps=LONG)
    await learns(chat, training)
    draft = (await drafts(chat, "ana", "eve", trigger="zwx")).job
    await wait_for_report(chat, draft)
    running = (await chat.says("ana", "/imagine a fox --steps 100 --count 4")).job
    await chat.runs(running)
    waiting = (await chat.says("ana", "/imagine a hare --steps 2")).job

    await deletes(chat)

    await chat.sees(lambda: not chat.bot.queue.running)
    await chat.sees(lambda: rows_left(chat.folder) == {})
    await chat.sees(lambda: files_in_store(chat) == set())
    assert chat.fake.cards == {}
    assert waiting not in chat.notes_of("take")
    assert running not in chat.notes_of("painted")


async def test_nothing_comes_back_after_a_restart(open_chat: OpenChat) -> None:
    chat = await open_chat(program=SLEEPER)
    job = (await chat.says("ana", "/imagine a fox --steps 2")).job
    draft = (await drafts(chat, "ana", "maria")).job
    await chat.shows(job, lambda card: True)
    await chat.shows(draft, lambda card: True)
    chat.fake.trouble = OSError("the chat is away")
    await deletes(chat)
    await chat.close()
    assert rows_left(chat.folder)["jobs"] == 2  # their cards are still there
    assert "ana" not in str(rows(chat.folder, "SELECT * FROM people"))

    chat.fake.trouble = None
    chat = await open_chat(fake=chat.fake)

    await chat.sees(lambda: rows_left(chat.folder) == {})
    assert chat.fake.cards == {}
    assert chat.notes_of("take") == chat.notes_of("look") == []


async def test_files_that_a_killed_bot_left_are_gone_after_a_restart(open_chat: OpenChat) -> None:
    chat = await open_chat()
    await lives(chat, "ana")
    removing = chat.bot.garbage.pause()
    async with removing:  # nothing is removed as long as this holds
        deleting = asyncio.create_task(deletes(chat))
        await chat.sees(lambda: rows(chat.folder, "SELECT count(*) FROM pictures") == [(0,)])
        deleting.cancel()
        await chat.close()
    assert files_in_store(chat)

    chat = await open_chat(fake=chat.fake)

    await chat.sees(lambda: files_in_store(chat) == set())
    await chat.sees(lambda: rows_left(chat.folder) == {})


async def test_a_command_that_the_chat_delivers_once_more_brings_nothing_back(open_chat: OpenChat) -> None:
    chat = await open_chat()
    job = JobId(new_job_id())
    await Seen.of(chat.bot.dispatch.say(caller("ana"), "/imagine a fox --steps 2", job=job))
    await chat.ends(job)
    await deletes(chat)
    await chat.sees(lambda: rows_left(chat.folder) == {})

    again = await Seen.of(chat.bot.dispatch.say(caller("ana"), "/imagine a fox --steps 2", job=job))

    assert not again.ok
    assert "deleted" in again.text
    assert "jobs" not in rows_left(chat.folder)


async def test_somebody_may_come_back_as_somebody_new(open_chat: OpenChat) -> None:
    chat = await open_chat()
    await lives(chat, "ana")
    await deletes(chat)

    card = await chat.ends((await chat.says("ana", "/imagine a hare")).job)

    assert card.state == "succeeded"
    assert (await chat.says("ana", "/loras")).loras == ()
    assert "1 prompt " in (await chat.says("ana", "/privacy")).text


async def test_a_picture_under_way_with_a_deleted_lora_ends_as_it_began(open_chat: OpenChat) -> None:
    chat = await open_chat(seconds=0.02)
    await chat.ends(await starts(chat, "ana", "maria", steps="5"))
    await chat.says("ana", "/lora maria --share space")
    [(sha256,)] = rows(chat.folder, "SELECT sha256 FROM adapters")
    job = (await chat.says("bo", "/imagine a gear --lora maria --steps 60")).job
    await chat.runs(job)

    deleted = await chat.says("ana", "/lora maria --delete")

    assert deleted.ok, deleted.text
    assert sha256 in files_in_store(chat)
    assert (await chat.ends(job)).state == "succeeded"
    await chat.sees(lambda: sha256 not in files_in_store(chat))


async def test_a_cancelled_one_lets_the_deleted_lora_go_too(open_chat: OpenChat) -> None:
    chat = await open_chat(seconds=0.02)
    await chat.ends(await starts(chat, "ana", "maria", steps="5"))
    await chat.says("ana", "/lora maria --share space")
    [(sha256,)] = rows(chat.folder, "SELECT sha256 FROM adapters")
    running = (await chat.says("bo", "/imagine a gear --lora maria --steps 100 --count 4")).job
    await chat.runs(running)
    waiting = (await chat.says("bo", "/imagine a gear --lora maria --steps 100")).job
    await deletes(chat)

    await chat.presses("bo", "stop", running)
    assert sha256 in files_in_store(chat)
    await chat.presses("bo", "stop", waiting)

    await chat.sees(lambda: sha256 not in files_in_store(chat))
    await chat.sees(
        lambda: rows_left(chat.folder)["people"] == 1 and "adapters" not in rows_left(chat.folder)
    )


async def test_everything_can_be_taken_along(open_chat: OpenChat) -> None:
    chat = await open_chat()
    await lives(chat, "ana")
    await chat.says("bo", "/imagine a private hare --steps 2")

    reply = await chat.says("ana", "/privacy export")

    [(name, sha256)] = reply.files
    packed = zipfile.ZipFile(io.BytesIO(await chat.bot.files.get(sha256)))
    data = json.loads(packed.read("atelier.json"))
    assert name == "atelier.zip"
    assert packed.testzip() is None
    assert {job["request"].get("prompt") for job in data["jobs"]} == {"a secret fox", None}
    assert data["settings"] == {"steps": "12"}
    assert len(data["kept_pictures"]) == 1
    assert [name["name"] for name in data["loras"]] == ["maria"]
    assert data["missing"] == []
    named = {file for job in data["jobs"] for file in job["files"]} | {name["file"] for name in data["loras"]}
    assert named <= set(packed.namelist())
    assert sum(name.startswith("pictures/") for name in named) == 2
    assert sum("/pictures/" in name for name in named) == 3
    assert "hare" not in packed.read("atelier.json").decode()


async def test_the_same_export_twice_is_one_file_which_goes_with_its_person(open_chat: OpenChat) -> None:
    chat = await open_chat()
    await lives(chat, "ana")
    first, second = await chat.says("ana", "/privacy export"), await chat.says("ana", "/privacy export")
    assert first.files == second.files
    assert first.files[0][1] in files_in_store(chat)

    await deletes(chat)

    assert files_in_store(chat) == set()


async def test_an_export_fits_into_what_the_chat_sends(open_chat: OpenChat) -> None:
    chat = await open_chat(program=SLEEPER)
    me = Caller(chat="discord", space="1", space_name="one", channel="2", person="3", person_name="ana")
    await chat.bot.intake.take(me, "a.png", pieces(noise(1)))
    for seed in range(2, 5):
        await chat.bot.intake.take(me, f"{seed}.png", pieces(noise(seed)))

    reply = await Seen.of(chat.bot.dispatch.say(me, "/privacy export"))

    sizes = [len(await chat.bot.files.get(sha256)) for _, sha256 in reply.files]
    assert [name for name, _ in reply.files][:2] == ["atelier.zip", "atelier-2.zip"]
    assert max(sizes) < 10 * 2**20


def noise(seed: int) -> bytes:
    """A PNG of about 4 MB."""
    import random

    from PIL import Image

    picture = Image.frombytes("RGB", (1180, 1180), random.Random(seed).randbytes(1180 * 1180 * 3))
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=1)
    return out.getvalue()


async def test_of_a_space_that_the_bot_has_left_nothing_stays(open_chat: OpenChat) -> None:
    chat = await open_chat(seconds=0.03)
    await lives(chat, "ana")
    theirs = (await chat.says("cy", "/imagine a hare --steps 2", space="elsewhere")).job
    await chat.ends(theirs)
    running = (await chat.says("bo", "/imagine a fox --steps 100 --count 4")).job
    await chat.runs(running)
    [(count,)] = rows(
        chat.folder,
        f"SELECT sha256 FROM pictures JOIN jobs ON number = job_number WHERE jobs.id = '{theirs}'",
    )

    await chat.bot.dispatch.forget_space("fake", "home")

    await chat.sees(lambda: not chat.bot.queue.running)
    await chat.sees(lambda: rows_left(chat.folder) == {"people": 1, "jobs": 1, "pictures": 1})
    assert rows(chat.folder, "SELECT key FROM spaces") == [("elsewhere",)]
    assert files_in_store(chat) == {count}
    assert running not in chat.notes_of("painted")


async def test_a_space_to_which_the_bot_comes_back_is_a_new_one(open_chat: OpenChat) -> None:
    chat = await open_chat()
    old = (await chat.says("ana", "/imagine a fox --steps 2")).job
    await chat.ends(old)
    await chat.bot.dispatch.forget_space("fake", "home")

    new = await chat.says("ana", "/imagine a hare --steps 2")

    assert (await chat.ends(new.job)).state == "succeeded"
    assert not (await chat.presses("ana", "again", old)).ok
    await chat.sees(lambda: rows(chat.folder, "SELECT count(*), max(key) FROM spaces") == [(1, "home")])


async def test_a_file_that_is_needed_elsewhere_survives_both(open_chat: OpenChat) -> None:
    chat = await open_chat()
    sha256 = {}
    for who, space in (("ana", "home"), ("bo", "home"), ("cy", "elsewhere")):
        card = await chat.ends((await chat.says(who, "/imagine a fox --seed 5 --steps 2", space)).job)
        sha256[who] = card.pictures[0].sha256
    assert len(set(sha256.values())) == 1  # the same picture

    await deletes(chat)
    await chat.bot.dispatch.forget_space("fake", "home")

    await chat.sees(lambda: rows_left(chat.folder) == {"people": 1, "jobs": 1, "pictures": 1})
    assert files_in_store(chat) == {Sha256(sha256["cy"])}
