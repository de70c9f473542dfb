"""Admins keep a space from chat alone: people, queue, limits, rules, and what was done."""

import pytest

from commands.answers import StatisticsChart, Text, UpdateCards
from commands.permissions import NotAllowed
from engine.messages import InvalidRequest, Paint
from storage import jobs, people, space_settings
from tests.commands.chat import Chat

NIGHT = 1_700_006_400.0  # 00:00 UTC


async def answer_text(chat: Chat, line: str, name: str = "root", space: str = "general") -> str:
    answer = await chat.says(name, line, space)
    assert isinstance(answer, Text | UpdateCards | StatisticsChart)
    return answer.text


async def paint(chat: Chat, name: str, line: str = "/imagine a fox") -> None:
    await chat.paints(await chat.files(name, line))


@pytest.mark.parametrize("what", ["people", "queue --pause", "limits", "rules", "audit", "stats"])
async def test_admin_commands_are_for_admins(chat: Chat, what: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^/admin \w+ is for admins\. Ask one of them\.$"):
        await chat.says("ana", f"/admin {what}")


async def test_help_tells_admins_what_is_theirs_and_nobody_else(chat: Chat) -> None:
    assert "/admin people" in await answer_text(chat, "/help")
    assert "/admin" not in await answer_text(chat, "/help", "ana")


async def test_admin_alone_says_what_there_is() -> None:
    from commands.registry import find

    with pytest.raises(InvalidRequest, match=r"^Say which one: /admin people, /admin reports,"):
        find("/admin")
    with pytest.raises(InvalidRequest, match=r"Did you mean /admin people\?$"):
        find("/admin peple")


async def test_people_are_listed_with_what_they_use(chat: Chat) -> None:
    await paint(chat, "ana")
    await chat.files("ana", "/imagine another")
    await paint(chat, "bo")

    text = await answer_text(chat, "/admin people")

    assert "ana  1 painting, 1 not ended, 9 s of engine time (key ana)" in text
    assert "bo   1 painting, 9 s of engine time (key bo)" in text
    assert "bo" not in await answer_text(chat, "/admin people Ana")


async def test_nobody_is_blocked_who_was_never_here(chat: Chat) -> None:
    await chat.files("eve", "/imagine a fox", "elsewhere")

    with pytest.raises(InvalidRequest, match="Nobody here is called 'eve'"):
        await chat.says("root", "/admin people eve --block")


async def test_a_blocked_person_is_refused_before_anything_is_filed_and_let_again(chat: Chat) -> None:
    job = await chat.files("ana", "/imagine a fox")
    await answer_text(chat, "/admin people ana --block")

    for line in ("/imagine a fox", "/settings --steps 3"):
        with pytest.raises(NotAllowed, match=r"^An admin has blocked you here\. Ask one of them about it\.$"):
            await chat.says("ana", line)
    with pytest.raises(NotAllowed):
        await chat.presses("ana", f"again:{job}")
    assert "blocked you" in await answer_text(chat, "/me", "ana")
    assert "is cancelled" in await answer_text(chat, f"/cancel {job}", "ana")
    await chat.files("ana", "/imagine elsewhere", "elsewhere")
    assert "blocked (key ana)" in await answer_text(chat, "/admin people")

    await answer_text(chat, "/admin people ana --unblock")
    await chat.files("ana", "/imagine a fox")


async def test_the_last_admin_of_the_config_cannot_be_blocked(chat: Chat) -> None:
    chat.admins = ("root", "ana")
    await chat.files("ana", "/imagine a fox")
    await chat.files("root", "/imagine a fox")
    with pytest.raises(InvalidRequest, match=r"^You cannot block yourself\. Another admin can\.$"):
        await chat.says("root", "/admin people root --block")
    await answer_text(chat, "/admin people ana --block")

    with pytest.raises(NotAllowed):
        await chat.says("ana", "/admin people root --block")


async def test_an_admin_of_the_chats_own_cannot_block_the_last_one_whom_the_config_names(chat: Chat) -> None:
    chat.admins, chat.moderators = ("ana",), ("mod",)
    await chat.files("ana", "/imagine a fox")

    with pytest.raises(InvalidRequest, match=r"^ana is the last admin in config\.toml and cannot be blocked"):
        await chat.says("mod", "/admin people ana --block")


async def test_an_admin_cancels_somebodys_job_and_it_is_written_down(chat: Chat) -> None:
    job = await chat.files("ana", "/imagine a fox")

    await answer_text(chat, f"/admin people --cancel {job}")

    assert (await chat.sees(job)).state == "cancelled"
    assert f"root: cancel job {job}, state: queued -> cancelled" in await answer_text(chat, "/admin audit")


async def test_a_job_of_another_space_is_not_found(chat: Chat) -> None:
    job = await chat.files("eve", "/imagine a fox", "elsewhere")

    for line in (f"/admin people --cancel {job}", f"/admin queue --up {job}"):
        with pytest.raises(InvalidRequest, match=f"^There is no job {job} here"):
            await chat.says("root", line)


async def test_a_paused_space_waits_and_others_go_on(chat: Chat) -> None:
    await chat.files("ana", "/imagine first")
    other = await chat.files("eve", "/imagine second", "elsewhere")

    await answer_text(chat, "/admin queue --pause")

    async with chat.database.reading() as session:
        following = await jobs.next_queued(session)
        places = await jobs.positions(session)
    assert following is not None
    assert (following.id, places) == (other, [(other, 1)])
    assert "The queue is paused" in await answer_text(chat, "/admin queue")
    assert "An admin has paused the queue here" in await answer_text(chat, "/queue", "ana")
    await answer_text(chat, "/admin queue --resume")
    async with chat.database.reading() as session:
        assert len(await jobs.positions(session)) == 2


async def test_a_draining_space_takes_nothing_new(chat: Chat) -> None:
    await answer_text(chat, "/admin queue --drain")

    with pytest.raises(NotAllowed, match="Nothing new is accepted until they resume it"):
        await chat.files("ana", "/imagine a fox")


async def test_a_job_that_goes_up_is_the_next_of_its_space_and_passes_nobody_elsewhere(chat: Chat) -> None:
    first = await chat.files("ana", "/imagine 1")
    elsewhere = await chat.files("eve", "/imagine 2", "elsewhere")
    last = await chat.files("bo", "/imagine 3")

    await answer_text(chat, f"/admin queue --up {last}")

    async with chat.database.reading() as session:
        following = await jobs.next_queued(session)
        line = [job for job, _ in await jobs.positions(session)]
    assert following is not None
    assert (following.id, line) == (last, [last, elsewhere, first])


async def test_engine_time_is_charged_as_measured_and_refused_with_the_time_of_reset(chat: Chat) -> None:
    chat.now = NIGHT + 3600
    await answer_text(chat, "/admin limits --seconds 25")
    await paint(chat, "ana")  # 10 s expected, 9 s measured
    await paint(chat, "ana")

    with pytest.raises(
        NotAllowed, match=r"10 s of engine time\. You have 7 s of your 25 s a day left\. .* 00:00 UTC"
    ):
        await chat.files("ana", "/imagine a fox")
    assert "18 s of 25 s, 7 s left" in await answer_text(chat, "/me", "ana")
    await chat.files("bo", "/imagine a fox")

    chat.now = NIGHT + 86400
    await chat.files("ana", "/imagine a fox")


async def test_jobs_that_wait_count_and_what_fails_or_is_cancelled_is_given_back(chat: Chat) -> None:
    await answer_text(chat, "/admin limits --seconds 15")
    first = await chat.files("ana", "/imagine a fox")
    with pytest.raises(NotAllowed):
        await chat.files("ana", "/imagine a fox")

    await chat.says("ana", f"/cancel {first}")
    second = await chat.files("ana", "/imagine a fox")
    await chat.fails(second)

    assert "0 s of 15 s, 15 s left" in await answer_text(chat, "/me", "ana")
    await paint(chat, "ana")
    assert "9 s of 15 s, 6 s left" in await answer_text(chat, "/me", "ana")


async def test_a_deleted_job_gives_nothing_back(chat: Chat) -> None:
    await answer_text(chat, "/admin limits --seconds 15")
    job = await chat.files("ana", "/imagine a fox")
    await chat.paints(job)

    await chat.presses("ana", f"delete:{job}")

    assert "9 s of 15 s, 6 s left" in await answer_text(chat, "/me", "ana")


async def test_a_reset_lets_the_day_begin_anew(chat: Chat) -> None:
    await answer_text(chat, "/admin limits --seconds 15")
    await paint(chat, "ana")

    await answer_text(chat, "/admin limits ana --reset")

    assert "0 s of 15 s, 15 s left" in await answer_text(chat, "/me", "ana")
    assert "root: reset ana, seconds: 9.0 -> 0" in await answer_text(chat, "/admin audit")


async def test_somebodys_own_limits_go_over_everybodys(chat: Chat) -> None:
    await chat.files("ana", "/imagine a fox")
    await answer_text(chat, "/admin limits --queued 1")
    await answer_text(chat, "/admin limits ana --queued 2")

    await chat.files("ana", "/imagine a fox")
    with pytest.raises(NotAllowed, match=r"You have 2 jobs in line here\. At most 2 may wait\."):
        await chat.files("ana", "/imagine a fox")
    await chat.files("bo", "/imagine a fox")
    with pytest.raises(NotAllowed, match=r"You have 1 job in line here\. At most 1 may wait\."):
        await chat.files("bo", "/imagine a fox")
    await answer_text(chat, "/admin limits ana --queued none")
    with pytest.raises(NotAllowed):
        await chat.files("ana", "/imagine a fox")


async def test_the_space_has_a_limit_of_all_together(chat: Chat) -> None:
    await answer_text(chat, "/admin limits --total 12")
    await paint(chat, "ana")

    with pytest.raises(NotAllowed, match="Everybody here together has 3 s of 12 s a day left"):
        await chat.files("bo", "/imagine a fox")
    await chat.files("bo", "/imagine a fox", "elsewhere")


async def test_pictures_kept_are_limited_with_those_that_are_on_their_way(chat: Chat) -> None:
    await answer_text(chat, "/admin limits --pictures 4")
    await chat.files("ana", "/imagine a fox --count 3")

    with pytest.raises(NotAllowed, match=r"You have 3 pictures here\. At most 4 are allowed\."):
        await chat.files("ana", "/imagine a fox --count 2")
    await chat.files("ana", "/imagine a fox")


async def test_what_the_files_of_a_person_take_on_the_disk_is_limited(chat: Chat) -> None:
    await answer_text(chat, "/admin limits --megabytes 2")
    first = await chat.files("ana", "/imagine a fox")
    await chat.paints(first)
    await paint(chat, "ana")

    for line in ("/imagine a fox", "/lora merge both ink maria"):
        with pytest.raises(
            NotAllowed, match=r"You have 2\.0 MB here\. At most 2 MB are allowed\. Delete some"
        ):
            await chat.says("ana", line) if "merge" in line else await chat.files("ana", line)
    assert "2 MB of 2 MB, 0 MB left" in await answer_text(chat, "/me", "ana")
    await paint(chat, "bo")
    await chat.files("ana", "/imagine a fox", "elsewhere")

    await chat.presses("ana", f"delete:{first}")

    assert "1 MB of 2 MB, 1 MB left" in await answer_text(chat, "/me", "ana")
    await paint(chat, "ana")


async def test_loras_and_what_trainings_have_count_as_megabytes(chat: Chat) -> None:
    job = await chat.drafts("ana", "one")
    await chat.trains(job)
    before = await answer_text(chat, "/me", "ana")

    await chat.says("ana", "/lora one --delete")

    assert megabytes(before) > megabytes(await answer_text(chat, "/me", "ana")) > 0


def megabytes(text: str) -> int:
    (line,) = (line for line in text.splitlines() if "Files" in line)
    return int(line.split()[1])


async def test_trainings_a_day_are_counted_when_they_start(chat: Chat) -> None:
    await answer_text(chat, "/admin limits --trainings 1")
    first, second = await chat.drafts("ana", "one"), await chat.drafts("ana", "two", trigger="zwx")

    await chat.trains(first)

    with pytest.raises(NotAllowed, match="You have used 1 of your 1 training a day here"):
        await chat.presses("ana", f"start:{second}")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("--role 112233445566778899 --queued 1", "Roles are only on Discord. Give a name or a key here."),
        ("--role artists --queued 1", "--role must be a mention of a role or its id, not 'artists'."),
        (
            "--role 112233445566778899 --total 1",
            "--role goes only with --seconds, --trainings, --queued, --pictures and --megabytes.",
        ),
    ],
)
async def test_a_role_is_one_of_discords(chat: Chat, line: str, sentence: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await chat.says("root", f"/admin limits {line}")
    assert str(refused.value) == sentence


@pytest.mark.parametrize("limit", ["-1", "1.5", "many", "99999999999999"])
async def test_a_limit_is_a_whole_number_or_none(chat: Chat, limit: str) -> None:
    with pytest.raises(InvalidRequest, match="must be from 0 to 10,000,000, or none"):
        await chat.says("root", f"/admin limits --seconds={limit}")


async def test_refused_words_are_found_however_they_are_typed_and_only_as_words(chat: Chat) -> None:
    await answer_text(chat, '/admin rules --refuse "gore, blood bath, /nak?ed+/"')

    for prompt in ("GORE and more", "some \uff47\u00f3re", "a  blood\n bath", "so nakedddd"):
        with pytest.raises(NotAllowed, match=r"^The rules here do not allow this prompt\.$"):
            await chat.files("ana", f"/imagine {prompt}")
    await chat.files("ana", "/imagine a gorey bloodbath")
    await chat.files("ana", "/imagine gore", "elsewhere")
    await answer_text(chat, "/admin rules --allow gore")
    await chat.files("ana", "/imagine gore")


async def test_a_pattern_that_never_ends_stops_nobody_for_long(chat: Chat) -> None:
    await answer_text(chat, "/admin rules --refuse '/(a|aa)+$/'")

    with pytest.raises(NotAllowed):
        await chat.files("ana", f"/imagine {'a' * 60}b")
    await chat.files("ana", "/imagine short")


async def test_a_pattern_that_is_none_is_told(chat: Chat) -> None:
    with pytest.raises(InvalidRequest, match=r"A pattern may use \*, \+ and \?, but no counts\.$"):
        await chat.says("root", "/admin rules --refuse '/(a{1000}){1000}/'")
    with pytest.raises(InvalidRequest, match=r"^/\(/ is not a valid pattern \("):
        await chat.says("root", "/admin rules --refuse '/(/'")


async def test_adult_words_belong_into_channels_for_adults(chat: Chat) -> None:
    await answer_text(chat, "/admin rules --adult nude")

    with pytest.raises(NotAllowed, match=r"^The rules here allow this only in a channel for adults\.$"):
        await chat.files("ana", "/imagine a nude")
    chat.adult = True
    await chat.files("ana", "/imagine a nude")


async def test_what_every_picture_avoids_is_in_its_recipe_once(chat: Chat) -> None:
    await answer_text(chat, "/admin rules --negative 'text, watermark'")

    job = await chat.files("ana", "/imagine a fox --no hat")
    request = (await chat.paints(job)).request
    again = await chat.presses("ana", f"again:{job}")

    assert isinstance(request, Paint)
    assert request.negative_prompt == "hat, text, watermark"
    assert again.request.negative_prompt == "hat, text, watermark"  # type: ignore[union-attr]


async def test_the_audit_tells_who_changed_what_before_and_after(chat: Chat) -> None:
    await answer_text(chat, "/admin rules --refuse gore")
    await answer_text(chat, "/admin queue --pause")
    await chat.files("ana", "/imagine a fox")
    await answer_text(chat, "/admin people ana --block")

    lines = (await answer_text(chat, "/admin audit")).splitlines()

    assert [line.partition("root: ")[2] for line in lines[1:]] == [
        "block ana, blocked: False -> True",
        "queue queue, queue: moving -> paused",
        "rules rules, refuse: nothing -> gore",
    ]
    assert "pause" in await answer_text(chat, "/admin audit paused")
    assert "No admin has changed anything here" in await answer_text(chat, "/admin audit", space="elsewhere")


async def test_stats_tell_what_was_done_what_failed_and_what_was_refused(chat: Chat) -> None:
    await paint(chat, "ana")
    await chat.fails(await chat.files("bo", "/imagine a fox"))

    async def refuse(session: object) -> None:
        here = await people.upsert_space(session, "local", "general", "general")  # type: ignore[arg-type]
        ana = await people.upsert_person(session, "local", "ana", "ana")  # type: ignore[arg-type]
        await space_settings.record_refusal(session, here.id, ana.id, "rule: gore", chat.now)  # type: ignore[arg-type]

    await chat.database.write(refuse)
    text = await answer_text(chat, "/admin stats")

    assert "11-14  ████████████████████ 9 s of engine time, 1 picture (ana 1)" in text
    assert "ana  9 s of engine time, 1 painting, 0 trainings, 0 failed" in text
    assert "1  it did not work." in text
    assert "1  ana: rule: gore" in text
