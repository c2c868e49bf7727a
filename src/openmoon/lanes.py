"""Work side by side on a CPU: each item whole in a thread of its own that shares its arithmetic with no other.

Two cores that compute one batch together wait for each other after every operation, and for whatever else runs beside them;
two cores that compute a batch each do not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

MOST = 8  # items at a time: their memory adds up
Item = TypeVar("Item")
Result = TypeVar("Result")


def in_lanes(work: Callable[[Item], Result], items: Iterable[Item], lanes: int) -> Iterator[tuple[Item, Result]]:
    """Each item and what `work` makes of it, in order; `lanes` (at most `MOST`) are worked on while the next one is drawn.

    The lanes share out torch's threads of the caller. An error in `work` is raised here, in its turn, and ends the rest.
    """
    lanes, threads = min(lanes, MOST), torch.get_num_threads()
    pool = ThreadPoolExecutor(lanes, initializer=torch.set_num_threads, initargs=(max(1, threads // lanes),))
    begun: deque[tuple[Item, Future[Result]]] = deque()
    try:
        for item in items:
            begun.append((item, pool.submit(work, item)))
            if len(begun) > lanes:
                yield _first(begun)
        while begun:
            yield _first(begun)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)  # the lanes' number is also what threads that begin later would take


def _first(begun: deque[tuple[Item, Future[Result]]]) -> tuple[Item, Result]:
    item, result = begun.popleft()
    return item, result.result()
