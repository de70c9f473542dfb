"""Settings of a training that change how it draws noise, measures the loss and steps; none does as it is."""

from dataclasses import dataclass

from engine.messages.checks import check_integer, check_number

HUBER = (0.0, 1.0)
PYRAMID_NOISE = (0.0, 0.9)
INPUT_PERTURBATION = (0.0, 1.0)
LORA_PLUS = (1.0, 64.0)
CYCLES = (1, 100)
POWER = (0.1, 10.0)
EMA = (0.0, 0.9999)
OUTSIDE = (0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class TrainingMethods:
    """How a training departs from plain denoising with one learning rate. Off at 0, unless it says otherwise.

    `huber` is the threshold of a pseudo-Huber loss at the last timestep, in place of the squared error.
    `pyramid_noise` is the share of noise of each coarser resolution in that of the next finer one.
    `input_perturbation` is noise that is added to the noise of the input, and not to the target. `debiased`
    weighs the loss by 1 / sqrt(SNR), in place of min-SNR. `zero_snr` makes the last timestep noise alone,
    for models that predict v. `lora_plus` is the learning rate of the factors B relative to that of A; 1
    makes them equal. `cycles` are those of cosine with restarts, and `power` is the polynomial schedule's.
    `ema` is the decay of the average of the LoRA's numbers that is validated, painted with and saved.
    `outside` is the weight of what the mask of a picture leaves out, and `alpha_mask` takes the transparency
    of pictures that have no mask as theirs. The sources are named where each is computed, in engine/training.
    """

    huber: float = 0.0
    pyramid_noise: float = 0.0
    input_perturbation: float = 0.0
    debiased: bool = False
    zero_snr: bool = False
    lora_plus: float = 1.0
    cycles: int = 3
    power: float = 2.0
    ema: float = 0.0
    outside: float = 0.0
    alpha_mask: bool = False

    def check_methods(self) -> None:
        """Raise InvalidRequest for a setting out of its bounds."""
        check_integer("--cycles", self.cycles, *CYCLES)
        for name, value, bounds in (
            ("--huber", self.huber, HUBER),
            ("--pyramid-noise", self.pyramid_noise, PYRAMID_NOISE),
            ("--input-perturbation", self.input_perturbation, INPUT_PERTURBATION),
            ("--lora-plus", self.lora_plus, LORA_PLUS),
            ("--power", self.power, POWER),
            ("--ema", self.ema, EMA),
            ("--outside", self.outside, OUTSIDE),
        ):
            check_number(name, value, *bounds)
