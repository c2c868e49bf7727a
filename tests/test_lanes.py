"""Lanes give what a loop gives, in its order, and hold neither more items nor more threads than they say."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from openmoon.lanes import in_lanes


@pytest.mark.parametrize("lanes", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 4, 40])
def test_results_come_in_order(lanes: int, count: int) -> None:
    def work(item: int) -> int:
        time.sleep(0.001 * (item % 3))
        return item * item

    assert list(in_lanes(work, range(count), lanes)) == [(item, item * item) for item in range(count)]


def test_lanes_work_at_the_same_time_and_draw_no_further_ahead() -> None:
    together, drawn, most_ahead = threading.Barrier(3, timeout=30), 0, 0

    def items() -> Iterator[int]:
        nonlocal drawn
        for item in range(12):
            drawn += 1
            yield item

    for done, _ in enumerate(in_lanes(lambda _: together.wait(), items(), 3)):
        most_ahead = max(most_ahead, drawn - done)
    assert most_ahead == 4


def test_lanes_share_out_the_threads_of_torch() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        for lanes, each in ((1, 4), (2, 2), (3, 1), (8, 1)):
            for _, result in in_lanes(lambda _: torch.get_num_threads(), range(9), lanes):
                later: list[int] = []
                thread = threading.Thread(target=lambda kept=later: kept.append(torch.get_num_threads()))  # type: ignore[misc]
                thread.start()
                thread.join()
                assert (result, torch.get_num_threads(), later) == (each, 4, [4])
    finally:
        torch.set_num_threads(before)


def test_an_error_comes_in_its_turn_and_ends_the_rest() -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        if item == 3:
            raise ValueError("item 3")
        return item

    results = in_lanes(work, range(100), 2)
    assert [next(results)[0] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="item 3"):
        next(results)
    assert max(begun) <= 5, "nothing is drawn after the error"
