"""Where encoders are trained and run: on the GPU that torch sees, else on the CPU."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from openmoon.errors import UserError

VARIABLE = "OPENMOON_DEVICE"


def compute_device() -> torch.device:
    """What `OPENMOON_DEVICE` names (cpu, cuda, cuda:1 …), or without it a GPU where torch can use one. Processes of `torchrun`
    take the GPUs in turn unless a number is named.

    Raises `UserError` for a device that is none of these or not there.
    """
    usable = torch.cuda.device_count() if torch.cuda.is_available() else 0
    name = os.environ.get(VARIABLE) or ("cuda" if usable else "cpu")
    if name == "cpu":
        return torch.device("cpu")
    found = re.fullmatch(r"cuda(?::(\d+))?", name)
    if found is None:
        raise UserError(f"{VARIABLE}: {name!r} is no device; expected cpu, cuda or cuda:<number>.")
    number = int(found[1] or int(os.environ.get("LOCAL_RANK", "0")) % max(usable, 1))
    if number >= usable:
        raise UserError(f"{VARIABLE}: {name!r}, but torch {torch.__version__} can use {usable} GPUs here; name another device, "
                        "or install a build of torch for your GPU and its driver.")  # fmt: skip
    return torch.device("cuda", number)


def device_name(device: torch.device) -> str:
    """What reports call it: cpu, or the name of the GPU."""
    return "cpu" if device.type == "cpu" else torch.cuda.get_device_name(device)


@contextmanager
def coarse_products() -> Iterator[None]:
    """Matrix products on a GPU in TF32 while the block runs, as torch's convolutions always are: training does not mind.
    Elsewhere they are in float32, so that equal inputs get equal vectors."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
