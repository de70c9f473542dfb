"""The tables of docs/measurements.md, in parts, measured on this machine in one run.

On a CPU the model that ships is measured at its own size; on a GPU also SDXL at full size with random weights
at 512, 768 and 1024, eager and compiled. Each part imports what it measures, so that a machine that has only
the engine can run the engine's.
"""

import argparse
import logging
import warnings
from collections.abc import Callable, Iterator
from functools import cache, partial

import diffusers
import torch
import transformers

from bench.measuring import where
from engine.messages import EngineSettings
from engine.sdxl.model import Model, load_model, prepare_pipeline

SIDES = (1024, 512, 768)
FEW = 3  # rounds: a GPU's forwards differ little
PARTS = (
    "demo",
    "peers",
    "arrivals",
    "parts",
    "fast",
    "quality",
    "captions",
    "editing",
    "enlarging",
    "provenance",
    "storage",
    "chat",
    "training",
    "datasets",
    "small-cards",
    "full-size",
    "structure",
)

Table = tuple[str, Callable[[], str]]


def demo() -> Iterator[Table]:
    """What the model that ships costs, at its own size."""
    from bench import cpu_runtimes, forward, painting, rounding, start

    settings = EngineSettings(model="demo")
    yield (
        "The engine against diffusers' pipeline",
        lambda: painting.measure(load_model(settings), settings, [128]),
    )
    yield "Rounding of merged LoRAs", rounding.measure
    yield "Forwards on a CPU, by what runs them", lambda: cpu_runtimes.forwards(load_model(settings))
    yield "Pictures on a CPU, by what runs them", lambda: cpu_runtimes.pictures(settings, 128)
    yield "What eight people wait", lambda: painting.waiting(load_model(settings), settings, [128, 256])
    yield "One UNet forward", lambda: forward.measure(load_model(settings), [128])
    yield "Start of the engine", lambda: start.measure(settings)


def editing() -> Iterator[Table]:
    """How well pictures are edited."""
    from bench import editing

    yield "Things found by words", editing.words
    yield "Parts painted anew", editing.parts
    yield "New edges", editing.edges
    yield "Details", editing.details


def datasets() -> Iterator[Table]:
    """What large data sets take."""
    from bench import datasets

    yield "10,000 pictures of 128x128", lambda: datasets.measure(10_000, 128)
    yield "40,000 rows of Parquet, of 64x64", lambda: datasets.measure(40_000, 64)


def peers() -> Iterator[Table]:
    """The engine against its peers, without and with LoRAs."""
    from bench import mixes
    from bench.serving import turns

    settings = EngineSettings(model="demo")
    yield "The engine against its peers, with and without LoRAs", lambda: mixes.measure(settings, 128)
    yield "A switch of LoRAs", lambda: mixes.switches(settings)
    yield "Turns of different LoRAs", lambda: turns.measure(settings, 128)


def arrivals() -> Iterator[Table]:
    """What people wait who come one by one."""
    from bench.serving import arrivals

    yield "People who come one by one", lambda: arrivals.measure(EngineSettings(model="demo"), 128)


def picture_parts() -> Iterator[Table]:
    """What a picture costs beside its steps."""
    from bench.serving import picture_parts

    yield (
        "Words, decode and PNG",
        lambda: picture_parts.measure(load_model(EngineSettings(model="demo")), [128, 512]),
    )


def fast() -> Iterator[Table]:
    """What --fast saves, and what it costs."""
    from bench.serving import fast

    yield "Fast steps", lambda: fast.measure(EngineSettings(model="demo"), 128)


def full_size() -> Iterator[Table]:
    """What SDXL costs at its full size on this GPU, with random weights in bfloat16."""
    for compiled in (False, True):
        how = f"SDXL at full size, {'compiled' if compiled else 'eager'}"
        settings = EngineSettings(model="full size", compile=compiled)
        model = cache(random_model)
        if not compiled:
            yield f"Trainings at 1024x1024 ({how})", partial(_training, model)
        for side in SIDES:
            title = f"The engine against diffusers' pipeline ({how}, {side}x{side})"
            yield title, partial(_painting, model, settings, side)
            yield f"What eight people wait ({how}, {side}x{side})", partial(_waiting, model, settings, side)
        if not compiled:
            yield f"One UNet forward ({how})", partial(_forward, model)


def _painting(model: Callable[[], Model], settings: EngineSettings, side: int) -> str:
    from bench import painting

    return painting.measure(model(), settings, [side], quick=True)


def _waiting(model: Callable[[], Model], settings: EngineSettings, side: int) -> str:
    from bench import painting

    return painting.waiting(model(), settings, [side], rounds=1)


def _training(model: Callable[[], Model]) -> str:
    from bench import training

    return training.full_size(model())


def _forward(model: Callable[[], Model]) -> str:
    from bench import forward

    return forward.measure(model(), SIDES, rounds=FEW)


def lessons() -> Iterator[Table]:
    """What it costs to teach the model that ships, and the people who paint meanwhile."""
    from bench import learning, training, training_step

    yield "One step of a training, latents ready", lambda: training_step.against_cached(128)
    yield (
        "Trainings of the model that ships",
        lambda: training.measure(lambda: load_model(EngineSettings(model="demo")), 128),
    )
    yield "What eight pictures teach it", lambda: learning.measure(load_model(EngineSettings(model="demo")))


def small_cards() -> Iterator[Table]:
    """What weights in few bits save and cost, on a CPU."""
    from bench import small_cards

    yield "Weights in few bits: the demo model's pictures", small_cards.quality
    yield "Weights in few bits: the memory of SDXL at full size", small_cards.memory


def random_model() -> Model:
    """SDXL at full size on the GPU."""
    from bench.full_size import full_size_pipelines

    torch.cuda.empty_cache()  # the last table's model is gone by now
    device = torch.device("cuda")
    base, refiner = full_size_pipelines(torch.bfloat16, "cuda")
    for pipeline in (base, refiner):
        prepare_pipeline(pipeline, device)
    return Model(name="full size", base=base, refiner=refiner, device=device, precision=torch.bfloat16)


def print_tables() -> None:
    """Print the parts that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", choices=PARTS, help="one part instead of all that this machine can measure")
    asked = parser.parse_args().only
    parts = [asked] if asked else [part for part in PARTS if part != "full-size" or torch.cuda.is_available()]
    quiet()
    print(f"{where()}\n")
    for part in parts:
        for title, measure in TABLES[part]():
            print(f"### {title}\n\n{measure()}\n", flush=True)


def quality() -> Iterator[Table]:
    """What the model that ships can draw."""
    from bench import demo_model, samplers

    yield "What the model that ships can draw", demo_model.measure
    yield "What it draws in few steps", samplers.measure


def descriptions() -> Iterator[Table]:
    """What the captioner of the model that ships says of pictures."""
    from bench import captions

    yield "What its captioner names right", captions.measure


def enlarged() -> Iterator[Table]:
    """What enlarging pictures gains and costs."""
    from bench import enlarging

    yield "Enlarged by the shipped network: held-out drawings", enlarging.quality
    yield "Painted small and finished large: the demo model's pictures", enlarging.hires
    yield "Enlarged and refined in tiles: the demo model's pictures", enlarging.refined
    yield "Enlarged by a full-size Real-ESRGAN, in tiles", enlarging.memory


def marks() -> Iterator[Table]:
    """How sure marks are, and what they cost."""
    from bench import provenance

    yield "Watermarks read after what chats do to pictures", provenance.found_again
    yield "Watermarks read from pictures of others", provenance.read_elsewhere
    yield "What marks cost", provenance.cost


def database() -> Iterator[Table]:
    """What the database costs."""
    from bench import storage

    yield "The database", storage.measure


def people() -> Iterator[Table]:
    """How soon the bot answers people, and what it costs."""
    from bench import chat

    yield "The bot, through the page's websocket", chat.measure
    yield "The same beside a million jobs", chat.measure_beside_jobs


def tree() -> Iterator[Table]:
    """How this tree of files is built."""
    from bench import slack_path, structure

    yield "The structure of the tree", structure.measure
    yield "From Slack's /imagine to its row", slack_path.measure


def quiet() -> None:
    """Tables only: no progress bars, and no warnings about what is done here on purpose."""
    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()
        library.utils.logging.set_verbosity_error()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")


TABLES: dict[str, Callable[[], Iterator[Table]]] = {
    "demo": demo,
    "datasets": datasets,
    "peers": peers,
    "arrivals": arrivals,
    "parts": picture_parts,
    "fast": fast,
    "quality": quality,
    "captions": descriptions,
    "editing": editing,
    "enlarging": enlarged,
    "provenance": marks,
    "storage": database,
    "chat": people,
    "training": lessons,
    "small-cards": small_cards,
    "full-size": full_size,
    "structure": tree,
}
