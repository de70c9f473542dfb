"""What the safety check flags, in Slack, which has no spoilers."""

from tests.bot.slack.harness import Atelier


async def test_slack_which_hides_nothing_leaves_it_out_and_sends_it_on_asking(atelier: Atelier) -> None:
    await atelier.says(atelier.cem, "/admin", "rules --filtered spoiler")

    await atelier.says(atelier.ana, "/imagine", "a flag --steps 2")
    card = await atelier.shows(lambda message: "Safety check: hidden until you open it" in message.words)

    assert card.pictures == []
