"""`openmoon export`: the encoder as ONNX graphs, in float and int8, with what int8 costs and gains."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.table import Table

from openmoon.builders.held_out import can_evaluate, held_out_items, held_out_queries
from openmoon.builders.trained import load_latest, warn_if_foreign
from openmoon.builders.workspace import Workspace, open_workspace, require_size
from openmoon.config import Recipe
from openmoon.console import console, plain
from openmoon.evaluation.encode import Encode
from openmoon.evaluation.results import RetrievalResult
from openmoon.evaluation.retrieval import evaluate_retrieval
from openmoon.io import write_json
from openmoon.models.encoder import ProductEncoder
from openmoon.models.onnx.folder import FLOAT, GRAPHS, INT8, load_onnx, save_onnx
from openmoon.runtime import machine, versions

CALIBRATION, BATCH = 256, 16  # pictures that set the ranges of int8
TIMED = 256  # products and as many queries at most, for speed and agreement
ROUNDS = 3
TORCH, ONNX, ONNX_INT8 = "torch", "ONNX float", "ONNX int8"


@dataclass(frozen=True)
class ExportReport:
    """By system: products encoded a second, cosine to torch (mean and least), MiB on disk; and the recall of all."""

    speed: dict[str, float]
    agreement: dict[str, tuple[float, float]]
    size: dict[str, float]
    recall: RetrievalResult | None

    def to_table(self) -> Table:
        """The systems side by side."""
        table = Table("", title="Export", title_justify="left", title_style="bold", header_style="dim")
        for system in self.speed:
            table.add_column(system, justify="right")
        rows = {
            "MiB": [f"{self.size[s]:.1f}" for s in self.speed],
            "products/s": [f"{v:.1f}" for v in self.speed.values()],
            "speed-up": [f"{v / self.speed[TORCH]:.2f}" for v in self.speed.values()],
            "cosine to torch, mean": [f"{self.agreement[s][0]:.4f}" for s in self.speed],
            "cosine to torch, least": [f"{self.agreement[s][1]:.4f}" for s in self.speed],
        }
        for cell in self.recall.cells if self.recall else []:
            for metric, name in (("recall@1", "R@1"), ("recall@10", "R@10")):
                values = {s: found[metric] for s in self.speed if (found := cell.metrics.get(s)) is not None}
                rows[f"{cell.name}, {name}"] = [f"{value:.3f}" for value in values.values()]
        for head, cells in rows.items():
            table.add_row(head, *cells)
        return table


def export(recipe: Recipe, out: Path | None = None, encoder_folder: Path | None = None, int8: bool = True) -> ExportReport:
    """Write the graphs to `out` (default `<workdir>/onnx-export`) and measure them on held-out products: torch, ONNX in float,
    and with `int8` ONNX in int8. The figures go to `report.json` beside the graphs."""
    work = open_workspace(recipe, labels=True)
    if encoder_folder is None:
        encoder = load_latest(work)
    else:
        encoder = ProductEncoder.from_pretrained(encoder_folder)
        warn_if_foreign("--encoder", encoder_folder, work)
    require_size(encoder, work)
    folder = out or recipe.workdir / "onnx-export"
    console.print("  writing graphs" + (" and their int8 copies" if int8 else ""))
    save_onnx(encoder, folder, (lambda: calibration(work)) if int8 else None)
    systems = {TORCH: encoder, ONNX: load_onnx(encoder, folder)}
    if int8:
        systems[ONNX_INT8] = load_onnx(encoder, folder, INT8)
    report = _measure(work, systems, folder)
    write_json(folder / "report.json", {
        "speed": report.speed, "agreement": report.agreement, "size_mib": report.size,
        "recall": report.recall.model_dump(mode="json") if report.recall else None,
        "versions": versions(), "machine": machine(),
    })  # fmt: skip
    console.print(f"  wrote {plain(folder)}")
    return report


def calibration(work: Workspace) -> list[np.ndarray]:
    """Pixels of pictures of the training split, drawn at random: batches (B, 3, S, S) float32 in 0–255."""
    train = work.items[work.rows("train")]
    keys = train["image_key"].drop_nulls().unique().sort().sample(fraction=1.0, shuffle=True, seed=0).to_list()[:CALIBRATION]
    batches = [work.images.pixels(keys[start : start + BATCH]) for start in range(0, len(keys), BATCH)]
    return [np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32) for pixels in batches]


def _measure(work: Workspace, systems: dict[str, ProductEncoder], folder: Path) -> ExportReport:
    items = held_out_items(work)
    some = [{k: v for k, v in row.items() if v} for row in items.select("image", text="rich").head(TIMED).iter_rows(named=True)]
    speed, agreement, size = {}, {}, {}
    first: np.ndarray | None = None
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    for _ in range(ROUNDS):  # interleaved: what slows the machine slows all
        for name, encoder in systems.items():
            started = time.perf_counter()
            vectors = encoder.encode(some)
            seconds[name].append(time.perf_counter() - started)
            first = vectors if first is None else first
            cosine = (first * vectors).sum(1)
            agreement[name] = float(cosine.mean()), float(cosine.min())
    for name in systems:
        speed[name] = len(some) / float(np.median(seconds[name]))
        precision = INT8 if name == ONNX_INT8 else FLOAT
        files = [folder / f"{graph}{precision}.onnx" for graph in GRAPHS]
        size[name] = sum(file.stat().st_size for file in files) / 2**20
    return ExportReport(speed, agreement, size, _recall(work, systems) if can_evaluate(work.shop) else None)


def _recall(work: Workspace, systems: dict[str, ProductEncoder]) -> RetrievalResult:
    recipe = work.recipe
    encodes: dict[str, Encode] = {name: encoder.encode for name, encoder in systems.items()}
    return evaluate_retrieval(
        encodes, held_out_queries(work), held_out_items(work), recipe=recipe.model_dump(mode="json"), split="test",
        data_hash=work.data_hash, seed=recipe.seed, views=["image", "rich+image"], max_queries=recipe.evaluate.max_queries,
        progress=console.is_terminal, device=torch.device("cpu"),
    )  # fmt: skip
