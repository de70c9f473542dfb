"""The next micro-batch is prepared beside the current step, and a loss is read a step late."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from engine.training.loss import Rows
from engine.training.prefetch import LateLosses, RowPrefetcher

CPU = torch.device("cpu")


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=1) as pool:
        yield pool


class Maker:
    """Makes micro-batches whose noise is their number, and notes where each was made."""

    def __init__(self) -> None:
        self.threads: dict[tuple[int, int], int] = {}

    def __call__(self, number: int, batch: int) -> Rows:
        if number == 13:
            raise OSError("the file is gone")
        self.threads[number, batch] = threading.get_ident()
        numbers: Any = torch.full((batch,), float(number))
        return Rows(
            noisy=numbers, target=numbers, timesteps=numbers, weights=numbers, time_ids=numbers, captions=()
        )


def numbers(rows: Rows) -> list[float]:
    values: list[float] = rows.noisy.tolist()
    return values


def test_the_next_micro_batch_is_made_before_anybody_asks_and_not_in_the_steps_thread(
    pool: ThreadPoolExecutor,
) -> None:
    make = Maker()
    prefetcher = RowPrefetcher(make, CPU, pool)

    first = numbers(prefetcher.rows(4, 2))
    pool.submit(int).result()  # the pool has had its turn

    assert first == [4, 4]
    assert (5, 2) in make.threads
    assert threading.get_ident() not in make.threads.values()
    assert numbers(prefetcher.rows(5, 2)) == [5, 5]


def test_another_micro_batch_than_the_next_is_made_all_the_same(pool: ThreadPoolExecutor) -> None:
    prefetcher = RowPrefetcher(Maker(), CPU, pool)

    asked = [numbers(prefetcher.rows(*which)) for which in ((0, 4), (1, 2), (2, 2), (9, 1))]

    assert asked == [[0] * 4, [1] * 2, [2] * 2, [9]]


def test_a_fault_is_raised_by_who_asks_for_what_it_spoiled(pool: ThreadPoolExecutor) -> None:
    prefetcher = RowPrefetcher(Maker(), CPU, pool)

    assert numbers(prefetcher.rows(12, 1)) == [12]
    with pytest.raises(OSError, match="the file is gone"):
        prefetcher.rows(13, 1)
    assert numbers(prefetcher.rows(14, 1)) == [14]


def test_the_loss_of_the_step_just_begun_is_not_waited_for() -> None:
    late = LateLosses()
    unread = torch.empty((), device="meta")  # whose number cannot be had

    assert list(late.add(1, torch.tensor(0.5))) == []
    assert list(late.add(2, torch.tensor(0.25))) == [(1, 0.5)]
    assert list(late.add(3, unread)) == [(2, 0.25)]
    with pytest.raises(RuntimeError):
        list(late.read())
