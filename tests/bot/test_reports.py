"""Pictures that are reported: to whom that is told, and what admins do about them."""

from pathlib import Path

from commands.permissions import Admins
from tests.bot.fake_chat import OpenChat, Seen, caller
from tests.bot.running_bot import rows

FOX = "/imagine a red fox --steps 2 --seed 7"


async def test_a_reported_picture_is_for_admins_to_hide_or_keep(open_chat: OpenChat, tmp_path: Path) -> None:
    chat = await open_chat()
    chat.bot.dispatch._admins = Admins(named={"fake": ("root",)})
    await chat.rules("/admin queue")  # root is known to the bot
    job = (await chat.ends((await chat.says("ana", FOX)).job)).job

    own = await chat.presses("ana", "report", job)
    first = await chat.presses("bo", "report", job)
    twice = await chat.says("bo", f"/report {job}")
    await chat.says("cy", f"/report {job}:1")
    await chat.sees(lambda: bool(chat.fake.told))
    listed = await chat.rules("/admin reports")

    assert not own.ok and first.ok and first.text.endswith("Nobody is told who made it.")
    assert twice.text == "You have already reported this picture."
    assert f"{job}:1  by ana, 2 reports since" in listed.text and "bo" not in listed.text
    assert [text for _, text in chat.fake.told] == [
        f"{job}:1 by ana was reported. /admin reports {job}:1 decides about it."
    ]
    assert not (await chat.says("bo", f"/admin reports {job}:1 --hide")).ok

    await chat.rules(f"/admin reports {job}:1 --hide")
    card = await chat.shows(job, lambda card: card.pictures[0].hidden)
    await chat.sees(lambda: len(chat.fake.told) == 2)
    again = await chat.ends((await chat.says("bo", FOX)).job)
    stats = await chat.rules("/admin stats")
    audit = await chat.rules("/admin audit report")

    assert chat.fake.told[1][1] == f"An admin has hidden picture 1 of your job {job} after a report."
    assert card.pictures and again.line.startswith("Painted in")  # it is nobody's from the store
    assert "Reported pictures: 1 hidden." in stats.text
    assert f"report job {job}:1, picture: reported -> hidden" in audit.text
    assert "none" in (await chat.rules("/admin reports")).text
    assert not (await chat.says("bo", f"/report {job}")).ok


async def test_a_reported_job_is_deleted_and_its_person_blocked(open_chat: OpenChat, tmp_path: Path) -> None:
    chat = await open_chat()
    job = (await chat.ends((await chat.says("ana", FOX)).job)).job
    message = next(iter(chat.fake.cards))
    await chat.bot.dispatch.react(caller("bo"), message, "🚩")

    refused = await Seen.of(
        chat.bot.dispatch.say(caller("root", admin=True), f"/admin reports {job} --keep --hide")
    )
    blocked = await chat.rules(f"/admin reports {job} --block")
    await chat.rules(f"/admin reports {job} --delete")
    await chat.sees(lambda: bool(chat.fake.told))

    assert refused.text == "Use only one of --keep, --hide, --delete or --block."
    assert blocked.text.startswith("ana is blocked here.")
    assert chat.fake.told == [("ana", f"An admin has deleted your job {job} after a report.")]
    assert rows(tmp_path, "SELECT count(*) FROM pictures") == [(0,)]
    assert not (await chat.says("bo", f"/report {job}")).ok
    assert not (await chat.says("cy", f"/report {job}", "other")).ok
