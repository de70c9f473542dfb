"""The recipe travels inside the PNG, for other programs and for this one."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from PIL import Image

from engine.lora.short_hashes import ModelHash
from engine.messages import AdapterUse, Finish, Painted, Sampler, Sha256, Size, Source, stored_path
from engine.sdxl.model import DEMO
from engine.sdxl.png_file import Recipe, encode_png
from engine.studio import Studio
from tests.engine.studio_work import request, work
from tests.lora_files import attention, kohya, make_lora, store

INK = AdapterUse(name="ink", sha256=Sha256("ab" * 32), weight=0.8)


def write_png(**changes: Any) -> Image.Image:
    """A PNG with a recipe, read back."""
    recipe = Recipe(
        request=request(**changes),
        seed=42,
        size=Size(width=152, height=104),
        model="/srv/models/painter_v2.safetensors",
        model_hash="31e35c80fc",
        upscaler="demo",
        lora_hashes={INK.sha256: "cd" * 6},
    )
    return Image.open(io.BytesIO(encode_png(Image.new("RGB", (8, 8)), recipe)))


def test_a1111_and_its_readers_find_their_parameters() -> None:
    image = write_png(
        prompt="a red\nstar",
        negative_prompt="yellow",
        sampler=Sampler.DPM_2M_KARRAS,
        adapters=(INK,),
        refiner=0.2,
    )

    assert image.info["parameters"] == (
        "a red star <lora:ink:0.8>\n"
        "Negative prompt: yellow\n"
        "Steps: 6, Sampler: DPM++ 2M Karras, CFG scale: 5, Seed: 42, Size: 152x104, Model hash: 31e35c80fc, "
        'Model: painter_v2, Lora hashes: "ink: cdcdcdcdcdcd", Refiner switch at: 0.8'
    )


def test_what_followed_the_denoising_is_named_as_a1111_names_it() -> None:
    text, values = (
        write_png(steps=20, hires=1.5, finish=Finish(enlarge=4, refine=0.2)).info[key]
        for key in ("parameters", "recipe")
    )

    assert text.endswith(
        "Hires upscale: 1.5, Hires steps: 5, Hires upscaler: demo, Denoising strength: 0.25, "
        "Postprocess upscale by: 4, Postprocess upscaler: demo, SD upscale denoising strength: 0.2"
    )
    assert {"hires": 1.5, "enlarge": 4, "refine": 0.2}.items() <= json.loads(values).items()


def test_a_prompt_that_begins_like_what_to_avoid_is_not_taken_for_it() -> None:
    first, *others = (
        write_png(prompt="Negative prompt: on a sign", negative_prompt="").info["parameters"].splitlines()
    )

    assert not first.startswith("Negative prompt:")
    assert first.removeprefix("\u2060") == "Negative prompt: on a sign"
    assert len(others) == 1


def test_a_models_name_with_commas_is_one_value() -> None:
    recipe = Recipe(request=request(), seed=42, size=Size(width=152, height=104), model="fine, v1")

    assert recipe.a1111_text().endswith('Model: "fine, v1"')


def test_a_variation_is_named_as_a1111_names_it() -> None:
    recipe = Recipe(
        request=request(variation=0.15, variation_seed=3),
        seed=42,
        size=Size(width=152, height=104),
        model="demo",
        variation_seed=5,
    )

    assert recipe.a1111_text().endswith("Model: demo, Variation seed: 5, Variation seed strength: 0.15")


def test_a_fast_picture_says_so_and_others_say_nothing_of_it() -> None:
    fast, exact = (
        Recipe(request=request(fast=fast), seed=42, size=Size(width=152, height=104), model="demo")
        for fast in (True, False)
    )

    assert fast.a1111_text().endswith("Model: demo, Fast: true")
    assert "Fast" not in exact.a1111_text()


def test_what_a_picture_started_from_is_named_by_its_hash() -> None:
    source = Source(sha256=Sha256("a" * 64), strength=0.4, job="k3f9qa", place=2)
    recipe = Recipe(request=request(source=source), seed=42, size=Size(width=152, height=104), model="demo")

    assert recipe.a1111_text().endswith(f"Denoising strength: 0.4, Init image hash: {'a' * 64}")
    assert recipe.values()["source"] == {"sha256": "a" * 64, "strength": 0.4}


def test_the_recipe_as_json_holds_every_value() -> None:
    recipe = json.loads(write_png(prompt="ein Stern 🌟", adapters=(INK,)).info["recipe"])

    assert recipe == {
        "prompt": "ein Stern 🌟",
        "negative_prompt": "",
        "steps": 6,
        "guidance_scale": 5.0,
        "seed": 42,
        "width": 152,
        "height": 104,
        "sampler": "Euler",
        "refiner": 0.0,
        "variation": 0.0,
        "variation_seed": 0,
        "fast": False,
        "adapters": [{"name": "ink", "sha256": "ab" * 32, "weight": 0.8}],
        "model": "painter_v2",
    }


def test_the_picture_says_that_a_model_made_it() -> None:
    packet = ElementTree.fromstring(write_png().info["XML:com.adobe.xmp"])

    (description,) = packet.iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description")
    assert description.attrib["{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"] == (
        "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    )


def test_hashes_are_those_that_a1111_and_civitai_know_the_files_by(studio: Studio, files: Path) -> None:
    lora = kohya(make_lora(studio._model.base, of=attention, seed=9))
    use = store(files, lora, metadata={"ss_output_name": "one"})
    renamed = store(files, lora, metadata={"ss_output_name": "another", "note": "of the same numbers"})
    whole = stored_path(files, use.sha256).read_bytes()
    numbers = hashlib.sha256(whole[8 + int.from_bytes(whole[:8], "little") :]).hexdigest()
    unet = (DEMO / "base/unet/diffusion_pytorch_model.safetensors").read_bytes()

    first, second = (
        event
        for lora in (use, renamed)
        for event in work(studio, {0: [request(adapters=(lora,))]})
        if isinstance(event, Painted)
    )

    assert use.sha256 != renamed.sha256
    for event in (first, second):
        parameters = Image.open(io.BytesIO(event.pictures[0].png)).info["parameters"]
        assert f'Lora hashes: "ink: {numbers[:12]}"' in parameters
        assert f"Model hash: {hashlib.sha256(unet).hexdigest()[:10]}, Model: demo" in parameters


def test_a_checkpoint_is_known_by_its_whole_file(tmp_path: Path) -> None:
    checkpoint = tmp_path / "painter.safetensors"
    checkpoint.write_bytes(b"weights")

    assert ModelHash(str(checkpoint)).get() == hashlib.sha256(b"weights").hexdigest()[:10]
    assert ModelHash(str(tmp_path / "nothing.safetensors")).get() == ""
    assert ModelHash(str(tmp_path)).get() == ""
    assert ModelHash("no//such//model").get() == ""


def test_what_the_engine_hands_out_carries_its_recipe(studio: Studio) -> None:
    (result,) = [event for event in work(studio, {0: [request(count=2)]}) if isinstance(event, Painted)]

    seeds = [
        json.loads(Image.open(io.BytesIO(picture.png)).info["recipe"])["seed"] for picture in result.pictures
    ]
    assert seeds == [7, 8]
