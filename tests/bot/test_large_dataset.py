"""A training of more pictures than its request names: they are in a manifest, and go with it."""

import io
import json
import time
import zipfile

from engine.messages import Sha256, Train
from storage import uploads, views
from tests.bot.fake_chat import OpenChat, Seen, caller
from tests.bot.test_trainings import files_in_store
from tests.bot.training_cases import QUICK, learns, sends, wait_for_report
from tests.bot.uploads.one_pixel import png

MANY = 60


async def test_many_pictures_are_edited_learned_from_taken_along_and_deleted(open_chat: OpenChat) -> None:
    chat = await open_chat()
    pictures = [
        {
            "sha256": await sends(chat, "ana", png(number)),
            "name": f"{number}.png",
            "caption": f"number {number}",
        }
        for number in range(MANY)
    ]
    filled = {**QUICK, "name": "maria", "steps": "2000", "pictures": json.dumps(pictures)}

    drafted = await Seen.of(chat.bot.dispatch.fill(caller("ana"), "train", filled))
    report = await wait_for_report(chat, drafted.job)
    form = await chat.presses("ana", "edit", drafted.job)
    assert drafted.job is not None
    async with chat.bot.database.reading() as session:
        [view] = await views.views(session, [drafted.job])
    request = view.request

    assert report.line.startswith(f"{MANY} pictures, ")
    assert isinstance(request, Train) and request.manifest is not None
    assert (request.examples, request.pictures) == ((), MANY)
    assert form.form is not None
    assert json.loads(form.form.values["pictures"]) == pictures

    again = await Seen.of(chat.bot.dispatch.fill(caller("ana"), "train", dict(form.form.values)))
    await wait_for_report(chat, again.job)
    assert (await chat.presses("ana", "start", again.job)).ok
    assert again.job is not None
    await learns(chat, again.job)
    [(_, packed)] = (await chat.says("ana", "/privacy export")).files
    with zipfile.ZipFile(io.BytesIO(await chat.bot.files.get(packed))) as archive:
        listed = archive.read(f"trainings/{again.job}/pictures.jsonl").decode().splitlines()
    assert [json.loads(line)["caption"] for line in listed] == [f"number {number}" for number in range(MANY)]
    await chat.bot.database.write(lambda session: uploads.delete_old(session, time.time()))  # a day later
    await chat.bot.garbage.remove([Sha256(name) for name in files_in_store(chat)])
    assert {request.manifest.sha256, *(picture["sha256"] for picture in pictures)} <= files_in_store(chat)

    assert (await chat.presses("ana", "delete", again.job)).ok

    await chat.sees(lambda: not chat.bot.queue.running)
    await chat.sees(lambda: files_in_store(chat) == set())
