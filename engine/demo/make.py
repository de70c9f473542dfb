"""The recipe of the model that ships: `python -m engine.demo.make [stage ...]`.

The stages in order, each from the results of earlier ones in the work folder:

1. `vae`: the autoencoder, on small crops of drawings first and on whole ones at the end. 2. `words`: both
text encoders, which learn to classify from a caption what is where. 3. `base`: a pool of encoded drawings,
then the UNet. Ships `base/` now and then. 4. `longer`: more training of the base that ships. 5. `decoder`:
more training of the shipped autoencoder's decoder, with weights on things. Latents stay the same. 6.
`refiner`: a UNet for the last fifth of the noise, on the second text encoder alone. Ships `refiner/`. 7.
`clip`: a small CLIP, which learns which caption belongs to which drawing. Ships `clip/`. 8. `captioner`: the
network that captions drawings. Ships `captioner/`. 9. `upscaler`: the network that enlarges pictures. Ships
`upscaler/`.

Without arguments all run. An interrupted stage goes on from its checkpoint, and a finished one does not run
again. Everything is seeded. Losses and speeds are logged. `bench/demo_model.py` measures the result. On a GPU
(`--device cuda`), `longer` and `refiner` have plans of their own with larger batches, and take minutes. The
shipped base was trained by `longer` on a GPU, from weights of 18,100 steps of 64 on two cores. All else is
from two cores. docs/measurements.md has the details.
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
from engine.demo.clip import clip_loss, new_clip, new_image_processor, retrieval_accuracy
from engine.demo.export import load_shipped_base, ship_base, ship_clip, ship_refiner, ship_vae
from engine.demo.latents import Bucket, load_or_make_pool
from engine.demo.latents import make_pool as make_pool_of
from engine.demo.picture_reader import WORDS, reader_loss, right_share
from engine.demo.refiner import new_refiner, refiner_loss, soften_bad_score
from engine.demo.super_resolution import (
    enlarge_by,
    gain_over_lanczos,
    new_network,
    ship_network,
    super_resolution_loss,
)
from engine.demo.text import TextEncoders
from engine.demo.text_training import CaptionReader, caption_loss
from engine.demo.tokenizer import Merge, learn_merges, new_tokenizer
from engine.demo.training_loop import Plan, Run, fit, worker
from engine.demo.vae import decoder_loss, new_vae, round_trip_psnr, unseen_pictures, vae_loss
from engine.vision.picture_reader import PictureReader

LINE = "%(asctime)s %(message)s"
log = logging.getLogger("engine.demo.make")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The folders to work in and to ship to, and the plan of every stage."""

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
    captioner: Plan = field(
        default_factory=lambda: Plan(steps=2500, batch=64, rate=2e-3, warmup=100, decay=0.99, save_every=250)
    )
    upscaler: Plan = field(
        default_factory=lambda: Plan(steps=4000, batch=16, rate=2e-3, warmup=100, decay=0.995, save_every=250)
    )
    ship_every: int = 1000
    workers: int = 2
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def merges(self) -> list[Merge]:
        """The merges of the tokenizers."""
        return learn_merges(self.base.seed)


def make_vae(recipe: Recipe) -> AutoencoderKL:
    """Train the autoencoder, or load it where it is trained."""
    torch.manual_seed(recipe.vae.seed)
    vae = new_vae()
    vae.to(memory_format=torch.channels_last)
    run = Run(vae, recipe.vae, recipe.work / "vae.pt")
    for step in fit(run, vae_loss(vae, recipe.vae, lambda step: 64 if step < recipe.whole_from else 128)):
        if step == recipe.vae.steps:
            with run.average_weights():
                log.info("%.2f dB on held-out drawings", round_trip_psnr(vae, unseen_pictures(100)))
    run.use_average()
    return vae.eval()


def gpu_recipe(recipe: Recipe) -> Recipe:
    """The recipe with plans that fill a GPU, and a process for each core that draws."""
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
    """Make or load the training latents, and set the autoencoder's scaling factor from them."""
    pool = load_pool(recipe, vae, text, recipe.work / "pool.pt", count=recipe.pool, seed=recipe.base.seed)
    vae.register_to_config(scaling_factor=scaling_factor(pool[0].latents))
    return pool


def load_pool(
    recipe: Recipe,
    vae: AutoencoderKL,
    text: TextEncoders,
    path: Path,
    *,
    count: int,
    seed: int,
    blurred: float = 0.0,
) -> list[Bucket]:
    """Make or load a pool of encoded drawings on the recipe's device."""
    vae.to(recipe.device)
    workers = recipe.workers if worker()[1] == 1 else 1
    make = partial(make_pool_of, vae, text.tokenizers[0], count, seed, blurred=blurred, workers=workers)
    return [bucket.to(recipe.device) for bucket in load_or_make_pool(path, make)]


def scaling_factor(latents: Tensor) -> float:
    """The factor that scales the latents to a standard deviation of 1."""
    return round(1 / float(latents.float().std()), 5)


def make_words(recipe: Recipe) -> TextEncoders:
    """Train the text encoders, or load them where they are trained."""
    torch.manual_seed(recipe.words.seed)
    reader = CaptionReader(TextEncoders(recipe.merges()))
    run = Run(reader, recipe.words, recipe.work / "words.pt")
    for _ in fit(run, caption_loss(reader, recipe.words)):
        pass
    run.use_average()
    return reader.text


def make_base(recipe: Recipe) -> None:
    """Train the base model, and ship it now and then."""
    make_pool(recipe, make_vae(recipe), make_words(recipe))
    run_workers(train_base, recipe)


def make_longer(recipe: Recipe) -> None:
    """Train the shipped base on, and ship it now and then."""
    vae, base = load_shipped_base(recipe.ship / "base", recipe.merges())
    make_pool(recipe, vae, base.text)
    run_workers(train_longer, recipe)


def run_workers(train: Callable[[Recipe], object], recipe: Recipe) -> None:
    """Run a training in several processes of one thread each, which on a CPU beats one of several threads."""
    if recipe.workers == 1 or recipe.device.type == "cuda":
        train(recipe)
        return
    rendezvous = recipe.work / "meeting"
    rendezvous.unlink(missing_ok=True)
    arguments = (train, recipe, rendezvous.resolve())
    start_processes(_run_worker, arguments, nprocs=recipe.workers)  # type: ignore[no-untyped-call]


def _run_worker(number: int, train: Callable[[Recipe], object], recipe: Recipe, rendezvous: Path) -> None:
    logging.basicConfig(level=logging.INFO if number == 0 else logging.WARNING, format=LINE)
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{rendezvous}", rank=number, world_size=recipe.workers
    )
    train(recipe)
    dist.destroy_process_group()


def train_base(recipe: Recipe) -> None:
    """One worker's part of the base's training, from trained text encoders and an untrained UNet."""
    vae, text = make_vae(recipe), make_words(recipe)
    torch.manual_seed(recipe.base.seed)
    train(recipe, vae, Base(text), recipe.base, "base.pt")


def train_longer(recipe: Recipe) -> None:
    """One worker's part of training the shipped base on."""
    vae, base = load_shipped_base(recipe.ship / "base", recipe.merges())
    train(recipe, vae, base, recipe.longer, "longer.pt")


def train(recipe: Recipe, vae: AutoencoderKL, base: Base, plan: Plan, checkpoint: str) -> None:
    """Train a base by a plan. The first worker ships it."""
    pool = make_pool(recipe, vae, base.text)
    base.to(recipe.device)
    run = Run(base, plan, recipe.work / checkpoint)
    for step in fit(run, base_loss(base, pool, vae.config.scaling_factor, plan)):
        if worker()[0] == 0 and (step % recipe.ship_every == 0 or step == plan.steps):
            with run.average_weights():
                ship_base(recipe.ship / "base", vae, base.text, base.unet)
            log.info("Shipped the base after %d steps", step)


def make_decoder(recipe: Recipe) -> None:
    """Train the shipped autoencoder's decoder on, and ship it with the base and the refiner."""
    vae = load_shipped_base(recipe.ship / "base", recipe.merges())[0].requires_grad_(False)
    for part in (vae.decoder, vae.post_quant_conv):
        part.requires_grad_(True)
    vae.to(memory_format=torch.channels_last)
    run = Run(vae, recipe.decoder, recipe.work / "decoder.pt")
    for step in fit(run, decoder_loss(vae, recipe.decoder)):
        if step % recipe.ship_every == 0 or step == recipe.decoder.steps:
            with run.average_weights():
                log.info("%.2f dB on held-out drawings", round_trip_psnr(vae, unseen_pictures(100)))
                for folder in (recipe.ship / "base", recipe.ship / "refiner"):
                    ship_vae(folder / "vae", vae)


def make_refiner(recipe: Recipe) -> None:
    """Train the refiner from the shipped base, and ship it now and then."""
    vae, base = load_shipped_base(recipe.ship / "base", recipe.merges())
    path, seed = recipe.work / "pool-refiner.pt", recipe.refiner.seed + 9
    pool = load_pool(recipe, vae, base.text, path, count=recipe.pool // 5, seed=seed, blurred=0.15)
    refiner = new_refiner(base).to(recipe.device)
    base.to(recipe.device)
    run = Run(refiner, recipe.refiner, recipe.work / "refiner.pt")
    for step in fit(run, refiner_loss(refiner, base, pool, vae.config.scaling_factor, recipe.refiner)):
        if step % recipe.ship_every == 0 or step == recipe.refiner.steps:
            with run.average_weights():
                second, tokenizer = base.text.second, base.text.tokenizers[1]
                ship_refiner(recipe.ship / "refiner", vae, second, tokenizer, soften_bad_score(refiner))
            log.info("Shipped the refiner after %d steps", step)


def make_clip(recipe: Recipe) -> None:
    """Train the CLIP, and ship it now and then."""
    torch.manual_seed(recipe.clip.seed)
    tokenizer = new_tokenizer(recipe.merges())
    clip = new_clip(tokenizer)
    clip.set_attn_implementation("eager")
    run = Run(clip, recipe.clip, recipe.work / "clip.pt")
    for step in fit(run, clip_loss(clip, tokenizer, recipe.clip)):
        if step % recipe.ship_every == 0 or step == recipe.clip.steps:
            with run.average_weights():
                ship_clip(recipe.ship / "clip", clip, tokenizer, new_image_processor())
                log.info("%.1f%% retrieved among 32", 100 * retrieval_accuracy(clip, tokenizer))


def make_captioner(recipe: Recipe) -> None:
    """Train the network that captions drawings, and ship it at the end."""
    torch.manual_seed(recipe.captioner.seed + 8)
    reader = PictureReader(WORDS)
    run = Run(reader, recipe.captioner, recipe.work / "captioner.pt")
    for _ in fit(run, reader_loss(reader, recipe.captioner)):
        pass
    run.use_average()
    reader.save(recipe.ship / "captioner")
    log.info("%.1f%% of held-out drawings captioned right", 100 * right_share(reader.eval()))


def make_upscaler(recipe: Recipe) -> None:
    """Train the network that enlarges pictures, and ship it now and then."""
    vae = load_shipped_base(recipe.ship / "base", recipe.merges())[0].requires_grad_(False)
    torch.manual_seed(recipe.upscaler.seed + 9)
    network = new_network()
    run = Run(network, recipe.upscaler, recipe.work / "upscaler.pt")
    for step in fit(run, super_resolution_loss(network, vae, recipe.upscaler)):
        if step % recipe.ship_every == 0 or step == recipe.upscaler.steps:
            with run.average_weights():
                ship_network(recipe.ship / "upscaler" / "model.safetensors", network)
                log.info("%.2f dB over Lanczos on held-out drawings", gain_over_lanczos(enlarge_by(network)))


STAGES: dict[str, Callable[[Recipe], object]] = {
    "vae": make_vae,
    "words": make_words,
    "base": make_base,
    "longer": make_longer,
    "decoder": make_decoder,
    "refiner": make_refiner,
    "clip": make_clip,
    "captioner": make_captioner,
    "upscaler": make_upscaler,
}


def main() -> None:
    """Run the stages named on the command line, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stages", nargs="*", help=f"{', '.join(STAGES)} (default: all)")
    parser.add_argument(
        "--work", type=Path, default=Path(".cache/demo"), help="folder of checkpoints and latents"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format=LINE)
    torch.set_num_threads(arguments.threads)
    recipe = Recipe(work=arguments.work)
    if arguments.device == "cuda":
        recipe = gpu_recipe(recipe)
    for stage in arguments.stages or STAGES:
        log.info("Stage %s", stage)
        STAGES[stage](recipe)


if __name__ == "__main__":
    main()
