"""`python -m bot imagine "a red star"`, and edit, upscale and such: with an engine of its own."""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Annotated, Any
from uuid import uuid4

from bot.cli.caption import CAPTION, caption
from bot.cli.exit_status import BAD_INPUT, FAILED, FINE, INTERRUPTED, say
from bot.cli.output_files import CannotWrite, OutputFiles
from bot.cli.progress_bar import ProgressBar
from bot.cli.train import TRAIN, train
from bot.config import Config, ConfigError, read_config
from bot.engine_client.client import EngineClient
from bot.engine_client.pending_jobs import EngineUnavailable, Lost, Update
from bot.uploads.image_check import FIRST_FRAME, ReencoderPool
from bot.uploads.lora_folder import AdapterFolder
from commands.answers import Answer, CreateJob
from commands.blend import blend
from commands.context import Context
from commands.edit import edit
from commands.extend import extend
from commands.help import HELP, usage
from commands.imagine import imagine
from commands.registry import COMMANDS
from commands.syntax.parser import join_list, parse, shorten
from commands.syntax.picture_reference import PictureReference
from commands.syntax.prompt_weights import weights_hint
from commands.syntax.spec import Command, Option, Parameter, parameters
from commands.upscale import upscale
from engine.messages import (
    INCOMING,
    PRIVATE,
    Failed,
    InvalidRequest,
    JobId,
    JobRequest,
    Paint,
    Painted,
    Progress,
    Sha256,
)
from storage.files import Files

log = logging.getLogger(__name__)

PAINTERS: Mapping[str, Command[..., Awaitable[Answer]]] = MappingProxyType(
    {command.name: command for command in (imagine, edit, extend, upscale, blend)}
)
GOING_ON = [name for name in PAINTERS if name != imagine.name]
HERE = (
    f"{imagine.name} paints a picture, {join_list(GOING_ON)} start from some, {TRAIN.name} trains a LoRA and "
    f"{CAPTION.name} describes pictures."
)
SERVE = "serve: Serve the chats. This is what happens without a command, too."
INVITE = "discord-invite: Print the link that adds the bot to a Discord server."
MANIFEST = "slack-manifest: Print the manifest of the Slack app."
UNIT = "service: Print a systemd unit that starts the bot with the machine."
BACKUP = "backup: Copy all data into a folder, while the bot runs. restore: Put such a copy in place."


def main(words: Sequence[str]) -> int:
    """Run the command of this command line; returns the exit status."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    job = JobId(uuid4().hex[:8])
    try:
        return _run(job, words)
    except (InvalidRequest, ConfigError) as error:
        return say(str(error), BAD_INPUT)
    except (EngineUnavailable, CannotWrite) as error:
        return say(str(error), FAILED)
    except KeyboardInterrupt:
        return say("Stopped.", INTERRUPTED)
    except Exception:
        log.exception("Job %s failed", job)
        return say(f"Something went wrong with job {job}. The log has the details.", FAILED)


def _run(job: JobId, words: Sequence[str]) -> int:
    if not words or words[0] == "help" or not HELP.isdisjoint(words):
        print(_help(words))
        return FINE
    command, *rest = words
    if command == TRAIN.name:
        return train(job, rest)
    if command == CAPTION.name:
        return caption(job, rest)
    if command in PAINTERS:
        return _paint(job, PAINTERS[command], rest)
    raise InvalidRequest(_unknown_command(command))


def _help(words: Sequence[str]) -> str:
    """The options of the command that is named, else those of imagine and the other commands."""
    named = next((word for word in words if word != "help"), "")
    if named == TRAIN.name:
        return usage(TRAIN)
    if named in GOING_ON:
        return usage(PAINTERS[named], parameters(_terminal_options))
    own = (f"{TRAIN.name}: {TRAIN.help} Its options: {TRAIN.name} --help.", f"{CAPTION.name}: {CAPTION.help}")
    painters = (f"{name}: {PAINTERS[name].help} Its options: {name} --help." for name in GOING_ON)
    others = (*painters, *own, SERVE, INVITE, MANIFEST, UNIT, BACKUP)
    return "\n".join((usage(imagine, parameters(_terminal_options)), *others))


def _paint(job: JobId, command: Command[..., Awaitable[Answer]], words: Sequence[str]) -> int:
    own = parameters(_terminal_options)
    values = parse(words, (*map(_of_terminal, command.parameters), *own))
    output, config = _terminal_options(
        **{parameter.name: values.pop(parameter.name) for parameter in own if parameter.name in values}
    )
    ended = asyncio.run(_run_painter(job, command, values, config))
    match ended:
        case Painted():
            for path, picture in output.write(ended.pictures):
                print(f"{path}  seed {picture.seed}")
            print(f"Painted in {ended.seconds:.1f} s")
            return FINE
        case Failed():
            return say(ended.reason, BAD_INPUT if ended.expected else FAILED)
        case Lost():
            return say(ended.reason, FAILED)
        case _:
            return say("The picture was cancelled.", FAILED)


def _unknown_command(command: str) -> str:
    """Why a command does not run here: most need the people and the jobs of a chat."""
    name = command.removeprefix("/").lower()
    if name in COMMANDS:
        return f"{name} works in chats only. Here, {HERE}"
    return f"There is no command {shorten(command)!r}. Here, {HERE}"


def _terminal_options(
    *,
    out: Annotated[
        Path | None, Option("PNG file to write; atelier-SEED.png when left out", read=Path)
    ] = None,
    config: Annotated[Path | None, Option("Settings file instead of config.toml", read=Path)] = None,
) -> tuple[OutputFiles, Config]:
    """The options of a terminal alone, checked before anything starts."""
    output = OutputFiles(out)
    output.check()
    return output, read_config(config)


def _of_terminal(parameter: Parameter) -> Parameter:
    """The same of a picture, which is a file's path here."""
    if not parameter.takes_file:
        return parameter
    help = "A picture to start from: its file" if parameter.name == "image" else parameter.option.help
    return replace(parameter, type=Path | None, option=replace(parameter.option, help=help, read=Path))


async def _run_painter(
    job: JobId, command: Command[..., Awaitable[Answer]], values: Mapping[str, Any], config: Config
) -> Update | None:
    """Paint with an engine of our own; returns how the job ended. Raises InvalidRequest."""
    files = Files(Path(config.engine.files))
    library = AdapterFolder(config.adapters, files)
    context = Context(job=job, library=library, model=config.engine.model)
    kinds = {parameter.name: parameter.kind for parameter in command.parameters}
    sent: dict[str, PictureReference | Sha256 | None] = {}
    for name, value in values.items():
        if isinstance(value, Path):
            reference = await _send(files, value)
            sent[name] = reference if kinds[name] == "image" else reference.sha256
    answer = await command(context, **{**values, **sent})
    if not isinstance(answer, CreateJob):
        raise InvalidRequest(f"{command.name} needs more than this here. Try it in a chat.")
    request = answer.request
    _print_hints(answer)
    engine = EngineClient(config.engine)
    with ProgressBar() as bar:
        try:
            await engine.start()
            bar.show_painting()
            return await _run_request(engine, request, bar)
        finally:
            await engine.stop()


async def _send(files: Files, path: Path) -> PictureReference:
    """The picture in this file, checked and made anew in the store. Raises InvalidRequest."""
    if not await asyncio.to_thread(path.is_file):
        raise InvalidRequest(f"There is no picture {path}.")
    pool = ReencoderPool()
    files.folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    try:
        with TemporaryDirectory(prefix=INCOMING, dir=files.folder) as folder:
            image = await pool.reencode(path, Path(folder) / "picture")
            if image.animated:
                print(FIRST_FRAME, file=sys.stderr)
            return PictureReference(sha256=await files.put(image.path), size=(image.width, image.height))
    finally:
        await pool.close()


def _print_hints(answer: CreateJob) -> None:
    """Print what a recipe or a prompt may have meant otherwise."""
    hint = weights_hint(answer.request) if isinstance(answer.request, Paint) else ""
    for line in filter(None, (answer.text, hint)):
        print(line, file=sys.stderr)


async def _run_request(engine: EngineClient, request: JobRequest, bar: ProgressBar) -> Update | None:
    update: Update | None = None
    async with aclosing(engine.work(request)) as updates:
        async for update in updates:
            if isinstance(update, Progress):
                bar.advance(update)
    return update
