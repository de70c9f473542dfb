"""The terminal as a front end: `python -m bot imagine "a red star" --out star.png`, `train maria stars/`."""

import asyncio
import logging
import sys
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

from bot.cli.exit_status import BAD_INPUT, FAILED, FINE, INTERRUPTED, say
from bot.cli.output_files import CannotWrite, Output
from bot.cli.progress_bar import Bar
from bot.cli.train import TRAIN, train
from bot.config import Config, ConfigError, read_config
from bot.engine_client.client import EngineClient
from bot.engine_client.pending_jobs import EngineUnavailable, Lost, Update
from bot.uploads.lora_folder import AdapterFolder
from commands.answers import CreateJob
from commands.context import Context
from commands.help import HELP, usage
from commands.imagine import imagine
from commands.registry import COMMANDS
from commands.syntax.parser import parse, shorten
from commands.syntax.prompt_weights import weights_hint
from commands.syntax.spec import Option, parameters
from engine.messages import Failed, InvalidRequest, JobId, JobRequest, Paint, Painted, Progress
from storage.files import Files

log = logging.getLogger(__name__)

HERE = f"{imagine.name} paints a picture and {TRAIN.name} teaches a LoRA"
SERVE = "serve: Run the bot for its chats; no words at all do the same."
INVITE = "discord-invite: Print the link that brings the bot into a Discord guild."
MANIFEST = "slack-manifest: Print the manifest of the Slack app."


def main(words: Sequence[str]) -> int:
    """Do what these words of a command line say, and return the exit status."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    job = JobId(uuid4().hex[:8])
    try:
        return _run(job, words)
    except (InvalidRequest, ConfigError) as error:
        return say(str(error), BAD_INPUT)
    except (EngineUnavailable, CannotWrite) as error:
        return say(str(error), FAILED)
    except KeyboardInterrupt:
        return say("stopped.", INTERRUPTED)
    except Exception:
        log.exception("job %s failed", job)
        return say(f"sorry, something went wrong with job {job}: the log says what.", FAILED)


def _run(job: JobId, words: Sequence[str]) -> int:
    if not words or words[0] == "help" or not HELP.isdisjoint(words):
        print(_help(words))
        return FINE
    command, *rest = words
    if command == TRAIN.name:
        return train(job, rest)
    if command == imagine.name:
        return _paint(job, rest)
    raise InvalidRequest(_unknown(command))


def _help(words: Sequence[str]) -> str:
    """The options of the command that is asked about; of imagine's and what else there is, otherwise."""
    if TRAIN.name in [word for word in words if word != "help"][:1]:
        return usage(TRAIN)
    others = (f"{TRAIN.name}: {TRAIN.help} Its options: {TRAIN.name} --help.", SERVE, INVITE, MANIFEST)
    return "\n".join((usage(imagine, parameters(_settle)), *others))


def _paint(job: JobId, words: Sequence[str]) -> int:
    own = parameters(_settle)
    values = parse(words, (*imagine.parameters, *own))
    output, config = _settle(**{one.name: values.pop(one.name) for one in own if one.name in values})
    ended = asyncio.run(_imagine(job, values, config))
    match ended:
        case Painted():
            for path, picture in output.keep(ended.pictures):
                print(f"{path}  seed {picture.seed}")
            print(f"painted in {ended.seconds:.1f} s")
            return FINE
        case Failed():
            return say(ended.reason, BAD_INPUT if ended.expected else FAILED)
        case Lost():
            return say(ended.reason, FAILED)
        case _:
            return say("the picture was cancelled.", FAILED)


def _unknown(command: str) -> str:
    """Most commands need the people and the jobs of a chat."""
    name = command.removeprefix("/").lower()
    if name in COMMANDS:
        return f"{name} is for a chat: here {HERE}."
    return f"there is no command {shorten(command)!r}: {HERE}."


def _settle(
    *,
    out: Annotated[
        Path | None, Option("PNG file to write; atelier-SEED.png when left out", read=Path)
    ] = None,
    config: Annotated[Path | None, Option("settings to read instead of config.toml", read=Path)] = None,
) -> tuple[Output, Config]:
    """What only a terminal has to be told, checked before anything is started."""
    output = Output(out)
    output.check()
    return output, read_config(config)


async def _imagine(job: JobId, values: Mapping[str, Any], config: Config) -> Update | None:
    """Paint with an engine of our own; what ended the job."""
    library = AdapterFolder(config.adapters, Files(Path(config.engine.files)))
    context = Context(job=job, library=library, model=config.engine.model)
    filed = await imagine(context, **values)
    request = filed.request
    _tell_beside(filed)
    engine = EngineClient(config.engine)
    with Bar() as bar:
        try:
            await engine.start()
            bar.painting()
            return await _watched(engine, request, bar)
        finally:
            await engine.stop()


def _tell_beside(filed: CreateJob) -> None:
    """What is not understood of a recipe, or of a prompt."""
    hint = weights_hint(filed.request) if isinstance(filed.request, Paint) else ""
    for line in filter(None, (filed.text, hint)):
        print(line, file=sys.stderr)


async def _watched(engine: EngineClient, request: JobRequest, bar: Bar) -> Update | None:
    update: Update | None = None
    async with aclosing(engine.work(request)) as updates:
        async for update in updates:
            if isinstance(update, Progress):
                bar.advance(update)
    return update
