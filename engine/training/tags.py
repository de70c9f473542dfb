"""Captions that are lists of tags, varied from step to step: shuffled, and with some tags left out."""

import torch

from engine.messages import TrainingSettings

SEPARATOR = ","


def varies_tags(settings: TrainingSettings) -> bool:
    """Whether captions are read as lists of tags, and another list each time."""
    return settings.shuffle_tags or settings.tag_dropout > 0


def vary_tags(caption: str, settings: TrainingSettings, generator: torch.Generator) -> str:
    """The caption with its tags in another order and without some, but for the first `keep_tags`.

    The random numbers of a caption depend on the generator and on how many tags it has.
    """
    if not varies_tags(settings):
        return caption
    tags = [tag.strip() for tag in caption.split(SEPARATOR) if tag.strip()]
    first, others = tags[: settings.keep_tags], tags[settings.keep_tags :]
    drawn = torch.rand(len(others), generator=generator).tolist()
    order = torch.randperm(len(others), generator=generator).tolist()
    places = order if settings.shuffle_tags else range(len(others))
    varied = [others[place] for place in places if drawn[place] >= settings.tag_dropout]
    return f"{SEPARATOR} ".join([*first, *varied])
