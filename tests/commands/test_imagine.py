"""What people may say to /imagine, and what they are told when it cannot be understood."""

import shlex
from collections.abc import Collection

import pytest

from commands.context import Context
from commands.imagine import imagine
from commands.syntax.lora_syntax import Lora, Mention, OperatorFiles
from commands.syntax.parser import parse
from engine.messages import (
    SEED,
    AdapterUse,
    InvalidRequest,
    JobId,
    Paint,
    Ratio,
    Sampler,
    Sha256,
    Size,
)
from tests.commands.chat import request_of

INK = Sha256("1" * 64)
MARIA = Sha256("2" * 64)
OHANA = Sha256("3" * 64)
SKO = Sha256("4" * 64)


class Shelf:
    """A library of LoRAs: two plain ones, and two that brought words of their own."""

    async def names(self) -> Collection[str]:
        return ["ink", "maria"]

    async def list_files(self) -> OperatorFiles:
        return OperatorFiles(offered={name: f"{name}.safetensors" for name in await self.names()})

    async def find(self, name: str) -> Lora | None:
        if name not in await self.names():
            return None
        return {
            "ink": Lora(name="ink", sha256=INK),
            "maria": Lora(name="maria", sha256=MARIA),
            "ohana": Lora(name="ohana", sha256=OHANA, phrase="ohwx woman", hint=0.8, tokens=2),
            "sko": Lora(name="sko", sha256=SKO, phrase="sks shoe", tokens=1),
        }[name]

    async def usual_loras(self) -> list[Mention]:
        return []


class TrainedShelf(Shelf):
    async def names(self) -> Collection[str]:
        return ["ink", "maria", "ohana", "sko"]


class EmptyShelf(Shelf):
    async def names(self) -> Collection[str]:
        return []


async def request_of_words(line: str, library: Shelf | None = None) -> Paint:
    context = Context(job=JobId("1"), library=library or Shelf())
    return request_of(await imagine(context, **parse(shlex.split(line), imagine.parameters)))


async def test_words_alone_are_a_prompt_with_everything_else_as_usual() -> None:
    request = await request_of_words("a red fox")

    assert request == Paint(job=JobId("1"), prompt="a red fox", seed=request.seed)


async def test_a_seed_that_was_not_given_is_random() -> None:
    assert (await request_of_words("fox")).seed != (await request_of_words("fox")).seed


async def test_a_variation_has_a_random_seed_of_its_own_unless_one_is_given() -> None:
    one, other = (
        await request_of_words("fox --seed 1 --variation 0.1"),
        await request_of_words("fox --seed 1 --variation 0.1"),
    )

    assert one.variation_seed != other.variation_seed
    assert (await request_of_words("fox --variation 0.1 --variation-seed 3")).variation_seed == 3


async def test_every_option_is_heard() -> None:
    request = await request_of_words(
        "a red fox --no 'blurry, yellow' --steps 20 --cfg 3.5 --seed=7 --size 832x1216 --sampler ddim "
        "--count 2 --refiner 0.2 --lora ink:0.8 --fast"
    )

    assert request == Paint(
        job=JobId("1"),
        prompt="a red fox",
        negative_prompt="blurry, yellow",
        steps=20,
        guidance_scale=3.5,
        seed=7,
        size=Size(width=832, height=1216),
        sampler=Sampler.DDIM,
        count=2,
        refiner=0.2,
        adapters=(AdapterUse(name="ink", sha256=INK, weight=0.8),),
        fast=True,
    )


async def test_flags_may_stand_before_the_words() -> None:
    assert (await request_of_words("--steps 3 --seed 1 a red fox")).prompt == "a red fox"


async def test_a_value_may_begin_with_a_dash() -> None:
    assert (await request_of_words("fox --lora ink:-1 --no -glasses")).negative_prompt == "-glasses"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("832x1216", Size(width=832, height=1216)),
        ("832 X 1216", Size(width=832, height=1216)),
        ("832\u00d71216", Size(width=832, height=1216)),
        ("3:2", Ratio(across=3, down=2)),
        ("16/9", Ratio(across=16, down=9)),
        ("Portrait", Ratio(across=2, down=3)),
        ("square", Ratio(across=1, down=1)),
        ("tall", Ratio(across=9, down=16)),
    ],
)
async def test_a_size_is_pixels_or_a_ratio_or_a_name(text: str, size: Size | Ratio) -> None:
    assert (await request_of_words(f"fox --size '{text}'")).size == size


async def test_ar_is_another_name_for_the_size() -> None:
    assert (await request_of_words("fox --ar 3:2")).size == Ratio(across=3, down=2)


@pytest.mark.parametrize("known", list(Sampler))
async def test_every_sampler_is_known_by_its_names(known: Sampler) -> None:
    for spelling in (known.value, known.value.upper(), known.name, known.name.lower()):
        assert (await request_of_words(f"fox --sampler '{spelling}'")).sampler is known


@pytest.mark.parametrize(
    ("spelling", "known"),
    [
        ("dpmpp_2m_karras", Sampler.DPM_2M_KARRAS),
        ("dpm++ 2m", Sampler.DPM_2M),
        ("dpmpp-sde", Sampler.DPM_SDE),
        ("euler ancestral", Sampler.EULER_ANCESTRAL),
        ("euler_ancestral", Sampler.EULER_ANCESTRAL),
        ("Uni-PC", Sampler.UNIPC),
    ],
)
async def test_a_sampler_is_known_by_other_spellings(spelling: str, known: Sampler) -> None:
    assert (await request_of_words(f"fox --sampler '{spelling}'")).sampler is known


async def test_loras_may_be_given_in_one_option_or_in_several() -> None:
    together = await request_of_words("fox --seed 1 --lora 'ink:0.8, maria'")
    apart = await request_of_words("fox --seed 1 --lora ink:0.8 --lora maria")

    assert together == apart
    assert together.adapters == (
        AdapterUse(name="ink", sha256=INK, weight=0.8),
        AdapterUse(name="maria", sha256=MARIA, weight=1.0),
    )


async def test_a_lora_in_the_prompt_is_the_same_as_the_option_and_leaves_the_prompt() -> None:
    request = await request_of_words("'a fox <lora:ink:0.8>, red' --lora maria --seed 1")

    assert request.prompt == "a fox, red"
    assert request == await request_of_words("'a fox, red' --lora ink:0.8,maria --seed 1")


@pytest.mark.timeout(10)
async def test_a_prompt_of_many_spaces_is_read_at_once() -> None:
    assert (await request_of_words(f"'a{' ' * 3990}fox'")).prompt == f"a{' ' * 3990}fox"
    with pytest.raises(InvalidRequest):
        await request_of_words(f"'a{' ' * 200_000}fox'")


async def test_a_trained_lora_has_its_own_weight_unless_another_is_said() -> None:
    usual, said_so = (
        await request_of_words("fox --lora ohana", TrainedShelf()),
        await request_of_words("x --lora ohana:1", TrainedShelf()),
    )

    assert usual.adapters == (AdapterUse(name="ohana", sha256=OHANA, weight=0.8),)
    assert said_so.adapters[0].weight == 1.0


@pytest.mark.parametrize(
    ("prompt", "painted"),
    [
        ("a portrait", "a portrait, ohwx woman"),
        ("a photo of ohwx woman", "a photo of ohwx woman"),
        ("OHWX on a horse", "OHWX on a horse"),
        ("ohwxy and mohwx", "ohwxy and mohwx, ohwx woman"),
        ("an ohwx-like face", "an ohwx-like face, ohwx woman"),
        ("<lora:ohana>", "ohwx woman"),
    ],
)
async def test_what_calls_a_lora_up_is_added_to_a_prompt_that_lacks_it(prompt: str, painted: str) -> None:
    lora = "" if "<" in prompt else "--lora ohana"

    assert (await request_of_words(f"'{prompt}' {lora}", TrainedShelf())).prompt == painted


async def test_only_one_lora_with_a_word_of_its_own_can_be_in_a_picture() -> None:
    mixed = await request_of_words("fox --lora ohana,ink", TrainedShelf())
    with pytest.raises(InvalidRequest) as refusal:
        await request_of_words("fox --lora ohana,sko", TrainedShelf())

    assert len(mixed.adapters) == 2
    assert str(refusal.value) == (
        "ohana and sko each bring a new token. A picture can have only one such LoRA. Leave out the others."
    )


async def test_the_case_of_a_lora_is_ignored() -> None:
    assert (await request_of_words("'fox <LORA:Ink>'")).adapters == (AdapterUse(name="ink", sha256=INK),)


async def test_emoji_belong_to_a_prompt() -> None:
    assert (await request_of_words("'a 🦊 in the ❄️'")).prompt == "a 🦊 in the ❄️"


KNOWN = "Euler, Euler a, DPM++ 2M, DPM++ 2M Karras, DPM++ SDE, DDIM, UniPC, Heun and LCM"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("", "The prompt is missing (what to paint)."),
        ("--steps 3", "The prompt is missing (what to paint)."),
        ("' '", "The prompt is empty. Say what to paint."),
        ("'<lora:ink>'", "The prompt is empty. Say what to paint."),
        ("x" * 10_000, "The prompt has 10,000 characters. At most 4,000 are allowed."),
        ("'a\x07b'", "The prompt has the control character U+0007. Leave it out."),
        ("fox --steps 0", "--steps must be from 1 to 100, not 0."),
        ("fox --steps -1", "--steps must be from 1 to 100, not -1."),
        ("fox --steps 1e9", "--steps must be a whole number from 1 to 100, not '1e9'."),
        ("fox --steps 1000000000", "--steps must be from 1 to 100, not 1000000000."),
        (
            f"fox --steps {'9' * 4000}",
            f"--steps must be a whole number from 1 to 100, not '{'9' * 59}…'.",
        ),
        ("fox --steps ten", "--steps must be a whole number from 1 to 100, not 'ten'."),
        ("fox --steps", "--steps needs a value (denoising steps)."),
        ("fox --steps 3 --steps 4", "--steps was given twice. Give it once."),
        ("fox --size 3:2 --ar 3:2", "--ar was given twice. Give it once."),
        ("fox --cfg nan", "--cfg must be a number from 0 to 20, not nan."),
        ("fox --cfg high", "--cfg must be a number from 0 to 20, not 'high'."),
        ("fox --cfg 21", "--cfg must be from 0 to 20, not 21."),
        ("fox --size 1x64", "The width must be from 64 to 2048, not 1."),
        ("fox --size 7x64", "The width must be from 64 to 2048, not 7."),
        ("fox --size 100000x64", "The width must be from 64 to 2048, not 100000."),
        ("fox --size 100x64", "The width must be a multiple of 8, such as 96, not 100."),
        ("fox --size 9:1", "The ratio must be from 1:4 to 4:1, not 9:1."),
        (
            "fox --size big",
            "--size must be pixels such as 832x1216, a ratio such as 3:2, "
            "or one of square, portrait, landscape, wide, tall, not 'big'.",
        ),
        ("fox --sampler magic", f"There is no sampler 'magic'. The samplers are {KNOWN}."),
        ("fox --lora inc", "There is no LoRA 'inc'. Did you mean ink?"),
        ("fox --lora zzzz", "There is no LoRA 'zzzz'. The LoRAs are ink and maria."),
        ("'fox <lora:mari:0.5>'", "There is no LoRA 'mari'. Did you mean maria?"),
        ("fox --lora ink:50", "The weight of LoRA ink must be from -2 to 2, not 50."),
        ("fox --lora ink:much", "The weight of LoRA ink must be a number from -2 to 2, not 'much'."),
        ("fox --lora ink:", "The weight of LoRA ink must be a number from -2 to 2, not ''."),
        (
            "fox --lora ../../etc/passwd",
            "'../../etc/passwd' is not a LoRA. Write a name and a weight, such as ink:0.8.",
        ),
        ("fox --lora ink --lora ink", "The same LoRA is there twice. Name it once, with one weight."),
        ("'fox <lora:ink'", "The prompt has an unfinished <lora: tag. Write <lora:name:weight>."),
        ("'fox <lora:>'", "'' is not a LoRA. Write a name and a weight, such as ink:0.8."),
        (f"fox --seed {SEED[1] + 1}", f"--seed must be from 0 to {SEED[1]}, not {SEED[1] + 1}."),
        ("fox --count 5", "--count must be from 1 to 4, not 5."),
        ("fox --refiner 0.9", "--refiner must be from 0 to 0.5, not 0.9."),
        (
            "fox --refiner 0.2 --steps 4",
            "A refiner of 0.2 is less than one step of 4. Give it at least 0.25, or paint in at least 5 "
            "steps.",
        ),
        (
            "fox --refiner 0.5 --steps 1",
            "A refiner of 0.5 is less than one step of 1. Paint in at least 2 steps.",
        ),
        ("fox --sampler heun --steps 7", "Heun needs at least 8 steps, not 7. For fewer steps use Euler."),
        (
            "fox --sampler 'DPM++ 2M Karras' --steps 4",
            "DPM++ 2M Karras needs at least 8 steps, not 4. For fewer steps use DPM++ 2M.",
        ),
        ("fox --variation 1.5", "--variation must be from 0 to 1, not 1.5."),
        (
            "fox --variation-seed 3",
            "--variation-seed does nothing alone. Add a variation, such as --variation 0.15.",
        ),
        ("fox --stepz 3", "There is no option --stepz. Did you mean --steps?"),
        (
            "fox --qqqq 3",
            "There is no option --qqqq. The options are --no, --negative, --lora, --steps, --cfg, --seed, "
            "--size, --ar, --aspect, --sampler, --count, --n, --refiner, --variation, --variation-seed, "
            "--fast, --hires, --detail, --detail-strength, --image, --strength and --fresh.",
        ),
    ],
)
async def test_what_cannot_be_understood_is_answered_with_one_sentence(line: str, sentence: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        await request_of_words(line)

    assert str(refusal.value) == sentence


async def test_a_library_without_loras_says_so() -> None:
    with pytest.raises(InvalidRequest, match=r"^There is no LoRA 'ink'. No LoRA is here yet\.$"):
        await request_of_words("fox --lora ink", EmptyShelf())
