"""`make bench`: every table of docs/measurements.md, on this machine, in one run.

On a CPU the model that ships is measured at its own size; on a GPU also SDXL at full size with random weights
at 512, 768 and 1024, eager and compiled.
"""

import argparse

import torch

from bench import demo_model, forward, painting, start
from bench.full_size import full_size_pipelines
from bench.measuring import where
from engine.messages import EngineSettings
from engine.model import Model, load_model, settle

SIDES = (512, 768, 1024)


def demo(settings: EngineSettings) -> None:
    """The tables of the model that ships."""
    print("### The engine against diffusers' pipeline (model that ships)\n")
    print(painting.measure(load_model(settings), settings, [128]), end="\n\n")
    print("### One UNet forward (model that ships)\n")
    print(forward.measure(load_model(settings), [128]), end="\n\n")
    print("### Start\n")
    print(start.measure(settings), end="\n\n")


def full_size(settings: EngineSettings, *, compiled: bool) -> None:
    """The tables of SDXL's full size on a GPU."""
    how = "compiled" if compiled else "eager"
    for title, measure in (
        ("The engine against diffusers' pipeline", "painting"),
        ("One UNet forward", "forward"),
    ):
        base, refiner = full_size_pipelines(torch.bfloat16, "cuda")
        for pipeline in (base, refiner):
            settle(pipeline, torch.device("cuda"), compiled=compiled)
        model = Model(
            name="full size",
            base=base,
            refiner=refiner,
            device=torch.device("cuda"),
            precision=torch.bfloat16,
        )
        print(f"### {title} (SDXL at full size, random weights, bfloat16, {how})\n")
        if measure == "painting":
            print(painting.measure(model, settings, SIDES), end="\n\n")
        else:
            print(forward.measure(model, SIDES), end="\n\n")
        del base, refiner, model
        torch.cuda.empty_cache()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", choices=["demo", "quality", "full-size"], help="one part instead of all")
    only = parser.parse_args().only
    settings = EngineSettings(model="demo")
    print(f"{where()}\n")
    if only in (None, "demo"):
        demo(settings)
    if only in (None, "quality"):
        print("### What the model that ships can draw\n")
        demo_model.main()
    if only == "full-size" or (only is None and torch.cuda.is_available()):
        for compiled in (False, True):
            full_size(settings, compiled=compiled)


if __name__ == "__main__":
    main()
