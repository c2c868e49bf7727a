"""The result of a benchmark: one JSON per task, each with all that is needed to read, compare and repeat it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from openmoon.evaluation.benchmark.scores import Scores
from openmoon.evaluation.results import Cell
from openmoon.io import write_json


class LabelCell(BaseModel):
    """One label under one view of the examples, with the scores of every system on the same test examples."""

    model_config = ConfigDict(extra="forbid")

    label: str  # category, or an attribute
    view: str  # text, image, both
    classes: int
    train: int  # examples that teach probes (and the majority class)
    test: int  # examples measured
    left_out: int  # labelled test examples that lack this view
    rare: int  # test examples whose value is hardly in the train part
    named: float | None  # share of the test examples whose title holds the value; None where no title is shown
    metrics: dict[str, Scores | None]  # None where a system has no such view, or cannot compare it with a class name


class Origin(BaseModel):
    """What was measured, of whom, with what, on what. `revision` is the hash of the suite's data."""

    model_config = ConfigDict(extra="forbid")

    suite: str
    revision: str
    pool: int  # products that may be found
    queries: int  # labelled (query, product) pairs
    train_examples: int
    test_examples: int
    seed: int
    encoders: dict[str, dict[str, str]]  # name → what identifies it
    versions: dict[str, str]
    machine: dict[str, str | int]
    notes: list[str]


class Benchmark(BaseModel):
    """All tasks. The systems of a task are its baselines and then the encoders, in the order they were given."""

    model_config = ConfigDict(extra="forbid")

    origin: Origin
    ranked: list[str]  # systems of retrieval
    labelled: list[str]  # systems of classification and attributes
    retrieval: list[Cell]
    classification: list[LabelCell]
    attributes: list[LabelCell]

    def save(self, folder: Path) -> list[Path]:
        """Write retrieval.json, classification.json and attributes.json, each atomically; returns their paths."""
        tasks: dict[str, tuple[list[str], Sequence[BaseModel]]] = {
            "retrieval": (self.ranked, self.retrieval),
            "classification": (self.labelled, self.classification),
            "attributes": (self.labelled, self.attributes),
        }
        for task, (systems, cells) in tasks.items():
            rows = [cell.model_dump() for cell in cells]
            write_json(folder / f"{task}.json", {"task": task, **self.origin.model_dump(), "systems": systems, "cells": rows})
        return [folder / f"{task}.json" for task in tasks]
