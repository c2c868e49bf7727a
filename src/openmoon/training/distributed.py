"""Several processes that train one encoder (`torchrun`): who does what, and how vectors and gradients meet.

Every process encodes its share of a batch; all vectors are gathered, so each query meets the items of all processes
("spatial negatives"), and the gradient reaches the process that encoded them. Encoders are small against the cost of their
vectors, so gradients are averaged in one go, without a wrapper around the model.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class World:
    """This process is number `rank` of `size`."""

    rank: int = 0
    size: int = 1

    def share(self, total: int) -> range:
        """The rows of `total` that this process encodes: contiguous, in order of rank, as even as can be."""
        return range(total * self.rank // self.size, total * (self.rank + 1) // self.size)

    def gather(self, own: Tensor, total: int) -> Tensor:
        """The rows of all processes in order, (total, …), without gradient; `own` holds those of `share(total)`."""
        if self.size == 1:
            return own
        shares = [len(World(rank, self.size).share(total)) for rank in range(self.size)]
        padded = own.new_zeros(max(shares), *own.shape[1:])
        padded[: len(own)] = own
        everyone = [torch.empty_like(padded) for _ in shares]
        dist.all_gather(everyone, padded)
        return torch.cat([rows[:count] for rows, count in zip(everyone, shares, strict=True)])

    def agree(self, parameters: Iterable[Tensor]) -> None:
        """Give every process the leader's values."""
        if self.size > 1:
            for parameter in parameters:
                dist.broadcast(parameter.detach(), 0)

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace every gradient by its mean over the processes; a parameter without one counts as zero where another process has
        one, and stays without where none has."""
        if self.size == 1:
            return
        everything = list(parameters)
        met = torch.tensor([float(p.grad is not None) for p in everything], device=everything[0].device)
        dist.all_reduce(met)
        trained = [parameter for parameter, processes in zip(everything, met.tolist(), strict=True) if processes]
        for parameter in trained:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [p.grad for p in trained if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.size
        for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    @property
    def leads(self) -> bool:
        """Whether this process writes logs, checkpoints and results."""
        return self.rank == 0

    @contextmanager
    def leader_first(self) -> Iterator[None]:
        """What the leader writes inside (caches) is there when the others come in."""
        if self.size > 1 and not self.leads:
            dist.barrier()
        yield
        if self.size > 1 and self.leads:
            dist.barrier()

    def wait(self) -> None:
        """Go on when all processes are here."""
        if self.size > 1:
            dist.barrier()


ALONE = World()


def open_world() -> World:
    """The processes that `torchrun` started, or this one alone."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return ALONE
    if not dist.is_initialized():
        # gloo: for CPUs, and for GPUs that vectors and gradients leave once a step. The leader may fill caches for hours while
        # the others wait.
        dist.init_process_group("gloo", timeout=timedelta(days=1))
    return World(dist.get_rank(), size)
