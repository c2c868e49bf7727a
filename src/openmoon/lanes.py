"""Work side by side on a CPU: each item whole in a thread of its own that shares its arithmetic with no other.

Two cores that compute one batch together wait for each other after every operation, and for whatever else runs beside them;
two cores that compute a batch each do not.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

MOST = 8  # batches computed at a time: their memory adds up
Item = TypeVar("Item")
Result = TypeVar("Result")
_STARTING = threading.Lock()


def cpu_lanes() -> int:
    """How many batches this process computes at a time on a CPU: one for each of torch's threads, at most `MOST`."""
    return min(torch.get_num_threads(), MOST)


def in_lanes(work: Callable[[Item], Result], items: Iterable[Item], lanes: int) -> Iterator[tuple[Item, Result]]:
    """Each item and what `work` makes of it, in order; `lanes` items are worked on while the next one is drawn.

    The lanes share out torch's threads of the caller; a single lane is the caller's own thread. An error in `work` is raised
    here, in its turn, and ends the rest.
    """
    if lanes == 1:
        yield from ((item, work(item)) for item in items)
        return
    pool = _started(lanes)
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


def _started(lanes: int) -> ThreadPoolExecutor:
    """Threads that have begun, each with its share of torch's. What torch is told in one thread is also what threads that begin
    later take, so the caller's number is put back at once."""
    with _STARTING:
        threads, together = torch.get_num_threads(), threading.Barrier(lanes + 1)

        def enter() -> None:
            torch.set_num_threads(max(1, threads // lanes))
            torch.get_num_threads()  # the first question in a thread settles its number, for which it looks at the latest told
            together.wait()

        pool = ThreadPoolExecutor(lanes, initializer=enter)
        for _ in range(lanes):
            pool.submit(int)
        together.wait()
        torch.set_num_threads(threads)
    return pool


def _first(begun: deque[tuple[Item, Future[Result]]]) -> tuple[Item, Result]:
    item, result = begun.popleft()
    return item, result.result()
