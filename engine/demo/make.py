"""The recipe of the model that ships: `python -m engine.demo.make [stage ...]`.

The stages, in order, each from what the ones before left in the work folder:

1. `vae`: the autoencoder, on small cuts of drawings first and on whole ones at the end.
2. `words`: both text encoders learn to tell from a caption alone what stands where.
3. `base`: a pool of encoded drawings, then the UNet; ships `base/` as it goes.
4. `longer`: the base that ships, trained on.
5. `decoder`: the decoder of the autoencoder that ships, trained on with things weighted up; latents stay.
6. `refiner`: a UNet for the last fifth of the noise, on the second text encoder alone; ships `refiner/`.
7. `clip`: a small CLIP, trained to tell which caption belongs to which drawing; ships `clip/`.

Without arguments all run. A stage that was interrupted goes on from its checkpoint; a finished one is not run
again. Everything is seeded; losses and speeds are logged. `bench/demo_model.py` measures what came out.
On a GPU (`--device cuda`), `longer` and `refiner` have plans of their own, of larger steps, and take minutes.
What ships: the base was trained on by `longer` on a GPU, from weights that two cores had made in 18,100 steps
of 64; all else is from two cores. docs/measurements.md tells how.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
from diffusers import AutoencoderKL
from torch import Tensor
from torch.multiprocessing.spawn import start_processes

from engine.demo.base import Base, base_loss
from engine.demo.clip import clip_loss, new_clip, new_image_processor, right_among
from engine.demo.export import ship_base, ship_clip, ship_refiner, ship_vae, shipped_base
from engine.demo.latents import Bucket, pool_at
from engine.demo.latents import make_pool as make_pool_of
from engine.demo.refiner import milder, new_refiner, refiner_loss
from engine.demo.text import TextEncoders
from engine.demo.text_training import Reader, reading_loss
from engine.demo.tokenizer import MergeLoras, learn_merges, new_tokenizer
from engine.demo.training_loop import Plan, Run, fit, worker
from engine.demo.vae import decoder_loss, fidelity, new_vae, unseen_pictures, vae_loss

LINE = "%(asctime)s %(message)s"
log = logging.getLogger("engine.demo.make")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Where to work, where to ship, and how much of everything."""

    work: Path
    ship: Path = Path(__file__).parent
    vae: Plan = field(default_factory=lambda: Plan(steps=4250, batch=16, rate=2e-3, warmup=100, decay=0.998))
    whole_from: int = 3900
    pool: int = 100_000
    words: Plan = field(
        default_factory=lambda: Plan(steps=1500, batch=64, rate=1.5e-3, warmup=50, decay=0.99)
    )
    base: Plan = field(
        default_factory=lambda: Plan(
            steps=10_500, batch=64, rate=1.5e-3, warmup=300, decay=0.998, save_every=250
        )
    )
    longer: Plan = field(
        default_factory=lambda: Plan(
            steps=4300, batch=64, rate=1e-3, warmup=200, decay=0.998, seed=1, save_every=250
        )
    )
    decoder: Plan = field(
        default_factory=lambda: Plan(
            steps=3750, batch=8, rate=1.2e-3, warmup=100, decay=0.995, seed=5, save_every=250
        )
    )
    refiner: Plan = field(
        default_factory=lambda: Plan(steps=1950, batch=32, rate=6e-4, warmup=100, decay=0.997, save_every=250)
    )
    clip: Plan = field(
        default_factory=lambda: Plan(
            steps=1300, batch=128, rate=1.5e-3, warmup=150, decay=0.99, save_every=250
        )
    )
    ship_every: int = 1000
    workers: int = 2
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def merges(self) -> list[MergeLoras]:
        """The tokenizers' merges."""
        return learn_merges(self.base.seed)


def make_vae(recipe: Recipe) -> AutoencoderKL:
    """The trained autoencoder, scaled so that the latents of drawings have a standard deviation of one."""
    torch.manual_seed(recipe.vae.seed)
    vae = new_vae()
    vae.to(memory_format=torch.channels_last)
    run = Run(vae, recipe.vae, recipe.work / "vae.pt")
    for step in fit(run, vae_loss(vae, recipe.vae, lambda step: 64 if step < recipe.whole_from else 128)):
        if step == recipe.vae.steps:
            with run.averaged():
                log.info("%.2f dB on drawings it never saw", fidelity(vae, unseen_pictures(100)))
    run.use_average()
    return vae.eval()


def for_gpu(recipe: Recipe) -> Recipe:
    """The same with plans that fill a GPU, and a process for each core to draw for it."""
    return replace(
        recipe,
        device=torch.device("cuda"),
        workers=os.cpu_count() or 2,
        pool=200_000,
        longer=replace(recipe.longer, steps=6000, batch=1024, rate=2e-3, warmup=300),
        refiner=replace(recipe.refiner, steps=4000, batch=512, rate=1e-3, decay=0.998),
        ship_every=5000,
    )


def make_pool(recipe: Recipe, vae: AutoencoderKL, text: TextEncoders) -> list[Bucket]:
    """The training latents; sets the autoencoder's scaling factor from them."""
    pool = a_pool(recipe, vae, text, recipe.work / "pool.pt", count=recipe.pool, seed=recipe.base.seed)
    vae.register_to_config(scaling_factor=scaling_of(pool[0].latents))
    return pool


def a_pool(
    recipe: Recipe,
    vae: AutoencoderKL,
    text: TextEncoders,
    path: Path,
    *,
    count: int,
    seed: int,
    blurred: float = 0.0,
) -> list[Bucket]:
    """So many encoded drawings on the recipe's device."""
    vae.to(recipe.device)
    workers = recipe.workers if worker()[1] == 1 else 1
    make = partial(make_pool_of, vae, text.tokenizers[0], count, seed, blurred=blurred, workers=workers)
    return [bucket.to(recipe.device) for bucket in pool_at(path, make)]


def scaling_of(latents: Tensor) -> float:
    """What brings the latents to a standard deviation of one."""
    return round(1 / float(latents.float().std()), 5)


def make_words(recipe: Recipe) -> TextEncoders:
    """Text encoders that can read."""
    torch.manual_seed(recipe.words.seed)
    reader = Reader(TextEncoders(recipe.merges()))
    run = Run(reader, recipe.words, recipe.work / "words.pt")
    for _ in fit(run, reading_loss(reader, recipe.words)):
        pass
    run.use_average()
    return reader.text


def make_base(recipe: Recipe) -> None:
    """The base model; ships it on the way and at the end."""
    make_pool(recipe, make_vae(recipe), make_words(recipe))
    together(train_base, recipe)


def make_longer(recipe: Recipe) -> None:
    """The base that ships, trained on; ships it on the way and at the end."""
    vae, base = shipped_base(recipe.ship / "base", recipe.merges())
    make_pool(recipe, vae, base.text)
    together(train_longer, recipe)


def together(train: Callable[[Recipe], object], recipe: Recipe) -> None:
    """Run a training in several processes of one thread each, which on a CPU beats one of several threads."""
    if recipe.workers == 1 or recipe.device.type == "cuda":
        train(recipe)
        return
    meeting = recipe.work / "meeting"
    meeting.unlink(missing_ok=True)
    arguments = (train, recipe, meeting.resolve())
    start_processes(_work, arguments, nprocs=recipe.workers)  # type: ignore[no-untyped-call]


def _work(number: int, train: Callable[[Recipe], object], recipe: Recipe, meeting: Path) -> None:
    logging.basicConfig(level=logging.INFO if number == 0 else logging.WARNING, format=LINE)
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=number, world_size=recipe.workers)
    train(recipe)
    dist.destroy_process_group()


def train_base(recipe: Recipe) -> None:
    """One worker's part of the base's training, from encoders that can read and a UNet that knows nothing."""
    vae, text = make_vae(recipe), make_words(recipe)
    torch.manual_seed(recipe.base.seed)
    train(recipe, vae, Base(text), recipe.base, "base.pt")


def train_longer(recipe: Recipe) -> None:
    """One worker's part of training on what ships."""
    vae, base = shipped_base(recipe.ship / "base", recipe.merges())
    train(recipe, vae, base, recipe.longer, "longer.pt")


def train(recipe: Recipe, vae: AutoencoderKL, base: Base, plan: Plan, checkpoint: str) -> None:
    """Train a base by a plan; the first worker ships."""
    pool = make_pool(recipe, vae, base.text)
    base.to(recipe.device)
    run = Run(base, plan, recipe.work / checkpoint)
    for step in fit(run, base_loss(base, pool, vae.config.scaling_factor, plan)):
        if worker()[0] == 0 and (step % recipe.ship_every == 0 or step == plan.steps):
            with run.averaged():
                ship_base(recipe.ship / "base", vae, base.text, base.unet)
            log.info("shipped the base after %d steps", step)


def make_decoder(recipe: Recipe) -> None:
    """The decoder of the autoencoder that ships, trained on; the base and the refiner go on with it."""
    vae = shipped_base(recipe.ship / "base", recipe.merges())[0].requires_grad_(False)
    for part in (vae.decoder, vae.post_quant_conv):
        part.requires_grad_(True)
    vae.to(memory_format=torch.channels_last)
    run = Run(vae, recipe.decoder, recipe.work / "decoder.pt")
    for step in fit(run, decoder_loss(vae, recipe.decoder)):
        if step % recipe.ship_every == 0 or step == recipe.decoder.steps:
            with run.averaged():
                log.info("%.2f dB on drawings it never saw", fidelity(vae, unseen_pictures(100)))
                for folder in (recipe.ship / "base", recipe.ship / "refiner"):
                    ship_vae(folder / "vae", vae)


def make_refiner(recipe: Recipe) -> None:
    """The refiner, from the base that ships; ships it on the way and at the end."""
    vae, base = shipped_base(recipe.ship / "base", recipe.merges())
    place, seed = recipe.work / "pool-refiner.pt", recipe.refiner.seed + 9
    pool = a_pool(recipe, vae, base.text, place, count=recipe.pool // 5, seed=seed, blurred=0.15)
    refiner = new_refiner(base).to(recipe.device)
    base.to(recipe.device)
    run = Run(refiner, recipe.refiner, recipe.work / "refiner.pt")
    for step in fit(run, refiner_loss(refiner, base, pool, vae.config.scaling_factor, recipe.refiner)):
        if step % recipe.ship_every == 0 or step == recipe.refiner.steps:
            with run.averaged():
                second, tokenizer = base.text.second, base.text.tokenizers[1]
                ship_refiner(recipe.ship / "refiner", vae, second, tokenizer, milder(refiner))
            log.info("shipped the refiner after %d steps", step)


def make_clip(recipe: Recipe) -> None:
    """The CLIP; ships it on the way and at the end."""
    torch.manual_seed(recipe.clip.seed)
    tokenizer = new_tokenizer(recipe.merges())
    clip = new_clip(tokenizer)
    clip.set_attn_implementation("eager")
    run = Run(clip, recipe.clip, recipe.work / "clip.pt")
    for step in fit(run, clip_loss(clip, tokenizer, recipe.clip)):
        if step % recipe.ship_every == 0 or step == recipe.clip.steps:
            with run.averaged():
                ship_clip(recipe.ship / "clip", clip, tokenizer, new_image_processor())
                log.info("%.1f%% right among 32", 100 * right_among(clip, tokenizer))


STAGES: dict[str, Callable[[Recipe], object]] = {
    "vae": make_vae,
    "words": make_words,
    "base": make_base,
    "longer": make_longer,
    "decoder": make_decoder,
    "refiner": make_refiner,
    "clip": make_clip,
}


def main() -> None:
    """Run the asked stages, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stages", nargs="*", help=f"{', '.join(STAGES)}; all if none is named")
    parser.add_argument("--work", type=Path, default=Path(".cache/demo"), help="checkpoints and the latents")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format=LINE)
    torch.set_num_threads(asked.threads)
    recipe = Recipe(work=asked.work)
    if asked.device == "cuda":
        recipe = for_gpu(recipe)
    for stage in asked.stages or STAGES:
        log.info("stage %s", stage)
        STAGES[stage](recipe)


if __name__ == "__main__":
    main()
