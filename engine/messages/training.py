"""Messages of training a LoRA: the inspection of its pictures, the request, its progress, checkpoints, end.

A training is inspected first (`Inspect`, answered by `Inspected`), then run (`Train`). It reports how far it
is (`TrainingProgress`) and what it has put into the store (`CheckpointSaved`), and ends with `Trained`,
`Failed` or `Cancelled`.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum

from engine.messages.checks import InvalidRequest, check_adapter_name, check_integer, check_number, check_text
from engine.messages.crop_settings import CropSettings
from engine.messages.dataset import EXAMPLES, INLINE, Example, Manifest
from engine.messages.files import Sha256
from engine.messages.jobs import FlaggedPolicy, JobId
from engine.messages.painting import SEED, AdapterUse
from engine.messages.training_methods import TrainingMethods
from engine.messages.training_parts import (
    BLOCK,
    UNET_PARTS,
    Part,
    PartNumber,
    check_part_numbers,
    find_number,
)

RANK = (1, 128)
PART_RANK = (0, RANK[1])  # where 0 leaves a part out
ALPHA = (0.01, 1024.0)
DROPOUT = (0.0, 0.9)
LEARNING_RATE = (0.0, 1.0)  # Prodigy's is 1; above 0.1 AdamW is refused
ADAMW_RATE = 0.1
WEIGHT_DECAY = (0.0, 1.0)
BATCH = (1, 16)
ACCUMULATION = (1, 64)
CLIPPING = (0.0, 100.0)
TRAINING_STEPS = (1, 20_000)
EPOCHS = (0, 5000)
GAMMA = (0.0, 100.0)
NOISE_OFFSET = (0.0, 1.0)
CAPTION_DROPOUT = (0.0, 0.9)
KEEP_TAGS = (0, 100)
TAG_DROPOUT = (0.0, 0.9)
NEW_TOKENS = (0, 4)
SHARE = (0.0, 1.0)
HELD_OUT = (0.0, 0.5)
PRIOR_PICTURES = (1, 200)
SAMPLES = (0, 4)
RESOLUTION = (0, 2048)
TRIGGER = re.compile(r"[a-z0-9][a-z0-9_-]{1,23}", re.ASCII)


class AdapterKind(StrEnum):
    """The kinds of adapters: how the change of a module is made of what is trained."""

    LORA = "lora"
    DORA = "dora"
    LOCON = "locon"
    LOHA = "loha"
    LOKR = "lokr"
    IA3 = "ia3"
    OFT = "oft"

    @property
    def label(self) -> str:
        """Its name as it is written."""
        return {"lora": "LoRA", "dora": "DoRA", "locon": "LoCon", "loha": "LoHa", "lokr": "LoKr"}.get(
            self, "(IA)3" if self is AdapterKind.IA3 else "OFT"
        )


LOW_RANK = (AdapterKind.LORA, AdapterKind.DORA, AdapterKind.LOCON)
"""The kinds whose change is of two factors."""


class Optimizer(StrEnum):
    """The optimizers."""

    ADAMW = "adamw"
    ADAMW_8BIT = "adamw8bit"
    PRODIGY = "prodigy"
    ADAFACTOR = "adafactor"
    LION = "lion"
    SCHEDULE_FREE = "schedulefree"
    CAME = "came"


class Schedule(StrEnum):
    """The learning rate schedules, after warm-up."""

    CONSTANT = "constant"
    COSINE = "cosine"
    LINEAR = "linear"
    COSINE_RESTARTS = "cosine-restarts"
    POLYNOMIAL = "polynomial"


class Prior(StrEnum):
    """Prior preservation, which keeps the model from forgetting the class (DreamBooth, Ruiz et al. 2022,
    arXiv 2208.12242): none, the model's own predictions without the LoRA, or pictures of the class that it
    painted before."""

    NONE = "none"
    PREDICTION = "prediction"
    PICTURES = "pictures"


class TrainingPrecision(StrEnum):
    """The number format of the forward pass. The LoRA's own weights are float32 throughout."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(TrainingMethods, CropSettings):
    """How to train, complete: presets and people's changes are applied already.

    `resolution` is the side in pixels of a square of the training area; 0 is the model's native side.
    `kind` is how a module's change is made: `dora` says DORA, too, and `convolutions` LOCON.
    `blocks` limits the UNet's targets to some of its blocks, such as "down.2", "mid" or "up.0"; empty is all.
    `rank`, `alpha` and the learning rates are of all parts that train and have none of their own in `ranks`,
    `alphas` and `learning_rates`. A rank of 0 leaves a part out, and one above 0 trains it. The rank of a
    block is that of all parts of the UNet in it. An alpha that is not said keeps alpha / rank.
    `epochs` above 0 stand for steps: each shows every picture once. `steps` are the optimizer's, each of
    `batch` * `accumulation` pictures. `clipping`, `min_snr_gamma` and `patience` are off at 0. `prior` adds
    the error on the class to that on the pictures, `prior_weight` times. `new_tokens` above 0 is pivotal
    tuning: so many tokens, which the trigger stands for, are trained with the LoRA until `pivot`, a share of
    the steps, and frozen from then on (Roich et al. 2021, arXiv 2106.05744). `validation` is the share of the
    pictures that is held out; with up to 16 pictures all train and all validate. `every` steps there is a
    checkpoint: a validation, samples and a save; 0 makes about ten. `patience` is how many of them without a
    lower loss end the training. With `shuffle_tags` or `tag_dropout` captions are lists of tags with commas,
    of which the first `keep_tags` stay. Learning rates of text encoders and tokens count only where these are
    trained. Raises InvalidRequest.
    """

    resolution: int = 0
    feed_forward: bool = False
    convolutions: bool = False
    text_encoder: bool = False
    text_encoder_2: bool = False
    blocks: tuple[str, ...] = ()
    kind: AdapterKind = AdapterKind.LORA
    rank: int = 16
    alpha: float = 16.0
    ranks: tuple[PartNumber, ...] = ()
    alphas: tuple[PartNumber, ...] = ()
    dropout: float = 0.0
    dora: bool = False
    optimizer: Optimizer = Optimizer.ADAMW
    learning_rate: float = 1e-4
    text_learning_rate: float = 5e-5
    token_learning_rate: float = 1e-3
    learning_rates: tuple[PartNumber, ...] = ()
    weight_decay: float = 1e-2
    schedule: Schedule = Schedule.COSINE
    warmup: int = 0
    batch: int = 1
    accumulation: int = 1
    clipping: float = 1.0
    steps: int = 1000
    epochs: int = 0
    precision: TrainingPrecision = TrainingPrecision.AUTO
    checkpointing: bool = False
    min_snr_gamma: float = 5.0
    noise_offset: float = 0.0
    caption_dropout: float = 0.05
    shuffle_tags: bool = False
    keep_tags: int = 0
    tag_dropout: float = 0.0
    flip: bool = False
    random_crop: bool = False
    prior: Prior = Prior.NONE
    prior_weight: float = 1.0
    prior_pictures: int = 20
    new_tokens: int = 0
    pivot: float = 0.5
    validation: float = 0.1
    every: int = 0
    patience: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, number, bounds in (
            ("--resolution", self.resolution, RESOLUTION),
            ("--rank", self.rank, PART_RANK),
            ("--warmup", self.warmup, (0, TRAINING_STEPS[1])),
            ("--batch", self.batch, BATCH),
            ("--accumulation", self.accumulation, ACCUMULATION),
            ("--steps", self.steps, TRAINING_STEPS),
            ("--epochs", self.epochs, EPOCHS),
            ("--prior-pictures", self.prior_pictures, PRIOR_PICTURES),
            ("--new-tokens", self.new_tokens, NEW_TOKENS),
            ("--every", self.every, (0, TRAINING_STEPS[1])),
            ("--keep-tags", self.keep_tags, KEEP_TAGS),
            ("--patience", self.patience, (0, 1000)),
            ("--seed", self.seed, SEED),
        ):
            check_integer(name, number, *bounds)
        for name, value, limits in (
            ("--alpha", self.alpha, ALPHA),
            ("--dropout", self.dropout, DROPOUT),
            ("--weight-decay", self.weight_decay, WEIGHT_DECAY),
            ("--clipping", self.clipping, CLIPPING),
            ("--min-snr-gamma", self.min_snr_gamma, GAMMA),
            ("--noise-offset", self.noise_offset, NOISE_OFFSET),
            ("--caption-dropout", self.caption_dropout, CAPTION_DROPOUT),
            ("--tag-dropout", self.tag_dropout, TAG_DROPOUT),
            ("--prior-weight", self.prior_weight, (0.0, 10.0)),
            ("--pivot", self.pivot, SHARE),
            ("--validation", self.validation, HELD_OUT),
        ):
            check_number(name, value, *limits)
        self.check_methods()
        self.check_crops()
        self._check_kind()
        self._check_parts()

    def _check_kind(self) -> None:
        """Raise InvalidRequest for settings that the kind of the LoRA or the optimizer does not have."""
        if self.lora_plus != 1 and self.optimizer is Optimizer.PRODIGY:
            raise InvalidRequest(
                "Prodigy finds one learning rate for all. Leave out --lora-plus or change --optimizer."
            )
        if self.network is AdapterKind.DORA and self.part_rank(Part.CONVOLUTIONS):
            raise InvalidRequest("DoRA trains linear layers only. Leave out --dora or --convolutions.")
        if self.network not in LOW_RANK and self.lora_plus != 1:
            raise InvalidRequest(
                f"A {self.kind} has no factors A and B. Leave out --lora-plus, or choose --kind lora, dora "
                "or locon."
            )
        if self.network not in LOW_RANK and self.dropout:
            raise InvalidRequest(
                f"A {self.kind} drops no inputs. Leave out --dropout, or choose --kind lora, dora or locon."
            )
        if self.dora and self.kind not in LOW_RANK:
            raise InvalidRequest(f"--dora does not go with --kind {self.kind}. Leave out one of them.")

    def _check_parts(self) -> None:
        """Raise InvalidRequest for learning rates, blocks and ranks that nothing could be trained with."""
        most = LEARNING_RATE[1] if self.optimizer is Optimizer.PRODIGY else ADAMW_RATE
        for name, rate in (
            ("--lr", self.learning_rate),
            ("--text-lr", self.text_learning_rate),
            ("--token-lr", self.token_learning_rate),
        ):
            check_number(name, rate, LEARNING_RATE[0], most)
        for block in self.blocks:
            if not BLOCK.fullmatch(block):
                raise InvalidRequest(
                    f"There is no block {block!r}. Blocks are called down.0, mid or up.1, for example."
                )
        check_part_numbers("--ranks", self.ranks, PART_RANK, with_blocks=True)
        check_part_numbers("--alphas", self.alphas, ALPHA)
        check_part_numbers("--lrs", self.learning_rates, (LEARNING_RATE[0], most))
        if not self.largest_rank:
            raise InvalidRequest("All ranks are 0, so nothing would learn. Give --rank or one of --ranks.")

    @property
    def network(self) -> AdapterKind:
        """The kind that is trained: DoRA where `dora` says so."""
        return AdapterKind.DORA if self.dora else self.kind

    @property
    def ranked_blocks(self) -> tuple[str, ...]:
        """The blocks that have a rank of their own."""
        return tuple(number.part for number in self.ranks if BLOCK.fullmatch(number.part))

    @property
    def largest_rank(self) -> int:
        """The largest rank of any part or block."""
        return max([self.part_rank(part) for part in Part] + [int(number.number) for number in self.ranks])

    def part_rank(self, part: Part) -> int:
        """The rank of a part, outside blocks with a rank of their own; 0 where it does not train."""
        rank = find_number(self.ranks, part)
        if rank is not None:
            return int(rank)
        trains = {
            Part.ATTENTION: True,
            Part.FEED_FORWARD: self.feed_forward,
            Part.CONVOLUTIONS: self.convolutions or self.kind is AdapterKind.LOCON,
            Part.TEXT: self.text_encoder,
            Part.TEXT_2: self.text_encoder_2,
        }
        return self.rank if trains[part] else 0

    def block_rank(self, part: Part, block: str) -> int:
        """The rank of a part of the UNet in this block: the block's, where it has one and the part trains.

        Where no part of the UNet trains outside, the attention does in blocks that have a rank.
        """
        rank, own = self.part_rank(part), find_number(self.ranks, block)
        trains = rank or (part is Part.ATTENTION and not any(map(self.part_rank, UNET_PARTS)))
        return int(own) if own is not None and trains else rank

    def part_alpha(self, part: Part, rank: int) -> float:
        """The alpha of a part's modules of this rank."""
        alpha, usual = find_number(self.alphas, part), self.part_rank(part)
        if alpha is not None:
            return alpha / usual * rank if usual else alpha
        return self.alpha / self.rank * rank if self.rank else float(rank)

    @property
    def trains_text(self) -> bool:
        """Whether a text encoder trains."""
        return any(map(self.part_rank, (Part.TEXT, Part.TEXT_2)))

    def part_learning_rate(self, part: Part) -> float:
        """The learning rate of a part."""
        own = find_number(self.learning_rates, part)
        usual = self.learning_rate if part in UNET_PARTS else self.text_learning_rate
        return usual if own is None else own

    @property
    def class_prior(self) -> Prior:
        """The prior preservation in use: none where its weight is 0."""
        return self.prior if self.prior_weight else Prior.NONE


@dataclass(frozen=True, kw_only=True)
class Train:
    """A request to train a LoRA.

    `trigger` is the word that calls it up in prompts, `subject` the class word ("woman", "sweater"; may be
    empty), `template` the caption of pictures that have none, with {trigger} and {subject} in it. The
    pictures are `examples`, or those of the `manifest` where they are more than INLINE. `wanted` is how many
    the preset works best with. `prompts` are painted at every checkpoint, with seeds 0, 1 and so on.
    `resume` is the newest state of a `CheckpointSaved`, after an engine died. `flagged`: all but SHOW leaves
    out pictures that the safety check flags. `start` is a LoRA to go on from: its kind, modules, ranks and
    alphas count, and not those of the settings. `describe`: pictures without a caption get one of the
    captioner while they are inspected. `paint` are paint settings that will suit the LoRA, as words of
    /imagine, which the engine does not read.
    """

    job: JobId
    name: str
    trigger: str
    examples: tuple[Example, ...] = ()
    manifest: Manifest | None = None
    subject: str = ""
    template: str = "{trigger} {subject}"
    preset: str = ""
    wanted: tuple[int, int] = (1, INLINE)
    settings: TrainingSettings = field(default_factory=TrainingSettings)
    prompts: tuple[str, ...] = ()
    author: str = ""
    resume: Sha256 | None = None
    flagged: FlaggedPolicy = FlaggedPolicy.SHOW
    start: AdapterUse | None = None
    describe: bool = False
    paint: str = ""

    def __post_init__(self) -> None:
        check_adapter_name(self.name)
        check_integer("The number of pictures", self.pictures, *EXAMPLES)
        if not TRIGGER.fullmatch(self.trigger):
            raise InvalidRequest(
                f"The trigger must be one word of 2 to 24 of a-z, 0-9, - and _, not {self.trigger!r}."
            )
        check_text("The subject", self.subject)
        check_text("The template", self.template)
        check_text("The paint settings", self.paint)
        check_integer("The number of sample prompts", len(self.prompts), *SAMPLES)
        for prompt in self.prompts:
            check_text("A sample prompt", prompt)

    @property
    def pictures(self) -> int:
        """How many pictures it has."""
        return len(self.examples) if self.manifest is None else self.manifest.pictures

    @property
    def phrase(self) -> str:
        """What people write into a prompt to call it up, such as "ohwx woman"."""
        return f"{self.trigger} {self.subject}".strip()


def fill_template(template: str, trigger: str, subject: str) -> str:
    """The template with {trigger} and {subject} replaced, in one line."""
    return " ".join(template.replace("{trigger}", trigger).replace("{subject}", subject).split())


@dataclass(frozen=True, kw_only=True)
class Inspect:
    """Check the pictures of a training and report what it would do with them. Nothing is trained yet."""

    training: Train

    @property
    def job(self) -> JobId:
        return self.training.job


@dataclass(frozen=True, kw_only=True)
class StopTraining:
    """End this training after the current step and keep what it has. Answered by Trained."""

    job: JobId


@dataclass(frozen=True, kw_only=True)
class PictureNote:
    """What a training would do with one picture: its crop and its size after scaling, in pixels, and
    problems.

    `used` is False where the picture is left out. `problems` then has the reason, a short sentence each.
    """

    name: str
    width: int
    height: int
    crop: tuple[int, int, int, int]  # left, top, width, height
    size: tuple[int, int]  # width, height
    problems: tuple[str, ...] = ()
    used: bool = True


@dataclass(frozen=True, kw_only=True)
class Inspected:
    """The report of an inspection: a contact sheet (JPEG) with each picture's crop, notes, and the time it
    takes. Of many pictures only some have a note: `used` is how many are used, None where each has one.
    `parameters`: how many numbers of each part of the model would be trained.

    `captions`: the captioner's, of each picture in order, "" where it has made none; empty where it was not
    asked. `describable`: how many pictures it could describe that have no caption, those that it did not.
    """

    job: JobId
    sheet: bytes
    notes: tuple[PictureNote, ...]
    used: int | None = None
    problems: tuple[str, ...]  # of all pictures together: too few, near-duplicates
    steps: int
    seconds: float
    parameters: tuple[PartNumber, ...] = ()
    captions: tuple[str, ...] = ()
    describable: int = 0


@dataclass(frozen=True, kw_only=True)
class TrainingProgress:
    """How far a training is. `phase` is what it does now, such as "learning".

    `loss` is smoothed, `left` is in seconds. Both are None at first.
    """

    job: JobId
    step: int
    steps: int
    phase: str
    loss: float | None = None
    left: float | None = None


@dataclass(frozen=True, kw_only=True)
class CheckpointSaved:
    """A checkpoint is in the store. Older states are not needed any more.

    `losses` are of all optimizer steps since the checkpoint before, in order, up to `step`. `samples` are
    PNGs, one of each prompt. At step 0 they show the untrained model, and there is neither adapter nor state.
    """

    job: JobId
    step: int
    adapter: Sha256 | None
    state: Sha256 | None
    validation: float | None
    losses: tuple[float, ...] = ()
    samples: tuple[bytes, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A training ended well.

    `best` is the step of the checkpoint to use, `candidates` are others worth a try.

    `note`: sentences that say why it ended before its last step, or which settings were lowered, if so.
    """

    job: JobId
    best: int
    candidates: tuple[int, ...]
    step: int
    seconds: float
    new_tokens: int = 0
    note: str = ""
