"""`python -m bot caption pictures/`: describes the pictures of a folder in text files beside them."""

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bot.cli.exit_status import BAD_INPUT, FAILED, FINE, say
from bot.cli.output_files import CannotWrite
from bot.cli.progress_bar import ProgressBar
from bot.cli.train import CONFIG, inspect, temporary_store
from bot.config import Config, read_config
from bot.engine_client.client import EngineClient
from bot.uploads.archive import read_folder
from bot.uploads.captions import ENDINGS
from bot.uploads.file_bundle import BundleEntry
from bot.uploads.image_check import ReencoderPool
from commands.syntax.numbers import pluralize
from commands.syntax.parser import parse
from commands.syntax.spec import Command, Option, Parameter
from commands.train import TRIGGERS
from engine.messages import (
    INCOMING,
    Example,
    Failed,
    Inspected,
    InvalidRequest,
    JobId,
    Sha256,
    Train,
    TrainingSettings,
)
from storage.files import Files


def read_path(text: str) -> Path:
    """Read the name of a folder. Raises InvalidRequest."""
    if not text.strip():
        raise InvalidRequest("Give a folder of pictures, such as caption pictures/.")
    return Path(text.strip()).expanduser()


PARAMETERS = (
    Parameter(
        name="folder",
        type=Path,
        option=Option("The folder of the pictures", read=read_path),
        required=True,
        spoken=True,
    ),
    CONFIG,
)


def caption(job: JobId, words: Sequence[str]) -> int:
    """Describe the pictures; the exit status. Raises what `bot.cli.imagine.main` catches."""
    values = parse(words, PARAMETERS)
    config = read_config(values.pop("config", None))
    with temporary_store(config) as store:
        return asyncio.run(_caption(job, values["folder"], config, Files(store)))


CAPTION = Command(
    name="caption",
    help="Describe the pictures of a folder in text files beside them, to change and to train with.",
    parameters=PARAMETERS,
    run=caption,
)


async def _caption(job: JobId, folder: Path, config: Config, files: Files) -> int:
    with ProgressBar() as bar:
        bare = await _read_bare(folder, files, bar)
        if not bare:
            return say("Every picture there has a caption already.", FINE)
        engine = EngineClient(replace(config.engine, files=str(files.folder)))
        try:
            await engine.start()
            ended = await _describe(engine, job, bare, bar)
        finally:
            await engine.stop()
    if isinstance(ended, Failed):
        return say(ended.reason, BAD_INPUT if ended.expected else FAILED)
    if not isinstance(ended, Inspected):
        return say("The engine died meanwhile. Run the command again.", FAILED)
    for problem in ended.problems[1:]:  # the first is how many suit a training
        bar.say(problem)
    captions = dict(zip(bare.values(), ended.captions, strict=True))
    written = [_write_beside(path, text) for path, text in captions.items() if text]
    print(f"{pluralize(len(written), 'caption')} written beside the pictures in {folder}")
    return FINE


async def _read_bare(folder: Path, files: Files, bar: ProgressBar) -> Mapping[Sha256, Path]:
    """The pictures without a caption, by their hashes in the store. Raises InvalidRequest, OSError."""
    bare: dict[Sha256, Path] = {}
    async with ReencoderPool() as pool:
        for entry in await asyncio.to_thread(lambda: list(read_folder(folder))):
            if entry.picture is None:
                bar.say(f"{entry.name}: {entry.reason}" if entry.name else entry.reason)
            elif not entry.caption:
                await _add_bare(pool, (folder / entry.picture.path).absolute(), entry, files, bare, bar)
    return bare


async def _add_bare(
    pool: ReencoderPool,
    path: Path,
    entry: BundleEntry,
    files: Files,
    bare: dict[Sha256, Path],
    bar: ProgressBar,
) -> None:
    """Re-encode a picture into the store, unless its file says what is in it."""
    with tempfile.NamedTemporaryFile(prefix=INCOMING, dir=files.folder) as made:
        try:
            image = await pool.reencode(path, Path(made.name))
        except InvalidRequest as refusal:
            bar.say(f"{entry.name} is left out: {refusal}")
            return
        if not image.caption:
            bare.setdefault(await files.put(image.path), path)


async def _describe(
    engine: EngineClient, job: JobId, bare: Mapping[Sha256, Path], bar: ProgressBar
) -> object:
    """How their inspection ended."""
    training = Train(
        job=job,
        name="captions",
        trigger=TRIGGERS[0],
        examples=tuple(Example(sha256=sha256, name=path.name) for sha256, path in bare.items()),
        settings=TrainingSettings(),
        describe=True,
    )
    return await inspect(engine, training, bar)


def _write_beside(picture: Path, text: str) -> Path:
    """Write the caption of a picture. Raises CannotWrite."""
    path = picture.with_suffix(ENDINGS[0])
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(f"{text}\n")
    except OSError as error:
        raise CannotWrite(f"{path} could not be written: {error.strerror}.") from error
    return path
