"""`python -m bot train maria pictures/`: a LoRA from a folder, with an engine of its own and no database."""

import asyncio
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from bot.cli.exit_status import BAD_INPUT, FAILED, FINE, INTERRUPTED, say
from bot.cli.output_files import PROBE, CannotWrite, aside, free
from bot.cli.progress_bar import Bar
from bot.config import Config, read_config
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
from commands.train import TRIGGERS, USUAL_PRESET, check_trigger, make_request, read_lora_name
from commands.train import train as in_a_chat
from commands.training_options import TrainingOptions
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
)
from storage.files import Files

PICTURE = ".png"  # what it paints lies beside the LoRA, under its name


@dataclass(frozen=True)
class Source:
    """What the LoRA will be called, and the folder that its pictures lie in."""

    name: str
    folder: Path


def source(text: str) -> Source:
    """A name and a folder as they stand in a command line. Raises InvalidRequest."""
    name, _, folder = text.strip().partition(" ")
    if not folder.strip():
        raise InvalidRequest("say a name and a folder of pictures, such as train maria pictures/.")
    return Source(read_lora_name(name), Path(folder.strip()).expanduser())


def _of_a_chat(parameter: Parameter) -> bool:
    """Whether the folder stands for it: the name, the pictures, the consent, the draft."""
    return parameter.spoken or parameter.option.needed or parameter.option.hidden


PARAMETERS = (
    Parameter(
        name="name_and_folder",
        type=Source,
        option=Option("what the LoRA will be called and the folder of its pictures", read=source),
        required=True,
        spoken=True,
    ),
    *(one for one in in_a_chat.parameters if not _of_a_chat(one)),
    Parameter(
        name="config",
        type=Path | None,
        option=Option("settings to read instead of config.toml", read=Path),
        required=False,
    ),
)


def train(job: JobId, words: Sequence[str]) -> int:
    """Do what these words say, and return the exit status. Raises what `bot.cli.imagine.main` answers."""
    values = parse(words, PARAMETERS)
    told: Source = values.pop("name_and_folder")
    config = read_config(values.pop("config", None))
    path = config.adapters / f"{told.name}{SUFFIX}"
    _check(path)
    with _scratch(config) as folder:
        return asyncio.run(_train(job, told, values, config, Files(folder), path))


TRAIN = Command(
    name="train",
    help="Teach a LoRA from a folder of pictures, with captions in text files beside them.",
    parameters=PARAMETERS,
    run=train,
)


async def _train(
    job: JobId, told: Source, values: Mapping[str, Any], config: Config, files: Files, path: Path
) -> int:
    with Bar() as bar:
        pictures = await _pictures(told.folder, files, bar)
        context = Context(
            job=job,
            library=AdapterFolder(config.adapters, files),
            small=config.engine.model == SMALL,
            largest_rank=config.training.largest_rank,
        )
        request = _request(context, told.name, pictures, values)
        engine = EngineClient(replace(config.engine, files=str(files.folder)))
        try:
            await engine.start()
            ended, saved = await _taught(engine, request, files, bar)
        finally:
            await engine.stop()
    match ended:
        case Trained():
            adapter = saved[ended.best].adapter
            assert adapter is not None
            kept = _keep(path, await files.get(adapter))
            print(f"{kept}  step {ended.best} of {ended.step}")
            if rows := _rows(ended, saved):
                sheet = await asyncio.to_thread(lambda: png(samples_sheet(rows, request.prompts)))
                print(f"{_keep(kept.with_suffix(PICTURE), sheet)}  what it paints")
            print(f"trained in {duration(ended.seconds)}; try: imagine {request.phrase!r} --lora {kept.stem}")
            return say(ended.note, FINE) if ended.note else FINE
        case Failed():
            return say(ended.reason, BAD_INPUT if ended.expected else FAILED)
        case Lost():
            return say(ended.reason, FAILED)
        case _:
            return say("stopped.", INTERRUPTED)


async def _pictures(folder: Path, files: Files, bar: Bar) -> tuple[Example, ...]:
    """The folder's pictures, made anew, in the store. Raises InvalidRequest when none can be read."""
    found = []
    async with ReencoderPool() as pool:
        async for one in check_folder(pool, folder, files.folder):
            if one.image is None:
                bar.say(f"{one.name} is left out: {one.reason}" if one.name else one.reason)
                continue
            sha256 = await files.put(one.image.path)
            found.append(Example(sha256=sha256, name=one.name, caption=one.caption))
    if not found:
        raise InvalidRequest(f"no picture in {folder} can be used.")
    return tuple(found)


def _request(context: Context, name: str, pictures: tuple[Example, ...], values: Mapping[str, Any]) -> Train:
    """What a chat's /train would file. Raises InvalidRequest."""
    options = dict(values)
    preset, subject = options.pop("preset", USUAL_PRESET), options.pop("subject", "")
    trigger, captions = options.pop("trigger", TRIGGERS[0]).strip().lower(), options.pop("captions", "")
    samples = options.pop("samples", "")
    check_trigger(trigger, subject, TRIGGERS[0])
    return make_request(
        context,
        name,
        pictures,
        preset=preset,
        trigger=trigger,
        subject=subject,
        captions=captions,
        samples=samples,
        options=cast("TrainingOptions", options),
        author="",
    )


async def _taught(
    engine: EngineClient, request: Train, files: Files, bar: Bar
) -> tuple[Update | None, dict[int, CheckpointSaved]]:
    """What ended the training, and its checkpoints by step, the untrained model's first."""
    async with aclosing(engine.work(Inspect(training=request))) as updates:
        report = await anext(updates)  # a look at the pictures has no news but its end
    if not isinstance(report, Inspected):
        return report, {}
    _tell(report, bar)
    return await _learned(engine, request, files, bar)


def _tell(report: Inspected, bar: Bar) -> None:
    """What is wrong with the pictures, and how long it will take. Raises InvalidRequest when none is left."""
    for note in report.notes:
        if note.problems:
            bar.say(f"{note.name}{'' if note.used else ' is left out'}: {' '.join(note.problems)}")
    if not any(note.used for note in report.notes):
        raise InvalidRequest(" ".join(report.problems))
    for problem in report.problems:
        bar.say(problem)
    used = sum(note.used for note in report.notes)
    bar.say(
        f"{pluralize(used, 'picture')}, {pluralize(report.steps, 'step')}, about {duration(report.seconds)}: "
        "Ctrl-C stops and keeps what was learned, a second one keeps nothing."
    )


async def _learned(
    engine: EngineClient, request: Train, files: Files, bar: Bar
) -> tuple[Update | None, dict[int, CheckpointSaved]]:
    saved: dict[int, CheckpointSaved] = {}
    update, state = None, None
    with _interruptible(engine, request.job, bar):
        async with aclosing(engine.work(request)) as updates:
            async for update in updates:
                match update:
                    case TrainingProgress():
                        bar.learn(update)
                    case CheckpointSaved():
                        saved[update.step] = update
                        if state is not None:
                            await files.remove(state)
                        state = update.state
    return update, saved


def _rows(ended: Trained, saved: Mapping[int, CheckpointSaved]) -> list[SampleRow]:
    """The untrained model's samples above those of the checkpoints that are worth a look."""
    shown = sorted({0, ended.best, *ended.candidates} & saved.keys())
    return [
        SampleRow(
            title=f"Step {step:,}" if step else "Untrained",
            about=("kept" if step == ended.best else "") if step else "without the LoRA",
            samples=saved[step].samples,
            chosen=step == ended.best,
        )
        for step in shown
        if saved[step].samples
    ]


@contextmanager
def _interruptible(engine: EngineClient, job: JobId, bar: Bar) -> Iterator[None]:
    """Ctrl-C lets the training end with what it has; a second one ends it with nothing."""

    def finish() -> None:
        bar.say("stopping; once more keeps nothing.")
        engine.finish(job)

    presses = iter((finish,))
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, lambda: next(presses, lambda: engine.cancel(job))())
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


@contextmanager
def _scratch(config: Config) -> Iterator[Path]:
    """A store for this training alone, on the disk of the bot's: pictures and states are gone afterwards."""
    beside = Path(config.engine.files).parent
    try:
        beside.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix="training-", dir=beside)
    except OSError as error:
        raise CannotWrite(f"{beside} cannot be written: {error.strerror}.") from error
    with folder as name:
        yield Path(name)


def _check(path: Path) -> None:
    """Raise InvalidRequest with one sentence when no LoRA could be kept there."""
    if path.exists():
        raise InvalidRequest(f"there is a LoRA {path.stem} already, at {path}: choose another name.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside(path, PROBE):
            pass
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be written: {error.strerror}.") from error


def _keep(path: Path, content: bytes) -> Path:
    """Write the file, whole or not at all, beside any that came to be meanwhile. Raises CannotWrite."""
    kept = free(path)
    try:
        with aside(kept, content) as whole:
            whole.replace(kept)
    except OSError as error:
        raise CannotWrite(f"{kept} could not be written: {error.strerror}.") from error
    return kept
