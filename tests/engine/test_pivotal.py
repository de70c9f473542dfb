"""Pivotal tuning: the trigger is taught as new tokens, which come in the LoRA's file."""

from dataclasses import replace

import pytest
import safetensors.torch

from commands.presets import find_preset, training_settings
from engine.demo.lora_trials import ARROW, LoraTrials
from engine.messages import FileStore


@pytest.mark.timeout(900)  # a whole training on a busy machine
def test_pivotal_tuning_teaches_a_new_token(school: LoraTrials) -> None:
    pivotal = {"new_tokens": 2, "token_learning_rate": 5e-3, "steps": 200}
    with_word = school.train(
        "token",
        school.training_pictures(ARROW),
        training_settings(find_preset("subject"), 8, pivotal, small=True),
    ).best
    store = FileStore(school.folder)
    tensors = safetensors.torch.load(store.get(with_word.sha256))
    of_word = {name for name in tensors if name.startswith("bundle_emb")}
    others = safetensors.torch.save({name: tensors[name] for name in tensors.keys() - of_word})

    taught = school.success_rate(25, ARROW, with_word)
    forgotten = school.success_rate(25, ARROW, replace(with_word, sha256=store.put_bytes(others)))

    assert of_word
    assert taught >= 0.6
    assert forgotten <= taught / 2
