"""The tasks on the toy suite: known answers, the same questions for everyone, and what is not defined."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from openmoon.errors import UserError
from openmoon.evaluation.benchmark.labels import class_names, label_tasks
from openmoon.evaluation.benchmark.results import LabelCell
from openmoon.evaluation.benchmark.retrieval import FIVE, retrieval_task
from openmoon.evaluation.benchmark.system import System

TEXT, IMAGE = frozenset({"text"}), frozenset({"image"})


class Wrapped:
    """An encoder with limits: what it reads, and whether its text and picture vectors can be compared."""

    def __init__(self, encode, reads=None, cross_modal=True):
        self.encode, self.cross_modal, self.asked = encode, cross_modal, []
        if reads is not None:
            self.reads = reads

    def __call__(self, inputs):
        self.asked += inputs
        return self.encode(inputs)


def cell(cells: list[LabelCell], label: str, view: str) -> LabelCell:
    return next(one for one in cells if (one.label, one.view) == (label, view))


def test_five_directions_with_their_pools(suite, bags):
    names, cells, notes = retrieval_task([System("bags", bags)], suite)
    assert names == ["chance", "BM25", "bags"]
    found = {FIVE[c.query, c.item]: c for c in cells}
    assert list(found) == ["t→mm", "i→mm", "mm→mm", "t→i", "i→t"]
    assert [found[name].pool for name in found] == [3, 3, 3, 2, 2]
    assert found["t→mm"].queries == 3
    assert found["t→i"].left_out == 1  # d has no picture
    assert found["i→mm"].metrics["bags"]["recall@1"] == 1
    assert found["i→mm"].metrics["BM25"] is None
    assert found["i→mm"].metrics["chance"]["recall@1"] == pytest.approx(1 / 3)
    assert any("1 labelled queries are left out" in note for note in notes)
    assert any("2 products of the pool have only" in note for note in notes)
    assert "bags: effective rank of the pool's vectors: title+image 3, image 2, title 2" in notes


def test_a_query_that_is_part_of_the_item_is_no_task(suite, bags):
    own = replace(suite, own=frozenset({"text", "image"}))
    _, cells, notes = retrieval_task([System("bags", bags)], own)
    assert [FIVE[c.query, c.item] for c in cells] == ["t→i", "i→t"]
    assert "t→mm is left out: the query shows the item's own text" in notes


def test_a_kind_of_query_that_is_not_there_is_said(suite, bags):
    texts = replace(suite, queries=suite.queries.with_columns(query_image=pl.lit(None, pl.String)))
    _, cells, notes = retrieval_task([System("bags", bags)], texts)
    assert [FIVE[c.query, c.item] for c in cells] == ["t→mm", "t→i"]
    assert any(note.startswith("mm→mm is left out") for note in notes)


def test_no_query_for_the_pool_is_an_error(suite, bags):
    with pytest.raises(UserError, match="toy: none of its"):
        retrieval_task([System("bags", bags)], replace(suite, queries=suite.queries.tail(1)))


def test_zero_shot_by_the_name_of_the_class(suite, bags):
    zero_shot, _ = label_tasks([System("bags", bags)], suite)
    text, image, both = (cell(zero_shot, "category", view) for view in ("text", "image", "both"))
    assert (text.classes, text.test, text.left_out) == (3, 2, 1)
    assert (image.test, both.test, both.left_out) == (2, 1, 2)
    assert text.metrics["bags"].accuracy == image.metrics["bags"].accuracy == 1
    assert text.named == 1
    assert image.named is None


def test_probes_learn_from_train_alone_and_leave_out_what_is_not_taught(suite, bags):
    _, probes = label_tasks([System("bags", bags)], suite)
    assert [c.label for c in probes] == ["category"] * 3 + ["colour"] * 3
    image = cell(probes, "category", "image")
    assert (image.classes, image.train, image.test, image.rare) == (2, 20, 1, 1)  # a single mug teaches nothing
    colour = cell(probes, "colour", "image")
    assert (colour.classes, colour.train, colour.test, colour.rare) == (2, 21, 2, 0)
    assert colour.metrics["bags"].accuracy == 1
    assert colour.metrics["majority"].accuracy == 0.5  # of red and blue one each


def test_without_a_train_part_there_are_no_probes(suite, bags):
    kept = (suite.examples["split"] == "test").to_numpy()
    bare = replace(suite, examples=suite.examples.filter(kept), attributes=suite.attributes.filter(kept))
    zero_shot, probes = label_tasks([System("bags", bags)], bare)
    assert len(zero_shot) == 3
    assert probes == []


def test_what_an_encoder_does_not_read_is_not_asked_of_it(suite, bags):
    reader = Wrapped(bags, reads={TEXT})
    systems = [System("bags", bags), System("reader", reader)]
    zero_shot, probes = label_tasks(systems, suite)
    _, cells, _ = retrieval_task(systems, suite)
    assert all(set(one) == {"text"} for one in reader.asked)
    defined = {c.view for c in [*zero_shot, *probes] if c.metrics["reader"] is not None}
    assert defined == {"text"}
    assert all(c.metrics["reader"] is None for c in cells)
    assert all(c.metrics["bags"] is not None for c in [*zero_shot, *probes, *cells])


def test_trunks_that_do_not_know_each_other_have_no_zero_shot_of_pictures(suite, bags):
    zero_shot, probes = label_tasks([System("apart", Wrapped(bags, cross_modal=False))], suite)
    assert {c.view for c in zero_shot if c.metrics["apart"] is None} == {"image"}
    assert all(c.metrics["apart"] is not None for c in probes)


def test_a_table_of_vectors_is_probed_and_nothing_else(suite, bags):
    inputs = {row[0]: {"text": row[1], "image": row[2]} for row in suite.examples.iter_rows()}

    def lookup(ids):
        return bags([inputs[name] for name in ids])

    system = System("table", table=lookup)
    names, cells, _ = retrieval_task([system], suite)
    zero_shot, probes = label_tasks([system], suite)
    assert names[-1] == "table"
    assert all(c.metrics["table"] is None for c in [*cells, *zero_shot])
    assert {c.view for c in probes if c.metrics["table"] is not None} == {"both"}
    photos = replace(suite, are_products=False)
    assert all(c.metrics["table"] is None for c in label_tasks([system], photos)[1])


def test_the_order_of_systems_changes_no_figure(suite, bags):
    other = Wrapped(lambda inputs: np.roll(bags(inputs), 1, 1))
    one, two = System("a", bags), System("b", other)
    assert label_tasks([one, two], suite)[1][0].metrics["a"] == label_tasks([two, one], suite)[1][0].metrics["a"]


def test_classes_are_called_by_the_last_part_of_their_path_where_that_tells_them_apart():
    assert class_names(["Shoes > Boot", "Hat", "Bags > Other", "Hats > Other"]) == [
        "Boot", "Hat", "Bags > Other", "Hats > Other",
    ]  # fmt: skip
