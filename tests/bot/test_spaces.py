"""Whatever names something of another space is answered as if it did not exist, and changes nothing there.

Not a list of cases: every command with each of its options, every button, reaction and completion, and every
address of the page is tried with all that another space has. The answer must be the same as for a name that
nobody ever had.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from bot.chats.interface import Caller
from commands.actions import BY_NAME
from commands.reactions import REACTIONS
from commands.registry import COMMANDS, AnyCommand
from commands.syntax.spec import Parameter
from engine.messages import JobId
from tests.bot.fake_chat import SLEEPER, Chat, FakeChat, Seen, a_config, caller, quick
from tests.bot.running_bot import rows
from tests.bot.training_cases import a_picture, drafts, sends, starts, wait_for_report
from tests.bot.web.page_client import a_place

pytestmark = pytest.mark.asyncio(loop_scope="module")

CANARIES = ("xylophone", "canarybird", "canaryplant", "canaryword", "ana")  # prompt, LoRAs, trigger, name
NOTHING = {"job": "zzzzzz", "lora": "zygodactyl", "person": "zoe", "sha256": "f" * 64}
HINT = re.compile(  # what may be near to a word by chance; it is looked through for leaks before
    r"Did you mean [^?]+\?|The \w+ are [^.]+\.|No LoRA is here yet\."
    r"|/[\w ]+ lists (?:them all|everybody|all commands)\."
)
EVES = count()
PATIENCE = 10.0  # seconds for an answer: nothing of this may come to the engine


@dataclass(frozen=True)
class Secret:
    """Something that the space "home" has."""

    kind: str
    name: str

    @property
    def nothing(self) -> "Secret":
        """What looks just like it, and never was."""
        return Secret(self.kind, NOTHING[self.kind])


@dataclass(frozen=True)
class Home:
    """A space with everything in it, and a bot whose engine never gets ready, so that nothing moves."""

    chat: Chat
    secrets: tuple[Secret, ...]
    messages: tuple[str, ...]

    @property
    def jobs(self) -> list[Secret]:
        return [secret for secret in self.secrets if secret.kind == "job"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Home]:
    """One for all tests: each makes sure that it changed nothing there."""
    folder, fake = tmp_path_factory.mktemp("home"), FakeChat()
    chat = await Chat.open(folder, a_config(folder), quick(folder), fake)
    painted = (await chat.says("ana", "/imagine a xylophone --steps 2 --count 2")).job
    await chat.ends(painted)
    await Seen.of(chat.bot.dispatch.press(caller("ana"), f"keep:{painted}:1"))
    started = await sends(chat, "ana", a_picture(1))
    changed = (await chat.says("ana", f"/imagine a xylophone --steps 2 --image {started}")).job
    await chat.ends(changed)
    learned = await starts(chat, "ana", "canarybird", steps="12", trigger="canaryword")
    await chat.ends(learned)
    await chat.ends(await starts(chat, "ana", "canaryplant", steps="12", trigger="canaryweed"))
    await chat.says("ana", "/lora canaryplant --share space")
    draft = (await drafts(chat, "ana", "canarychick", trigger="canaryegg")).job
    await wait_for_report(chat, draft)
    await chat.close()
    chat = await Chat.open(folder, a_config(folder), SLEEPER, fake)
    waiting = (await chat.says("ana", "/imagine a xylophone")).job
    await chat.shows(waiting, lambda card: "waiting for the engine to start" in card.line)
    await chat.sees(lambda: rows(folder, "SELECT count(*) FROM jobs WHERE shown < revision") == [(0,)])
    [(sha256,)] = rows(folder, "SELECT sha256 FROM examples LIMIT 1")
    secrets = [Secret("job", str(job)) for job in (painted, changed, learned, draft, waiting)]
    secrets += [Secret("lora", "canarybird"), Secret("lora", "canaryplant")]
    secrets += [Secret("person", "ana"), Secret("sha256", sha256), Secret("sha256", started)]
    yield Home(chat, tuple(secrets), tuple(fake.cards))
    await chat.close()


def all_of(home: Home) -> list[Any]:
    """What the tables say of the space; a card may be drawn again."""
    questions = (
        "SELECT id, person_id, channel, message, request, state, deleted_at FROM jobs WHERE space_id = 1",
        "SELECT * FROM pictures",
        "SELECT * FROM votes",
        "SELECT * FROM adapters WHERE space_id = 1",
        "SELECT * FROM trainings",
        "SELECT * FROM examples",
        "SELECT * FROM job_sources",
        "SELECT * FROM checkpoints",
        "SELECT * FROM audit WHERE space_id = 1",
        "SELECT key, name, settings, queued FROM people WHERE key = 'ana'",
        "SELECT * FROM keeping WHERE space_id = 1",
        "SELECT * FROM standings WHERE space_id = 1",
    )
    return [rows(home.chat.folder, question) for question in questions]


def a_stranger(*, direct: bool = False) -> Caller:
    """An admin of a space of their own, where nothing has happened yet."""
    number = next(EVES)
    return replace(caller(f"eve{number}", f"space{number}", admin=True), direct=direct)


def comparable_reply(reply: Seen | None, who: Caller, named: str) -> Any:
    """All that a reply tells, with what is theirs and what they said themselves taken out."""
    if reply is None:
        return None
    form = dict(reply.form.values) if reply.form is not None else None
    text = str([reply.ok, reply.text, form, reply.job is not None, reply.loras])
    cut = (named[:end] for end in range(len(named), 9, -1))  # long words are not echoed whole
    for own in (who.person, who.space, named, *cut, *([reply.job] if reply.job else [])):
        text = text.replace(own, "@")
    assert not leaks(text), text
    return re.sub(r"\s+", " ", HINT.sub("hint", text)), len(reply.files)


def plausible(parameter: Parameter) -> str:
    """A value that this parameter takes, or nearly."""
    if parameter.choices:
        return parameter.choices[0]
    if parameter.kind == "boolean":
        return "true"
    if parameter.kind in ("integer", "number"):
        return str(int(max(parameter.option.low, 1.0)))
    return "other"


def ways_to_name(command: AnyCommand, secret: Secret) -> Iterator[dict[str, str]]:
    """Every way to name the secret in this command: in each parameter, alone and beside each switch."""
    must = {parameter.name: plausible(parameter) for parameter in command.parameters if parameter.required}
    for parameter in command.parameters:
        if parameter.kind in ("boolean", "integer", "number"):
            continue
        for word in words(parameter, secret):
            yield must | {parameter.name: word}
            for other in command.parameters:
                if other.kind == "boolean" and not other.option.more and not parameter.choices:
                    yield must | {other.name: "true", parameter.name: word}


def words(parameter: Parameter, secret: Secret) -> Iterator[str]:
    """The secret as the parameter would take it."""
    yield secret.name
    if secret.kind == "lora":
        yield f"{secret.name}:0.5"
        yield f"{secret.name}:0.5 other:0.5"
        yield f"a fox <lora:{secret.name}:0.5>"
    if secret.kind == "job":
        yield f"{secret.name}:1"
        yield f"{secret.name}:0"
    if secret.kind == "sha256":
        yield json.dumps([{"sha256": secret.name, "name": "a.png", "caption": ""}])


async def fill_form(home: Home, command: AnyCommand, values: Mapping[str, str], named: str) -> Any:
    who = a_stranger()
    async with asyncio.timeout(PATIENCE):
        return comparable_reply(
            await Seen.of(home.chat.bot.dispatch.fill(who, command.name, values)), who, named
        )


def leaks(told: Any) -> list[str]:
    return [word for word in CANARIES if re.search(rf"\b{word}\b", str(told))]


@pytest.mark.parametrize("name", COMMANDS)
async def test_no_command_tells_of_another_space(home: Home, name: str) -> None:
    command, before, answers = COMMANDS[name], all_of(home), dict[str, Any]()
    for secret in home.secrets:
        tries = zip(ways_to_name(command, secret), ways_to_name(command, secret.nothing), strict=True)
        for values, harmless in tries:
            if (key := str(harmless)) not in answers:
                answers[key] = await fill_form(home, command, harmless, secret.nothing.name)
            assert await fill_form(home, command, values, secret.name) == answers[key], values
    await fill_form(
        home, command, {parameter.name: plausible(parameter) for parameter in command.parameters[:1]}, "other"
    )
    assert all_of(home) == before


async def test_no_words_tell_of_another_space(home: Home) -> None:
    before = all_of(home)
    for command in COMMANDS.values():
        for secret in home.secrets:
            answers = []
            for word in (secret, secret.nothing):
                who = a_stranger()
                async with asyncio.timeout(PATIENCE):
                    reply = await Seen.of(home.chat.bot.dispatch.say(who, f"/{command.name} {word.name}"))
                answers.append(comparable_reply(reply, who, word.name))
            assert answers[0] == answers[1], command.name
    assert all_of(home) == before


@pytest.mark.parametrize("direct", [False, True])
async def test_no_button_works_in_another_space(home: Home, direct: bool) -> None:
    before = all_of(home)

    async def press(action: str, job: str, place: str) -> Any:
        who = a_stranger(direct=direct)
        reply = await Seen.of(home.chat.bot.dispatch.press(who, f"{action}:{job}{place}"))
        assert not reply.ok
        return comparable_reply(reply, who, job)

    for action in BY_NAME:
        for place in ("", ":1", ":2", ":4"):
            nothing = await press(action, NOTHING["job"], place)
            for secret in home.jobs:
                assert await press(action, secret.name, place) == nothing, action
    assert all_of(home) == before


async def test_the_same_person_has_nothing_of_it_elsewhere(home: Home) -> None:
    before = all_of(home)
    for secret in home.jobs:
        for action in BY_NAME:
            reply = await home.chat.presses("ana", action, JobId(secret.name), space="elsewhere")
            assert reply.text == f"There is no job {secret.name} here."
    assert (await home.chat.says("ana", "/loras", space="elsewhere")).loras == ()
    assert all_of(home) == before


@pytest.mark.parametrize("direct", [False, True])
async def test_no_reaction_means_anything_in_another_space(home: Home, direct: bool) -> None:
    before, dispatch = all_of(home), home.chat.bot.dispatch
    assert home.messages
    for message in home.messages:
        for emoji in REACTIONS:
            for added in (True, False):
                assert await dispatch.react(a_stranger(direct=direct), message, emoji, added) is None
        assert await dispatch.card_of_message(a_stranger(direct=direct), message) is None
    assert all_of(home) == before


async def test_nothing_of_another_space_is_listed_or_completed(home: Home) -> None:
    dispatch = home.chat.bot.dispatch
    for secret in home.secrets:
        for end in range(len(secret.name) + 1):
            for words in (secret.name[:end], f"other:1, {secret.name[:end]}"):
                assert await dispatch.complete_loras(a_stranger(), words) == []
    for secret in home.jobs:
        for direct in (False, True):
            assert await dispatch.find_card(a_stranger(direct=direct), JobId(secret.name)) is None
        reply = await Seen.of(
            dispatch.fill(a_stranger(), "imagine", {"prompt": "a fox"}, origin=JobId(secret.name))
        )
        assert not leaks(reply)
    stranger = a_stranger()
    assert await dispatch.list_cards(replace(stranger, channel="home"), None, 100) == []


async def test_no_address_of_the_page_leads_into_another_channel(tmp_path: Path) -> None:
    async with a_place(tmp_path) as place:
        ana, eve = await place.comes(channel="general"), await place.comes(channel="ideas")
        card = await ana.paints("/imagine a xylophone --steps 2")
        await ana.says("/imagine a xylophone --steps 2")
        gift = await ana.presses(f"send:{card['job']}")
        values = {"job": card["job"], "place": "1", "step": "0", "nth": "1", "name": "canarybird"}
        tried = 0
        for path in channel_paths(place.chat._make_app()):
            there, here = ({**values, "channel": channel} for channel in ("general", "ideas"))
            status, body = await eve.get(path.format(**here))
            assert status == 404, path
            assert not leaks(body)
            tried += 1
            if path.startswith(("/pictures", "/thumbs", "/recipes")):
                assert (await eve.get(path.format(**there)))[0] == 200, path
        assert tried >= 8
        assert (await ana.get(gift["files"][0]["url"]))[0] == 200
        assert (await eve.get(gift["files"][0]["url"]))[0] == 404
        for path in ("/loras.json?channel=ideas", "/gallery", "/gallery?starred=1"):
            assert not leaks((await eve.get(path))[1])
        assert (await eve.ask(card=card["job"]))["cards"] == []


def channel_paths(app: web.Application) -> Iterator[str]:
    """The addresses that name a channel, of all that the page has, ready to be filled in."""
    for resource in app.router.resources():
        if "{channel}" in (path := resource.canonical):
            yield path
