"""`python -m bot train maria pictures/`: trains a LoRA in a terminal, with an engine of its own."""

import asyncio
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from bot.cli.exit_status import BAD_INPUT, FAILED, FINE, INTERRUPTED, say
from bot.cli.output_files import PROBE, CannotWrite, free_path, write_beside
from bot.cli.progress_bar import ProgressBar
from bot.config import Config, read_config
from bot.dispatch.manifests import store_manifest
from bot.engine_client.client import EngineClient
from bot.engine_client.pending_jobs import Lost, Update
from bot.images.encode import png
from bot.images.samples import SampleRow, samples_sheet
from bot.uploads.archive import check_folder
from bot.uploads.image_check import ReencoderPool
from bot.uploads.lora_folder import SUFFIX, AdapterFolder
from commands.context import Context
from commands.presets import SMALL
from commands.syntax.numbers import duration, pluralize
from commands.syntax.parser import parse
from commands.syntax.spec import Command, Option, Parameter
from commands.train import (
    TRIGGERS,
    USUAL_PRESET,
    check_trigger,
    find_start,
    make_request,
    read_lora_name,
    start_words,
)
from commands.train import train as chat_command
from commands.training_options import TrainingOptions, parameters_text
from engine.messages import (
    CheckpointSaved,
    Example,
    Failed,
    Inspect,
    Inspected,
    InvalidRequest,
    JobId,
    Train,
    Trained,
    TrainingProgress,
    pair_masks,
    sweep_shards,
)
from storage.files import Files

SAID_EVERY = 1000  # pictures
PICTURE = ".png"  # the samples are beside the LoRA, under its name


@dataclass(frozen=True)
class Source:
    """The name of the LoRA, and the folder of its pictures."""

    name: str
    folder: Path


def read_source(text: str) -> Source:
    """Read a name and a folder from a command line. Raises InvalidRequest."""
    name, _, folder = text.strip().partition(" ")
    if not folder.strip():
        raise InvalidRequest("Give a name and a folder of pictures, such as train maria pictures/.")
    return Source(read_lora_name(name), Path(folder.strip()).expanduser())


def _is_chat_only(parameter: Parameter) -> bool:
    """Whether a parameter is for chats: the name, the pictures, the consent, the draft."""
    return parameter.spoken or parameter.option.needed or parameter.option.hidden


CONFIG = Parameter(
    name="config",
    type=Path | None,
    option=Option("Settings file instead of config.toml", read=Path),
    required=False,
)
PARAMETERS = (
    Parameter(
        name="name_and_folder",
        type=Source,
        option=Option("The name of the LoRA, and its pictures in a folder, zip or Parquet", read=read_source),
        required=True,
        spoken=True,
    ),
    *(parameter for parameter in chat_command.parameters if not _is_chat_only(parameter)),
    CONFIG,
)


def train(job: JobId, words: Sequence[str]) -> int:
    """Train as this command line says; the exit status. Raises what `bot.cli.imagine.main` catches."""
    values = parse(words, PARAMETERS)
    source: Source = values.pop("name_and_folder")
    config = read_config(values.pop("config", None))
    path = config.adapters / f"{source.name}{SUFFIX}"
    _check(path)
    sweep_shards(config.engine.shards_folder)
    with temporary_store(config) as folder:
        return asyncio.run(_train(job, source, values, config, Files(folder), path))


TRAIN = Command(
    name="train",
    help="Train a LoRA from a folder of pictures, with captions in text files beside them.",
    parameters=PARAMETERS,
    run=train,
)


async def _train(
    job: JobId, source: Source, values: Mapping[str, Any], config: Config, files: Files, path: Path
) -> int:
    with ProgressBar() as bar:
        pictures = await read_pictures(source.folder, files, bar)
        context = Context(
            job=job,
            manifest=await store_manifest(files, pictures),
            library=AdapterFolder(config.adapters, files),
            small=config.engine.model == SMALL,
            largest_rank=config.training.largest_rank,
        )
        request = await _request(context, source.name, pictures, values)
        engine = EngineClient(
            replace(config.engine, files=str(files.folder), shards=str(config.engine.shards_folder))
        )
        try:
            await engine.start()
            ended, saved = await _inspect_and_train(engine, request, files, bar)
        finally:
            await engine.stop()
    match ended:
        case Trained():
            adapter = saved[ended.best].adapter
            assert adapter is not None
            lora = _write_new(path, await files.get(adapter))
            print(f"{lora}  step {ended.best} of {ended.step}")
            if rows := _rows(ended, saved):
                sheet = await asyncio.to_thread(lambda: png(samples_sheet(rows, request.prompts)))
                print(f"{_write_new(lora.with_suffix(PICTURE), sheet)}  what it paints")
            print(f"Trained in {duration(ended.seconds)}. Try imagine {request.phrase!r} --lora {lora.stem}")
            return say(ended.note, FINE) if ended.note else FINE
        case Failed():
            return say(ended.reason, BAD_INPUT if ended.expected else FAILED)
        case Lost():
            return say(ended.reason, FAILED)
        case _:
            return say("Stopped.", INTERRUPTED)


async def read_pictures(folder: Path, files: Files, bar: ProgressBar) -> tuple[Example, ...]:
    """Re-encode the folder's pictures into the store. Raises InvalidRequest when none can be read."""
    examples: list[Example] = []
    async with ReencoderPool() as pool:
        async for picture in check_folder(pool, folder, files.folder):
            if picture.image is None:
                bar.say(f"{picture.name} is left out: {picture.reason}" if picture.name else picture.reason)
                continue
            sha256 = await files.put(picture.image.path)
            if len(examples) % SAID_EVERY == SAID_EVERY - 1:
                bar.say(f"{len(examples) + 1:,} pictures are read.")
            examples.append(
                Example(
                    sha256=sha256,
                    name=picture.name,
                    caption=picture.caption,
                    repeats=picture.repeats,
                    concept=picture.concept,
                    regularization=picture.regularization,
                )
            )
    if not examples:
        raise InvalidRequest(f"No picture in {folder} can be used.")
    return pair_masks(examples)


async def _request(
    context: Context, name: str, pictures: tuple[Example, ...], values: Mapping[str, Any]
) -> Train:
    """The request that a chat's /train would make. Raises InvalidRequest."""
    options = dict(values)
    preset, subject = options.pop("preset", USUAL_PRESET), options.pop("subject", "")
    trigger, captions = options.pop("trigger", "").strip().lower(), options.pop("captions", "")
    samples, pattern = options.pop("samples", ""), options.pop("pattern", "")
    start = await find_start(context, options.pop("from_lora", None))
    trigger, subject = start_words(start, trigger, subject)
    trigger = trigger or TRIGGERS[0]
    if start is None:
        check_trigger(trigger, subject, TRIGGERS[0])
    return make_request(
        context,
        name,
        pictures,
        preset=preset,
        trigger=trigger,
        subject=subject,
        pattern=pattern,
        captions=captions,
        samples=samples,
        options=cast("TrainingOptions", options),
        author="",
        start=start,
    )


async def inspect(engine: EngineClient, training: Train, bar: ProgressBar) -> Update | None:
    """Have the pictures of a training inspected, and show how far that is; how it ended."""
    update: Update | None = None
    async with aclosing(engine.work(Inspect(training=training))) as updates:
        async for update in updates:
            if isinstance(update, TrainingProgress):
                bar.advance_training(update)
    return update


async def _inspect_and_train(
    engine: EngineClient, request: Train, files: Files, bar: ProgressBar
) -> tuple[Update | None, dict[int, CheckpointSaved]]:
    """Inspect the pictures and train; how that ended, and the checkpoints by step."""
    report = await inspect(engine, request, bar)
    if not isinstance(report, Inspected):
        return report, {}
    _show_report(report, bar)
    return await _run_training(engine, request, files, bar)


def _show_report(report: Inspected, bar: ProgressBar) -> None:
    """Show what is wrong with the pictures, and the estimate. Raises InvalidRequest if none is left."""
    for note in report.notes:
        if note.problems:
            bar.say(f"{note.name}{'' if note.used else ' is left out'}: {' '.join(note.problems)}")
    used = sum(note.used for note in report.notes) if report.used is None else report.used
    if not used:
        raise InvalidRequest(" ".join(report.problems))
    for problem in report.problems:
        bar.say(problem)
    learned = f", {parameters_text(report.parameters)}" if report.parameters else ""
    bar.say(
        f"{pluralize(used, 'picture')}, {pluralize(report.steps, 'step')}, about {duration(report.seconds)}"
        f"{learned}. "
        "Ctrl-C stops and keeps what was learned. A second one keeps nothing."
    )


async def _run_training(
    engine: EngineClient, request: Train, files: Files, bar: ProgressBar
) -> tuple[Update | None, dict[int, CheckpointSaved]]:
    saved: dict[int, CheckpointSaved] = {}
    update, state = None, None
    with _interruptible(engine, request.job, bar):
        async with aclosing(engine.work(request)) as updates:
            async for update in updates:
                match update:
                    case TrainingProgress():
                        bar.advance_training(update)
                    case CheckpointSaved():
                        saved[update.step] = update
                        if state is not None:
                            await files.remove(state)
                        state = update.state
    return update, saved


def _rows(ended: Trained, saved: Mapping[int, CheckpointSaved]) -> list[SampleRow]:
    """The samples of the untrained model, and of the checkpoints to choose from."""
    shown = sorted({0, ended.best, *ended.candidates} & saved.keys())
    return [
        SampleRow(
            title=f"Step {step:,}" if step else "Untrained",
            about=("Kept" if step == ended.best else "") if step else "Without the LoRA",
            samples=saved[step].samples,
            chosen=step == ended.best,
        )
        for step in shown
        if saved[step].samples
    ]


@contextmanager
def _interruptible(engine: EngineClient, job: JobId, bar: ProgressBar) -> Iterator[None]:
    """Ctrl-C ends the training with what it has, a second one with nothing."""

    def finish() -> None:
        bar.say("Stopping. Ctrl-C once more keeps nothing.")
        engine.finish(job)

    presses = iter((finish,))
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, lambda: next(presses, lambda: engine.cancel(job))())
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


@contextmanager
def temporary_store(config: Config) -> Iterator[Path]:
    """A temporary store for this training, on the disk of the bot's store."""
    beside = Path(config.engine.files).parent
    try:
        beside.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix="training-", dir=beside)
    except OSError as error:
        raise CannotWrite(f"{beside} cannot be written: {error.strerror}.") from error
    with folder as name:
        yield Path(name)


def _check(path: Path) -> None:
    """Raise InvalidRequest with one sentence when no LoRA could be written there."""
    if path.exists():
        raise InvalidRequest(f"There is a LoRA {path.stem} already, at {path}. Choose another name.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_beside(path, PROBE):
            pass
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be written: {error.strerror}.") from error


def _write_new(path: Path, content: bytes) -> Path:
    """Write the file whole, under another name if this one exists by now. Raises CannotWrite."""
    free = free_path(path)
    try:
        with write_beside(free, content) as whole:
            whole.replace(free)
    except OSError as error:
        raise CannotWrite(f"{free} could not be written: {error.strerror}.") from error
    return free
