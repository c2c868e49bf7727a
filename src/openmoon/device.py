"""Where encoders are trained and run: on the GPU that torch sees, else on the CPU."""

from __future__ import annotations

import os

import torch

from openmoon.errors import UserError

VARIABLE = "OPENMOON_DEVICE"


def compute_device() -> torch.device:
    """What `OPENMOON_DEVICE` names (cpu, cuda, cuda:1 …), or without it a GPU where torch sees one. Processes of `torchrun` take
    one GPU each. Matrix products on a GPU are TF32, as its convolutions are.

    Raises `UserError` for a device that torch does not know or does not see here.
    """
    seen = torch.cuda.device_count()
    name = os.environ.get(VARIABLE) or ("cuda" if seen else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"{VARIABLE}: {name!r} is no device; expected cpu, cuda or cuda:<number>.") from error
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"{VARIABLE}: {name!r} is not supported; expected cpu, cuda or cuda:<number>.")
    if device.type == "cpu":
        return device
    number = int(os.environ.get("LOCAL_RANK", "0")) % max(seen, 1) if device.index is None else device.index
    if number >= seen:
        raise UserError(f"{VARIABLE}: {name!r}, but torch {torch.__version__} sees {seen} GPUs; name another device, or install "
                        "a build of torch for your GPU.")  # fmt: skip
    torch.backends.cuda.matmul.allow_tf32 = True
    return torch.device("cuda", number)


def device_name(device: torch.device) -> str:
    """What reports call it: cpu, or the name of the GPU."""
    return "cpu" if device.type == "cpu" else torch.cuda.get_device_name(device)
