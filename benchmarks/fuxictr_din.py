"""FuxiCTR's DIN trained on rows in memory: the peer of benchmarks/ctr.py, which runs this in a process of its own.

    python benchmarks/fuxictr_din.py ROWS.npz '{"batch": 512, "epochs": 3, "seed": 0, ...}' FOLDER

Model, initialisation, `train_step`, Adam and gradient clipping are FuxiCTR's (`model_zoo.LongCTR.DIN`). The feature map and the
feeding of batches are written here, since FuxiCTR's own loader reads Parquet files and is slower. ROWS.npz holds, for train and
test, {side}_user, _item, _category, _label (n,), _hist_item, _hist_category (n, L; 0 where there is nothing), and n_user,
n_item, n_category, one more than the largest number of each. Writes scores.npy of the test rows and start.npz, the weights before
the first step, to FOLDER, and prints one line of JSON. Needs nothing of openmoon.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import sys
import tempfile
import time
import types
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

INSTALL = ("pip install torch h5py pandas polars pyarrow pydantic pyyaml scikit-learn tqdm && "
           "pip install --no-deps fuxictr==2.3.10")  # fmt: skip
FIELDS = ("user", "item", "category", "hist_item", "hist_category", "label")
Batch = tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], torch.Tensor]


def stand_in_for_ray() -> None:
    """FuxiCTR imports Ray for preparing files, which is not done here; without Ray an empty module passes for it."""
    if importlib.util.find_spec("ray") is not None:
        return
    empty = {"ray": {}, "ray.data": {"SaveMode": object, "TaskPoolStrategy": object}, "ray.data.datasource": {},
             "ray.data.datasource.filename_provider": {"FilenameProvider": object}}  # fmt: skip
    for name, content in empty.items():
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = []
        vars(sys.modules[name]).update(content)


def new_model(sizes: dict[str, int], options: dict, folder: str) -> Any:
    """DIN with a field of the row (user) and two of an item, which targets and behaviours share."""
    from fuxictr.features import FeatureMap
    from fuxictr.pytorch.torch_utils import seed_everything
    from model_zoo.LongCTR import DIN

    fields = FeatureMap("rows", folder)
    of_item = {"source": "item", "type": "categorical"}
    fields.features = OrderedDict(
        user={"source": "user", "type": "categorical", "vocab_size": sizes["user"]},
        item={**of_item, "vocab_size": sizes["item"], "padding_idx": 0},
        category={**of_item, "vocab_size": sizes["category"]},  # a query among the behaviours has none, which is no padding
    )
    fields.labels, fields.default_emb_dim = ["label"], options["dim"]
    fields.num_fields, fields.total_features = fields.get_num_fields(), sum(sizes.values())
    fields.set_column_index()
    seed_everything(options["seed"])
    return DIN(
        fields, gpu=-1, embedding_dim=options["dim"], attention_hidden_units=[options["attention"]],
        attention_hidden_activations=options["activation"], dnn_hidden_units=options["hidden"], learning_rate=options["lr"],
        optimizer="adam", loss="binary_crossentropy", metrics=["AUC"], model_root=folder, verbose=0,
    )  # fmt: skip


def batches(columns: dict[str, torch.Tensor], size: int, order: torch.Tensor) -> Iterator[Batch]:
    """Rows in this order, as DIN takes them: fields of the row, fields of its items (behaviours, then the target), the mask of
    the behaviours. Columns that are empty in the whole batch are cut off, as FuxiCTR's loader does."""
    for rows in order.split(size):
        cut = {name: column.index_select(0, rows) for name, column in columns.items()}
        length = max(1, int((cut["hist_item"] > 0).sum(1).max()))
        past = {name: cut[f"hist_{name}"][:, :length] for name in ("item", "category")}
        items = {name: torch.cat([past[name], cut[name][:, None]], 1).flatten() for name in past}
        yield {"user": cut["user"], "label": cut["label"]}, items, (past["item"] > 0).float()


def memory(what: str) -> float:
    """MiB that this process holds (VmRSS), or held at its peak (VmHWM)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(what))


def run(arrays: dict[str, np.ndarray], options: dict, out: Path) -> dict:
    """What training took. Scores of the test rows go to `out`."""
    train, test = ({name: torch.from_numpy(arrays[f"{side}_{name}"]) for name in FIELDS} for side in ("train", "test"))
    sizes = {name: int(arrays[f"n_{name}"]) for name in ("user", "item", "category")}
    with tempfile.TemporaryDirectory() as folder:
        model = new_model(sizes, options, folder)
        model._max_gradient_norm, model._batch_index = 10.0, 0  # what FuxiCTR's `fit` sets, to its defaults
        model.train()
        np.savez(out / "start.npz", **{name: value.numpy() for name, value in model.state_dict().items()})
        generator, rows, held = torch.Generator().manual_seed(options["seed"]), len(train["label"]), memory("VmRSS")
        began, cpu = time.perf_counter(), time.process_time()
        for _ in range(options["epochs"]):
            for batch in batches(train, options["batch"], torch.randperm(rows, generator=generator)):
                model.train_step(batch).item()
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        peak = memory("VmHWM")
        np.save(out / "scores.npy", model.predict(batches(test, 4 * options["batch"], torch.arange(len(test["label"])))))
    trained = rows * options["epochs"]
    return {"rows_per_s": trained / seconds, "rows_per_cpu_s": trained / cpu, "peak_mib": peak,
               "above_start_mib": peak - held, "parameters": sum(p.numel() for p in model.parameters())}  # fmt: skip


def main() -> None:
    stand_in_for_ray()
    try:
        from fuxictr.version import __version__
    except ImportError:
        sys.exit(f"{sys.executable} has no fuxictr; in an environment of its own: {INSTALL}")
    logging.getLogger().setLevel(logging.WARNING)
    torch.set_num_threads(1)
    path, options, out = sys.argv[1:]
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    figures = run(arrays, json.loads(options), Path(out))
    versions = {"python": sys.version.split()[0], "torch": torch.__version__, "fuxictr": __version__}
    print(json.dumps({**figures, "versions": versions}))


if __name__ == "__main__":
    main()
