"""Readers: one per data layout, each from a local folder to a `Suite`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from openmoon.evaluation.benchmark.suite import Suite
from openmoon.evaluation.benchmark.suites.fashion200k import read_fashion200k
from openmoon.evaluation.benchmark.suites.grocery import read_grocery
from openmoon.evaluation.benchmark.suites.m5product import read_m5product
from openmoon.evaluation.benchmark.suites.mbe import read_mbe, read_mbe2
from openmoon.evaluation.benchmark.suites.shops import read_fashion, read_sample

Reader = Callable[[Path, Path, Callable[[int], object]], Suite]
"""(data folder, folder for decoded pictures, told how many pictures were looked at) → the suite."""

READERS: dict[str, Reader] = {
    "sample": read_sample,
    "fashion": read_fashion,
    "grocery": read_grocery,
    "mbe": read_mbe,
    "mbe2": read_mbe2,
    "m5product": read_m5product,
    "fashion200k": read_fashion200k,
}

__all__ = ["READERS", "Reader"]
