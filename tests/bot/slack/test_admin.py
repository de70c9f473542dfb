"""/admin in Slack: one slash command, the rest in words; workspace admins may, and others are told so."""

from tests.bot.slack.harness import Atelier


async def test_an_admin_of_the_workspace_blocks_somebody_and_nobody_else_sees_it(atelier: Atelier) -> None:
    card = await atelier.paints(atelier.ana, "a red fox --steps 2")
    refused = await atelier.says(atelier.bo, "/admin", "people")
    listed = await atelier.says(atelier.cem, "/admin", "people")
    blocked = await atelier.says(atelier.cem, "/admin", "people ana --block")
    then = await atelier.says(atelier.ana, "/imagine", "a red fox")

    assert "/admin people is for admins. Ask one of them." in refused.words
    assert "1 painting" in listed.words
    assert "ana is blocked here" in blocked.words
    assert "An admin has blocked you here" in then.words
    assert [message.ts for message in atelier.channel.messages] == [card.ts]


async def test_admin_alone_tells_what_there_is(atelier: Atelier) -> None:
    heard = await atelier.says(atelier.cem, "/admin")

    assert "Say which one: /admin people, /admin reports, /admin loras," in heard.words


async def test_what_is_me_elsewhere_is_mine_here(atelier: Atelier) -> None:
    heard = await atelier.says(atelier.ana, "/mine")

    assert "Your usage here, ana:" in heard.words


async def test_stats_are_told_and_drawn_for_the_admin_alone(atelier: Atelier) -> None:
    heard = await atelier.says(atelier.cem, "/admin", "stats")

    direct = await atelier.wait_for_file(atelier.cem, "stats.png")
    (words,) = heard.ephemerals
    assert "By person:" in words.words
    assert "The picture is in your direct messages." in words.words
    assert words.pictures == [] and len(direct.files) == 1
    assert atelier.channel.messages == []
