"""Whose jobs are seen where: workspaces of an Enterprise Grid, and guests by Slack Connect."""

import sqlite3

import pytest

from bot.chats.interface import ChatUnavailable
from bot.config import SlackSettings
from storage import people
from tests.bot.running_bot import rows
from tests.bot.slack.harness import Atelier, OpenAtelier, button, job_of


async def spaces(atelier: Atelier) -> list[str]:
    """The keys of all spaces that anybody was in."""
    assert atelier.bot is not None
    async with atelier.bot.database.reading() as session:
        keys = [team.id for team in atelier.slack.world.teams.values()]
        keys += [f"{team.enterprise}/{team.id}" for team in atelier.slack.world.teams.values()]
        return [key for key in keys if await people.find_space_id(session, "slack", key) is not None]


async def test_a_space_is_a_workspace(atelier: Atelier) -> None:
    await atelier.paints(atelier.ana, "a red fox")

    assert await spaces(atelier) == [atelier.team.id]


async def test_in_a_grid_a_space_is_a_workspace_of_the_enterprise(open_atelier: OpenAtelier) -> None:
    atelier = await open_atelier(starts=False, settings=SlackSettings(), enterprise="E0ACME")
    atelier.slack.platform.grid = True
    await atelier.start()
    other = atelier.slack.team("branch", enterprise="E0ACME")
    theirs, dora = other.channel("paintings"), other.user("dora")

    card = await atelier.paints(atelier.ana, "a red fox")
    own = await atelier.paints(dora, "a blue fox", theirs)

    assert await spaces(atelier) == [f"E0ACME/{atelier.team.id}", f"E0ACME/{other.id}"]
    heard = await atelier.slack.act(dora, own, "again:1", f"again:{job_of(card)}", forged=True)
    await atelier.slack.until(lambda: f"There is no job {job_of(card)} here" in heard.words)
    assert len(atelier.cards()) == 1


async def test_a_guest_by_slack_connect_is_somebody_of_their_own(atelier: Atelier) -> None:
    guests = atelier.slack.team("guests")
    gus = guests.user("gus", admin=True)
    atelier.channel.share_with(guests)
    card = await atelier.paints(atelier.ana, "a red fox")

    await atelier.slack.react(gus, card, "⭐")
    await atelier.slack.until(lambda: "⭐ 1" in card.words)
    refused = await atelier.slack.act(gus, card, button(card, "delete"))

    await atelier.slack.until(lambda: "Only ana or an admin" in refused.words)
    assert await spaces(atelier) == [atelier.team.id]
    assert atelier.bot is not None
    async with atelier.bot.database.reading() as session:
        assert await people.find_person(session, "slack", f"{guests.id}/{gus.id}") is not None
        assert await people.find_person(session, "slack", gus.id) is None


async def test_nothing_stays_of_a_workspace_from_which_the_app_was_removed(atelier: Atelier) -> None:
    await atelier.paints(atelier.ana, "a red fox")
    assert atelier.bot is not None
    folder = atelier.bot.files.folder

    await atelier.slack.event(None, {"type": "app_uninstalled"})

    assert await spaces(atelier) == []
    await atelier.slack.until(lambda: not list(folder.glob("??/*")))


async def test_nothing_stays_of_a_workspace_that_removed_the_app_while_the_bot_was_off(
    open_atelier: OpenAtelier,
) -> None:
    atelier = await open_atelier()
    await atelier.paints(atelier.ana, "a red fox")
    await atelier.restart()
    await atelier.slack.until(lambda: rows(atelier.folder, "SELECT joined FROM spaces") == [(1,)])
    await atelier.stop()
    atelier.slack.revoke()

    with pytest.raises(ChatUnavailable):
        await atelier.start()
    away = "SELECT count(*) FROM spaces WHERE away_at IS NOT NULL"
    await atelier.slack.until(lambda: rows(atelier.folder, away) == [(1,)])
    assert await spaces(atelier) == [atelier.team.id]
    await atelier.stop()
    with sqlite3.connect(atelier.folder / "atelier.db") as connection:
        connection.execute("UPDATE spaces SET away_at = away_at - 8 * 86400")

    with pytest.raises(ChatUnavailable):
        await atelier.start()

    there = f"SELECT count(*) FROM spaces WHERE key = '{atelier.team.id}'"
    await atelier.slack.until(lambda: rows(atelier.folder, there) == [(0,)])


async def test_a_workspace_that_took_the_app_back_keeps_all(open_atelier: OpenAtelier) -> None:
    atelier = await open_atelier()
    await atelier.paints(atelier.ana, "a red fox")
    await atelier.restart()
    await atelier.slack.until(lambda: rows(atelier.folder, "SELECT joined FROM spaces") == [(1,)])
    with sqlite3.connect(atelier.folder / "atelier.db") as connection:
        connection.execute("UPDATE spaces SET away_at = 1")

    await atelier.restart()

    await atelier.slack.until(lambda: rows(atelier.folder, "SELECT away_at FROM spaces") == [(None,)])
    assert await spaces(atelier) == [atelier.team.id]


async def test_a_workspace_of_a_grid_that_is_approved_no_more_is_left(open_atelier: OpenAtelier) -> None:
    atelier = await open_atelier(starts=False, enterprise="E0ACME")
    atelier.slack.install_for_enterprise()
    other = atelier.slack.team("branch", enterprise="E0ACME")
    await atelier.start()
    await atelier.paints(atelier.ana, "a red fox")
    await atelier.paints(other.user("dora"), "a blue fox", other.channel("paintings"))
    await atelier.restart()
    joined = "SELECT count(*) FROM spaces WHERE joined"
    await atelier.slack.until(lambda: rows(atelier.folder, joined) == [(2,)])

    atelier.slack.platform.removed.add(other.id)
    await atelier.restart()

    away = "SELECT key FROM spaces WHERE away_at IS NOT NULL"
    await atelier.slack.until(lambda: rows(atelier.folder, away) == [(f"E0ACME/{other.id}",)])
