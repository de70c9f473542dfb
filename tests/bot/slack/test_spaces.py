"""Whose jobs are seen where: workspaces of an Enterprise Grid, and guests by Slack Connect."""

from bot.config import SlackSettings
from storage import people
from tests.bot.slack.atelier import Atelier, OpenAtelier, button, job_of


async def spaces(atelier: Atelier) -> list[str]:
    """The keys of all spaces that anybody was in."""
    assert atelier.bot is not None
    async with atelier.bot.database.reading() as session:
        keys = [team.id for team in atelier.slack.world.teams.values()]
        keys += [f"{team.enterprise}/{team.id}" for team in atelier.slack.world.teams.values()]
        return [key for key in keys if await people.space_id(session, "slack", key) is not None]


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
    await atelier.slack.until(lambda: f"there is no job {job_of(card)} here" in heard.words)
    assert len(atelier.cards()) == 1


async def test_a_guest_by_slack_connect_is_somebody_of_their_own(atelier: Atelier) -> None:
    guests = atelier.slack.team("guests")
    gus = guests.user("gus", admin=True)
    atelier.channel.share_with(guests)
    card = await atelier.paints(atelier.ana, "a red fox")

    await atelier.slack.react(gus, card, "⭐")
    await atelier.slack.until(lambda: "⭐ 1" in card.words)
    refused = await atelier.slack.act(gus, card, button(card, "delete"))

    await atelier.slack.until(lambda: "only ana or an admin" in refused.words)
    assert await spaces(atelier) == [atelier.team.id]
    assert atelier.bot is not None
    async with atelier.bot.database.reading() as session:
        assert await people.known(session, "slack", f"{guests.id}/{gus.id}") is not None
        assert await people.known(session, "slack", gus.id) is None


async def test_nothing_stays_of_a_workspace_from_which_the_app_was_removed(atelier: Atelier) -> None:
    await atelier.paints(atelier.ana, "a red fox")
    assert atelier.bot is not None
    folder = atelier.bot.files.folder

    await atelier.slack.event(None, {"type": "app_uninstalled"})

    assert await spaces(atelier) == []
    await atelier.slack.until(lambda: not list(folder.glob("??/*")))
