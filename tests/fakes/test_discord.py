"""The fake Discord, as the real discord.py sees it."""

import asyncio
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import discord
import pytest
from discord import ui

from tests.fakes.discord import Attached, Channel, FakeDiscord, Fault, Guild, Heard, User
from tests.fakes.discord.small_bot import Small


class Scene:
    """A guild with one channel, Ana in it, and the bot."""

    def __init__(self, fake: FakeDiscord, bot: Small) -> None:
        self.fake, self.bot = fake, bot
        self.guild: Guild = fake.guild("studio")
        self.channel: Channel = self.guild.channel("paintings")
        self.ana: User = fake.user("ana")
        self.guild.join(self.ana)

    async def say(self, text: str = "hi", **options: object) -> Heard:
        return await self.fake.command(self.ana, self.channel, "say", text=text, **options)

    @property
    def target(self) -> discord.TextChannel:
        """The channel as the bot knows it."""
        channel_of_bot = self.bot.get_channel(self.channel.id)
        assert isinstance(channel_of_bot, discord.TextChannel)
        return channel_of_bot


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with FakeDiscord() as fake:
        bot = Small()
        scene = Scene(fake, bot)
        running = asyncio.create_task(bot.start(fake.token))
        await fake.until(lambda: bot.readies)
        yield scene
        await bot.close()
        await running


async def test_commands_are_synced_and_a_command_is_answered_with_a_picture_and_a_button(
    scene: Scene,
) -> None:
    heard = await scene.say("ha", times=3, file=Attached("b.png", b"1234"))

    assert sorted(command["name"] for command in scene.fake.commands) == [
        "Recipe",
        "form",
        "rule",
        "say",
        "silent",
        "think",
    ]
    assert heard.kind == "message" and not heard.ephemeral
    assert scene.channel.messages == [heard.message] and heard.message is not None
    assert heard.message.embeds[0]["title"] == "hahaha" and heard.message.embeds[0]["description"] == "4"
    assert heard.message.files == {"a.png": b"picture"} and heard.message.loose == []
    assert [part["custom_id"] for part in heard.message.components] == ["again"]
    assert heard.seconds is not None and heard.seconds < 1


async def test_what_the_app_would_not_send_is_not_sent(scene: Scene) -> None:
    with pytest.raises(AssertionError):
        await scene.say("ha", times=4)
    with pytest.raises(AssertionError):
        await scene.say("ha", color="red")
    with pytest.raises(AssertionError):
        await scene.fake.command(scene.ana, scene.channel, "say")


async def test_a_command_is_offered_to_those_who_may_use_it(scene: Scene) -> None:
    with pytest.raises(AssertionError):
        await scene.fake.command(scene.ana, scene.channel, "rule")
    scene.guild.join(scene.ana, admin=True)

    assert (await scene.fake.command(scene.ana, scene.channel, "rule")).text == "ruled"


async def test_a_deferred_answer_is_filled_by_the_first_follow_up(scene: Scene) -> None:
    heard = await scene.fake.command(scene.ana, scene.channel, "think")

    await scene.fake.until(lambda: heard.followups)

    assert heard.kind == "deferred" and heard.ephemeral and scene.channel.messages == []
    assert heard.text == "thought\nand more"


async def test_a_command_that_nobody_answers_ends_with_none(scene: Scene) -> None:
    scene.fake.patience = 0.1

    assert (await scene.fake.command(scene.ana, scene.channel, "silent")).kind == "none"


async def test_autocomplete_suggests(scene: Scene) -> None:
    choices = await scene.fake.autocomplete(scene.ana, scene.channel, "say", "text", "in")

    assert choices == [{"name": "ink", "value": "ink"}]


async def test_a_click_a_menu_and_a_reaction_reach_the_bot(scene: Scene) -> None:
    message = (await scene.say("ink")).message
    assert message is not None

    clicked = await scene.fake.click(scene.ana, message, "again")
    answer = await scene.fake.menu(scene.ana, message, "Recipe")
    await scene.fake.react(scene.ana, message, "⭐")
    await scene.fake.unreact(scene.ana, message, "⭐")
    await scene.fake.until(lambda: len(scene.bot.reacted) == 2)

    assert clicked.message is message and message.content == "clicked" and message.edits == 1
    assert answer.text == "of ink" and answer.ephemeral
    assert scene.bot.reacted == [("add", "⭐"), ("remove", "⭐")]
    with pytest.raises(AssertionError):
        await scene.fake.click(scene.ana, message, "not there")


async def test_a_form_takes_text_a_choice_ten_files_and_a_yes(scene: Scene) -> None:
    opened = await scene.fake.command(scene.ana, scene.channel, "form")
    files = [Attached(f"{number}.png", b"x" * number) for number in range(10)]

    heard = await scene.fake.submit(scene.ana, opened.modal, {"Name": "cat", "files": files, "yes": True})

    assert heard.text == f"cat ['style'] {list(range(10))} True"
    with pytest.raises(AssertionError):
        await scene.fake.submit(scene.ana, opened.modal, {"Name": "cat"})


async def test_commands_work_in_direct_messages_and_where_the_bot_is_no_member(scene: Scene) -> None:
    elsewhere = scene.fake.guild("elsewhere", bot=False)
    elsewhere.join(scene.ana)

    private = await scene.fake.command(scene.ana, scene.fake.direct(scene.ana), "say", text="a")
    away = await scene.fake.command(scene.ana, elsewhere.channel("there"), "say", text="b")

    assert private.message in scene.fake.direct(scene.ana).messages
    assert away.kind == "message"
    assert scene.bot.get_guild(elsewhere.id) is None


async def test_an_edit_keeps_the_files_that_it_names_and_says_what_is_loose(scene: Scene) -> None:
    sent = await scene.target.send(
        embed=discord.Embed().set_image(url="attachment://a.png"), file=discord.File(BytesIO(b"a"), "a.png")
    )
    message = scene.channel.messages[-1]
    assert sent.attachments == [] and str(sent.embeds[0].image.url).startswith("http://127.0.0.1")

    await sent.edit(embed=discord.Embed(title="later").set_image(url="attachment://a.png"))
    assert list(message.files) == ["a.png"] and message.loose == []

    await sent.edit(attachments=[discord.File(BytesIO(b"b"), "b.png")], embed=None)
    assert message.files == {"b.png": b"b"} and message.loose == ["b.png"] and message.edits == 2


async def test_the_same_nonce_makes_one_message(scene: Scene) -> None:
    for _ in range(2):
        await scene.target.send("a", nonce="job")

    assert [message.nonce for message in scene.channel.messages] == ["job"]


async def test_what_discord_refuses_is_refused_with_its_codes(scene: Scene) -> None:
    async def code(**sent: Any) -> int:
        with pytest.raises(discord.HTTPException) as refused:
            await scene.target.send(**sent)
        return refused.value.code

    twice = ui.View(timeout=None)
    twice.add_item(ui.Button(label="a", custom_id="x")).add_item(ui.Button(label="b", custom_id="x"))
    assert await code(content="x" * 2001) == 50035
    assert await code(embed=discord.Embed(title="x" * 257)) == 50035
    assert await code(embed=discord.Embed().set_image(url="attachment://none.png")) == 50035
    assert await code(view=twice) == 50035
    assert await code(content="x", nonce="n" * 26) == 50035
    assert await code() == 50006
    assert await code(file=discord.File(BytesIO(bytes(11 << 20)), "big.png")) == 40005
    scene.channel.forbid("attach_files")
    assert await code(file=discord.File(BytesIO(b"a"), "a.png")) == 50013
    scene.channel.close_to_bot()
    assert await code(content="a") == 50001


async def test_gone_messages_channels_and_closed_direct_messages_say_so(scene: Scene) -> None:
    sent = await scene.target.send("a")
    await scene.fake.delete(scene.channel.messages[0])
    with pytest.raises(discord.NotFound):
        await sent.edit(content="b")

    scene.fake.close_direct(scene.ana)
    ana = await scene.bot.fetch_user(scene.ana.id)
    with pytest.raises(discord.Forbidden):
        await ana.send("a")

    target = scene.target
    scene.channel.delete()
    with pytest.raises(discord.NotFound):
        await target.send("a")


async def test_a_dead_token_and_a_second_answer_are_refused(scene: Scene) -> None:
    heard = await scene.say()
    interaction = scene.bot.interactions[0]

    with pytest.raises(discord.HTTPException) as twice:
        await interaction._client.http.request(
            discord.http.Route("POST", f"/interactions/{heard.id}/{heard.token}/callback"), json={"type": 5}
        )
    await interaction.edit_original_response(content="alive")
    scene.fake.expire(heard)
    with pytest.raises(discord.HTTPException) as dead:
        await interaction.edit_original_response(content="dead")

    assert twice.value.code == 40060 and (dead.value.status, dead.value.code) == (401, 50027)
    assert heard.message is not None and heard.message.content == "alive"


async def test_a_thread_grows_from_a_message_once(scene: Scene) -> None:
    sent = await scene.target.send("training")
    thread = await sent.create_thread(name="training")
    await thread.send("in it")

    assert [thread.id for thread in scene.channel.threads] == [sent.id]
    assert [message.content for message in scene.channel.threads[0].messages] == ["in it"]
    with pytest.raises(discord.HTTPException):
        await sent.create_thread(name="again")
    heard = await scene.fake.command(scene.ana, scene.channel.threads[0], "say", text="a")
    assert heard.message in scene.channel.threads[0].messages


async def test_a_message_pings_whom_it_names_unless_that_is_not_allowed(scene: Scene) -> None:
    text = f"@everyone <@{scene.ana.id}>"
    await scene.target.send(text)
    await scene.target.send(text, allowed_mentions=discord.AllowedMentions.none())

    assert [message.pings for message in scene.channel.messages] == [["everyone", str(scene.ana.id)], []]


@pytest.mark.parametrize(
    ("fault", "posted", "error"),
    [
        (Fault.CUT_BEFORE, 0, Exception),
        (Fault.CUT_AFTER, 1, Exception),
        (Fault.FORBIDDEN, 0, discord.Forbidden),
        (Fault.MISSING, 0, discord.NotFound),
        (Fault.TOO_LARGE, 0, discord.HTTPException),
        (Fault.LIMITED, 1, None),
        (Fault.SLOW, 1, None),
        (Fault.ERROR_BEFORE, 1, None),
        (Fault.ERROR_AFTER, 1, None),
    ],
)
async def test_each_fault_happens_once_and_the_library_does_what_it_does(
    scene: Scene, fault: Fault, posted: int, error: type[Exception] | None
) -> None:
    scene.fake.faults.add("POST", r"/channels/\d+/messages", fault, seconds=0.1)

    if error is None:
        await scene.target.send("a")
    else:
        with pytest.raises(error):
            await scene.target.send("a")

    assert len(scene.channel.messages) == posted and not scene.fake.faults.waiting
    assert scene.fake.calls("POST", r"/channels/\d+/messages")[0].fault is fault


async def test_limits_are_said_in_headers_so_that_the_library_waits(scene: Scene) -> None:
    scene.fake.limits.add("PATCH", r"/channels/\d+/messages/\d+", 2, 0.5)
    sent = await scene.target.send("a")

    for number in range(4):
        await sent.edit(content=str(number))

    calls = scene.fake.calls("PATCH", r"/channels/\d+/messages/\d+")
    assert scene.fake.limits.exceeded == 0 and calls[-1].at - calls[0].at >= 0.5


@pytest.mark.parametrize("trouble", ["close", "reconnect", "cut"])
async def test_a_lost_socket_is_resumed_and_nothing_is_missed(scene: Scene, trouble: str) -> None:
    await getattr(scene.fake.gateway, trouble)()
    heard = await scene.say()
    await scene.fake.until(lambda: scene.fake.gateway.resumed == 1)

    assert heard.kind == "message" and scene.fake.gateway.identified == 1


async def test_an_invalid_session_is_identified_anew(scene: Scene) -> None:
    await scene.fake.gateway.invalid_session()
    await scene.fake.until(lambda: scene.fake.gateway.identified == 2 and scene.fake.gateway.connected)

    assert (await scene.say()).kind == "message"


async def test_a_second_ready_changes_nothing_for_people(scene: Scene) -> None:
    await scene.fake.gateway.ready_again()
    await scene.fake.until(lambda: scene.bot.readies == 2)

    assert (await scene.say()).kind == "message"


async def test_two_shards_hear_their_own_guilds() -> None:
    async with FakeDiscord() as fake, Small() as bot:
        fake.gateway.shards = 2
        running = asyncio.create_task(bot.start(fake.token))
        await fake.until(lambda: bot.readies == 2)
        scenes = [Scene(fake, bot) for _ in range(3)]

        heard = await asyncio.gather(*(scene.say() for scene in scenes))

        assert [event.kind for event in heard] == ["message"] * 3
        assert sorted(session.shard for session in fake.gateway.sessions) == [(0, 2), (1, 2)]
    await running


async def test_a_wrong_token_and_a_privileged_intent_are_turned_away() -> None:
    async with FakeDiscord() as fake:
        with pytest.raises(discord.LoginFailure):
            async with Small() as wrong:
                await wrong.start("wrong")
        with pytest.raises(discord.PrivilegedIntentsRequired):
            async with discord.AutoShardedClient(intents=discord.Intents.all()) as greedy:
                await greedy.start(fake.token)


async def test_a_hundred_people_at_once_are_all_answered(scene: Scene) -> None:
    heard = await asyncio.gather(*(scene.say(str(number)) for number in range(100)))

    assert {event.kind for event in heard} == {"message"} and len(scene.channel.messages) == 100
