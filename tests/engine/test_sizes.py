"""Ratios become the sizes that the model was trained at."""

import pytest

from engine.messages import InvalidRequest, Ratio, Size
from engine.sdxl.sizes import resolve_size


@pytest.mark.parametrize(
    ("across", "down", "size"),
    [
        (1, 1, (1024, 1024)),
        (3, 2, (1216, 832)),
        (2, 3, (832, 1216)),
        (16, 9, (1344, 768)),
        (9, 16, (768, 1344)),
        (4, 1, (2048, 512)),
    ],
)
def test_sdxls_ratios_are_its_training_buckets(across: int, down: int, size: tuple[int, int]) -> None:
    width, height = size

    assert resolve_size(Ratio(across=across, down=down), 1024) == Size(width=width, height=height)


def test_a_size_in_pixels_is_painted_as_it_is() -> None:
    assert resolve_size(Size(width=832, height=1216), 1024) == Size(width=832, height=1216)


def test_four_times_the_native_area_is_the_most() -> None:
    assert resolve_size(Size(width=256, height=256), 128) == Size(width=256, height=256)
    with pytest.raises(InvalidRequest):
        resolve_size(Size(width=256, height=264), 128)
