"""The benchmark's page and tables: whole, self-contained, safe against names, the same figures in every form."""

import io
import json
import re

import pytest
from rich.console import Console

from openmoon.evaluation.benchmark.results import Benchmark, LabelCell, Origin
from openmoon.evaluation.benchmark.scores import Scores
from openmoon.evaluation.benchmark.tables import Row, grids, heads_once, to_markdown
from openmoon.evaluation.results import Cell
from openmoon.report.benchmark import write_benchmark_page
from tests.report.test_page import Page

EVIL = "<b>[red]evil[/]|x</b>"


def recalls(value):
    return {"recall@1": value, "recall@5": 0.8, "recall@10": 0.9, "mrr": 0.5, "ndcg@10": 0.6, "median_rank": 3.0}


def label(name, view, scores):
    return LabelCell(label=name, view=view, classes=3, train=1234, test=99, left_out=2, rare=1, named=0.25, metrics=scores)


@pytest.fixture
def result():
    good, poor = Scores(accuracy=0.9, precision=0.8, recall=0.7, f1=0.6), Scores(accuracy=0.1, precision=0.1, recall=0.1, f1=0.05)
    scores = {"majority": poor, "untuned": None, EVIL: good}
    way = Cell(query="text", item="title+image", pool=5432, queries=77, pairs=80, left_out=0,
               metrics={"chance": recalls(0.01), "BM25": recalls(0.2), "untuned": None, EVIL: recalls(0.4)})  # fmt: skip
    origin = Origin(suite="toy & co", revision="abc", pool=5432, queries=80, train_examples=1234, test_examples=101, seed=0,
                    encoders={"untuned": {"kind": "untuned trunks"}, EVIL: {"source": "<script>"}},
                    versions={"python": "3"}, machine={"cores": 2}, notes=["a <i>note</i>"])  # fmt: skip
    return Benchmark(
        origin=origin, ranked=["chance", "BM25", "untuned", EVIL], labelled=["majority", "untuned", EVIL], retrieval=[way],
        classification=[label("category", "both", scores)],
        attributes=[label("category", "both", scores), label("colour", "image", scores)],
    )  # fmt: skip


def test_page_is_whole_and_self_contained(tmp_path, result):
    write_benchmark_page(result, tmp_path / "benchmark.html")
    html = (tmp_path / "benchmark.html").read_text(encoding="utf-8")
    page = Page(html)
    assert page.open == []
    assert all(value.startswith("#") for _, name, value in page.attributes if name in ("src", "href"))
    assert not re.search(r"<script|<b>|<i>|url\(|@import", html)
    text = " ".join(page.text)
    for shown in ("toy & co", "5,432", "t→mm", "0.400", "Zero-shot classification", "colour", "macro F1", "a <i>note</i>", EVIL):
        assert shown in text
    ids = {value for _, name, value in page.attributes if name == "id"}
    assert {value[1:] for _, name, value in page.attributes if name == "href"} <= ids


def test_the_best_of_a_row_is_marked_and_what_is_undefined_is_a_dash(result):
    retrieval, classification, attributes = grids(result)
    row = retrieval.groups[0][0]
    assert row.values == ["0.010", "0.200", "—", "0.400"]
    assert row.best == {3}
    assert [row.best for row in classification.groups[0]] == [{2}] * 4
    assert len(attributes.groups) == 2
    assert Row([], ["0.010", "—"], [0.01, None]).best == set()  # a baseline that is alone beats nobody


def test_every_form_has_every_figure(result):
    shown = io.StringIO()
    for grid in grids(result):
        Console(file=shown, width=80, color_system=None).print(grid.to_rich())
    terminal, markdown = shown.getvalue(), to_markdown(result)
    for figure in ("0.010", "0.200", "0.400", "0.900", "0.050", "5,432"):
        assert figure in terminal, "80 columns suffice"
        assert figure in markdown
    for figure in ("**0.400**", "25%", "77"):
        assert figure in markdown
    assert "evil" in terminal
    assert "evil" in markdown
    assert "Not here, but in benchmark.md" in " ".join(terminal.split())
    lengths = {line.count("|") - line.count("\\|") for line in markdown.splitlines() if line.startswith("| t→mm")}
    assert lengths == {4 + 4 + 1}


def test_a_task_that_was_not_measured_has_no_table(result):
    bare = result.model_copy(update={"classification": [], "attributes": []})
    assert [grid.title for grid in grids(bare)] == ["Retrieval"]


def test_json_per_task_names_data_machine_and_encoders(tmp_path, result):
    paths = result.save(tmp_path)
    assert [path.name for path in paths] == ["retrieval.json", "classification.json", "attributes.json"]
    for path in paths:
        found = json.loads(path.read_text(encoding="utf-8"))
        assert {"task", "suite", "revision", "versions", "machine", "encoders", "systems", "cells", "seed"} <= set(found)
        assert found["cells"][0]["metrics"][EVIL]


def test_heads_are_said_once():
    rows = [["colour", "text", "7", "acc"], ["colour", "text", "7", "F1"], ["colour", "image", "7", "acc"],
            ["colour", "image", "7", "F1"], ["colour", "both", "9", "acc"]]  # fmt: skip
    assert heads_once([Row(head, [], []) for head in rows]) == [
        ["colour", "text", "7", "acc"], ["", "", "", "F1"], ["", "image", "7", "acc"], ["", "", "", "F1"],
        ["", "both", "9", "acc"],
    ]  # fmt: skip
