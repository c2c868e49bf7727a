"""`openmoon …` in processes that fork from one that has imported torch and transformers: seconds less for every call.

Reads a line of JSON for each call (arguments, environment, and as output two files) and answers with a line, its exit status.
Only what starts no threads is imported here, since a fork loses them: not polars, and so nothing of openmoon that needs it.
All calls share one seed of Python's hashes: what must not depend on it is asked of `conftest.fresh`, too.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys

from openmoon.runtime import tune_process

IMPORTED = (
    "matplotlib.figure", "scipy.ndimage", "torch._dynamo", "torch.utils.tensorboard", "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto", "transformers.models.bert.modeling_bert",
    "transformers.models.vit.modeling_vit",
)  # fmt: skip


def serve() -> list[str] | None:
    """Fork for each line that comes; in the child, which is set up for the call, the arguments; in the server None at the end."""
    for line in sys.stdin:
        call = json.loads(line)
        if (child := os.fork()) == 0:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            for place, file in enumerate(call["output"], 1):
                os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), place)
            os.environ.clear()
            os.environ.update(call["environment"])
            return call["arguments"]
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    return None


if __name__ == "__main__":
    tune_process()
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()  # else every child copies the pages of all objects when it collects, and when it ends
    assert len(os.listdir("/proc/self/task")) == 1, "a fork would lose threads"
    if (arguments := serve()) is not None:
        from openmoon.cli import main

        sys.argv = ["openmoon", *arguments]
        main()
