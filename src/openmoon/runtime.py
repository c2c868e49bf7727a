"""Process set-up for speed and repeatability. `tune_process` must run before torch is imported."""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import platform
import sys

PACKAGES = ("openmoon", "torch", "faiss-cpu", "transformers", "onnxruntime", "openvino", "numpy", "polars", "pyarrow", "pillow",
            "bm25s")  # fmt: skip
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def tune_process() -> None:
    """Keep freed memory in the process and let idle OpenMP threads sleep.

    glibc gives every large buffer back to the kernel and fetches it again at the next operation; on virtual machines
    those page faults cost more than the arithmetic (1.6–2.8x for EfficientNet). Does nothing where libc is not glibc.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if sys.platform.startswith("linux") and platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(_M_TOP_PAD, 64 << 20)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide results, for result files and bug reports."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def machine() -> dict[str, str | int]:
    """What the process runs on."""
    return {
        "platform": platform.platform(),
        "processor": _cpu_name(),
        "cores": cores(),
    }


def cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
    except OSError:
        return platform.processor() or "unknown"
