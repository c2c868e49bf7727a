"""Two tasks on labels of examples, from the same vectors: zero-shot classification, and linear probes of attributes.

Zero-shot: an example belongs to the class whose name, encoded as a text, is nearest to it; nothing is learnt, and a system
that cannot compare a name with the view has no answer. Probes (`probe.py`): every attribute, and the category too, is read
off frozen vectors by a linear map that the train part taught; only the test part is measured. Texts are titles, never the
richer text, which spells out category and attributes; `named` tells how often the title gives the answer away.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import polars as pl
from rich.progress import Progress

from openmoon.evaluation.benchmark.probe import linear_probe
from openmoon.evaluation.benchmark.results import LabelCell
from openmoon.evaluation.benchmark.scores import MAJORITY, Scores, class_scores, majority_scores
from openmoon.evaluation.benchmark.suite import Suite
from openmoon.evaluation.benchmark.system import VIEWS, System
from openmoon.evaluation.encode import can_compare, encode_table

TAUGHT = 5  # train examples that a value needs: from fewer no probe can learn it
BLOCK = 4096  # test examples in memory at a time


@dataclass(frozen=True)
class Question:
    """One label under one view, the same for every system.

    `classes` are its values; `truth` (E,) the class of each of the view's examples, −1 where there is none; `train` and
    `test` are rows of them. `left_out` test examples lack the view, `rare` have a value that is hardly in the train part;
    `named` is the share of the test examples whose title holds the value, None where the view shows no title.
    """

    label: str
    view: str
    classes: list[str]
    truth: np.ndarray
    train: np.ndarray
    test: np.ndarray
    left_out: int
    rare: int
    named: float | None


def label_tasks(
    systems: Sequence[System], suite: Suite, progress: bool = False
) -> tuple[list[LabelCell], list[LabelCell]]:
    """Cells of zero-shot classification and of attribute prediction; every system answers the same questions."""
    classification, attributes = [], []
    with Progress(disable=not progress) as bar:
        for view in VIEWS:
            examples = _with_view(suite, view)
            zero_shot, probes = _zero_shot_question(suite, view, examples), _probe_questions(suite, view, examples)
            if zero_shot is None and not probes:
                continue
            task = bar.add_task(f"Labels, {view}", total=len(systems) * len(examples))
            probed: dict[str, dict[str, Scores | None]] = {question.label: {} for question in probes}
            nearest: dict[str, Scores | None] = {}
            for system in systems:
                vectors = system.vectors(view, examples, suite.are_products, partial(bar.advance, task))
                if zero_shot:
                    nearest[system.name] = _nearest_name(system, zero_shot, vectors)
                for question in probes:
                    probed[question.label][system.name] = _probed(question, vectors)
            if zero_shot:
                classification.append(_cell(zero_shot, nearest))
            attributes += [_cell(question, probed[question.label]) for question in probes]
    order = {label: place for place, label in enumerate(["category", *suite.attributes.columns])}
    return classification, sorted(attributes, key=lambda cell: order[cell.label])


def _with_view(suite: Suite, view: str) -> pl.DataFrame:
    """The examples that have all parts of a view, with their labels in columns `label:<name>`."""
    parts = {"text": "title", "image": "image"}
    whole = pl.all_horizontal(pl.col(parts[part]).is_not_null() for part in VIEWS[view])
    labels = suite.attributes.rename(lambda name: f"label:{name}")
    table = pl.concat([suite.examples.with_columns(pl.col("category").alias("label:category")), labels], how="horizontal")
    return table.filter(whole)


def _zero_shot_question(suite: Suite, view: str, examples: pl.DataFrame) -> Question | None:
    classes = suite.examples["category"].drop_nulls().unique().sort().to_list()
    truth = _codes(examples["category"], classes)
    test = np.flatnonzero((truth >= 0) & _of(examples, "test"))
    if len(classes) < 2 or not len(test):
        return None
    train = np.flatnonzero((truth >= 0) & _of(examples, "train"))
    names = class_names(classes)
    left_out = suite.examples.filter(pl.col("category").is_not_null(), split="test").height - len(test)
    named = _named(view, examples[test], names, truth[test])
    return Question("category", view, names, truth, train, test, left_out, 0, named)


def _probe_questions(suite: Suite, view: str, examples: pl.DataFrame) -> list[Question]:
    found = (_probe_question(suite, view, examples, name) for name in ["category", *suite.attributes.columns])
    return [question for question in found if question is not None]


def _probe_question(suite: Suite, view: str, examples: pl.DataFrame, label: str) -> Question | None:
    values = examples[f"label:{label}"]
    counts = values.filter(pl.Series(_of(examples, "train"))).drop_nulls().value_counts()
    classes = counts.filter(pl.col("count") >= TAUGHT).to_series(0).sort().to_list()
    truth = _codes(values, classes)
    train, test = (np.flatnonzero((truth >= 0) & _of(examples, split)) for split in ("train", "test"))
    if len(classes) < 2 or not len(test):
        return None
    labelled = values.is_not_null().to_numpy() & _of(examples, "test")
    everywhere = suite.examples["category"] if label == "category" else suite.attributes[label]
    left_out = int((everywhere.is_not_null() & (suite.examples["split"] == "test")).sum() - labelled.sum())
    names = class_names(classes) if label == "category" else classes
    named = _named(view, examples[test], names, truth[test])
    return Question(label, view, classes, truth, train, test, left_out, int(labelled.sum() - len(test)), named)


def class_names(categories: list[str]) -> list[str]:
    """What categories are called: of paths such as `Furniture > Chair` the last part, the whole where that is not unique."""
    last = [category.rsplit(">", 1)[-1].strip() for category in categories]
    return [name if last.count(name) == 1 else category for name, category in zip(last, categories, strict=True)]


def _nearest_name(system: System, question: Question, vectors: np.ndarray | None) -> Scores | None:
    if vectors is None or system.encode is None or not can_compare(system.encode, ["text"], VIEWS[question.view]):
        return None
    names = encode_table(system.encode, pl.DataFrame({"text": question.classes}), system.name)
    answers = np.concatenate([(block @ names.T).argmax(1) for block in _blocks(vectors, question.test)])
    return class_scores(question.truth[question.test], answers)


def _probed(question: Question, vectors: np.ndarray | None) -> Scores | None:
    if vectors is None:
        return None
    taught = vectors[question.train], question.truth[question.train]
    return class_scores(question.truth[question.test], linear_probe(*taught, _blocks(vectors, question.test)))


def _blocks(vectors: np.ndarray, rows: np.ndarray) -> Iterator[np.ndarray]:
    return (vectors[rows[start : start + BLOCK]] for start in range(0, len(rows), BLOCK))


def _cell(question: Question, metrics: dict[str, Scores | None]) -> LabelCell:
    truth = question.truth[question.test]
    taught = question.truth[question.train] if len(question.train) else truth
    return LabelCell(
        label=question.label, view=question.view, classes=len(question.classes), train=len(question.train),
        test=len(question.test), left_out=question.left_out, rare=question.rare, named=question.named,
        metrics={MAJORITY: majority_scores(taught, truth), **metrics},
    )  # fmt: skip


def _codes(values: pl.Series, classes: list[str]) -> np.ndarray:
    places = {name: place for place, name in enumerate(classes)}
    return values.replace_strict(places, default=-1, return_dtype=pl.Int64).to_numpy()


def _of(examples: pl.DataFrame, split: str) -> np.ndarray:
    return (examples["split"] == split).to_numpy()


def _named(view: str, examples: pl.DataFrame, classes: list[str], truth: np.ndarray) -> float | None:
    """The share of titles that hold the name of their class, whatever its case; None where the view shows no title."""
    if "text" not in VIEWS[view]:
        return None
    titles = examples["title"].str.to_lowercase()
    names = pl.Series([classes[code] for code in truth]).str.to_lowercase()
    held = pl.DataFrame({"title": titles, "name": names}).select(pl.col("title").str.contains(pl.col("name"), literal=True))
    return float(held.to_series().fill_null(False).mean())  # type: ignore[arg-type]
