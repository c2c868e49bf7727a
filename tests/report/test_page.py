"""The report: whole, self-contained, safe against what titles hold, and honest about what is absent."""

import base64
import re
from html.parser import HTMLParser

import pytest
from PIL import Image

from openmoon.errors import UserError
from openmoon.evaluation.examples import Example, Hit
from openmoon.evaluation.results import Cell, RetrievalResult
from openmoon.report.curves import POINTS, charts_by_stage, throughput
from openmoon.report.data import ReportData, read_metrics
from openmoon.report.page import write_report
from openmoon.report.tables import colours, glance, headlines, tables

VOID = {"meta", "img", "link", "br", "input", "hr"}


class Page(HTMLParser):
    """Collects text, attributes and unclosed tags."""

    def __init__(self, html):
        super().__init__()
        self.open, self.attributes, self.text = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def metrics(recall):
    return {"recall@1": recall, "recall@5": 0.8, "recall@10": 0.9, "mrr": 0.5, "ndcg@10": 0.6, "median_rank": 3.0}


@pytest.fixture
def result():
    shared = {"chance": metrics(0.01), "BM25": None, "stage 1": metrics(0.4), "stage 2": metrics(0.6)}
    cells = [
        Cell(query="image", item="image", pool=1234, queries=99, pairs=101, left_out=2,
             metrics=shared | {"untuned": metrics(0.3)}),
        Cell(query="image", item="rich+image", pool=1300, queries=99, pairs=103, left_out=0,
             metrics=shared | {"untuned": None}),
    ]  # fmt: skip
    return RetrievalResult(
        recipe={"name": "toy"}, split="test", data_hash="abc", seed=7, versions={"python": "3.11"},
        machine={"cores": 2}, pool=1300, labels=103, unknown_products=0,
        systems=["chance", "BM25", "untuned", "stage 1", "stage 2"], cells=cells,
    )  # fmt: skip


@pytest.fixture
def examples(tmp_path):
    Image.new("RGB", (400, 300), "red").save(tmp_path / "red.png")
    (tmp_path / "broken.jpg").write_bytes(b"?")
    evil = Hit("p1", "<script>alert('x')</script>", str(tmp_path / "red.png"), 0.9, True)
    bare = Hit("p2", None, None, 0.5, False)
    broken = Hit("p3", "broken", str(tmp_path / "broken.jpg"), 0.4, False)
    return [
        Example("<b>boots</b>", None, [evil], {"untuned": [bare, evil], "stage 2": [evil, broken]}, solved=True),
        Example(None, str(tmp_path / "red.png"), [evil] * 3, {"stage 2": [bare]}, solved=False),
    ]


STEPS = (1, 2, 3)
LOG = [
    {"stage": "posttrain", "step": 0, "val": {"score": 0.1}},
    *({"stage": "posttrain", "step": s, "loss": 4 / s, "temperature": 0.05, "samples_per_s": 100 + s} for s in STEPS),
    {"stage": "posttrain", "step": 2, "val": {"score": 0.7}},
    {"stage": "posttrain", "step": 3, "val": {"score": 0.6}},
]


def test_page_is_whole_and_self_contained(tmp_path, result, examples):
    counts = {"Catalogue": {"products": 12345, "split": "by SPU"}}
    write_report(ReportData("toy & co", {"name": "toy"}, counts, LOG, result, examples), tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    page = Page(html)
    assert page.open == []
    links = [value for _, name, value in page.attributes if name in ("src", "href")]
    assert all(link.startswith(("data:image/", "#")) for link in links)
    assert "url(" not in html
    assert "@import" not in html
    assert "<script" not in html
    pictures, texts = ([a for a in page.attributes if a[:2] == ("img", name)] for name in ("src", "alt"))
    assert len(pictures) == len(texts) > 0
    text = " ".join(page.text)
    for expected in (
        "toy & co", "12,345", "<script>alert('x')</script>", "“<b>boots</b>”", "pool of 1,300 products", "no picture",
        "unreadable picture", "(no title)", "and 1 more", "best 0.7 at step 2", "0.600",
    ):  # fmt: skip
        assert expected in text
    anchors = {a[2][1:] for a in page.attributes if a[1] == "href"}
    assert anchors <= {a[2] for a in page.attributes if a[1] == "id"}


def test_thumbnails_are_small_jpegs(tmp_path, examples):
    write_report(ReportData("toy", {}, examples=examples), tmp_path / "report.html")
    found = re.findall(r"data:image/jpeg;base64,([^\"]+)", (tmp_path / "report.html").read_text())
    assert found
    assert base64.b64decode(found[0])[:2] == b"\xff\xd8"
    assert len(found[0]) < 10_000


def test_a_run_without_anything_says_so(tmp_path):
    write_report(ReportData("empty", {}), tmp_path / "report.html")
    text = " ".join(Page((tmp_path / "report.html").read_text()).text)
    for absent in ("has not been evaluated", "Nothing was trained", "No examples"):
        assert absent in text


def test_the_same_run_gives_the_same_bytes(tmp_path, result, examples):
    for name in ("one.html", "two.html"):
        write_report(ReportData("toy", {}, {}, LOG, result, examples), tmp_path / name)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_headlines_take_the_fullest_item_and_defined_encoders(result):
    (headline,) = headlines(result)
    assert headline.name == "image → rich text + image"
    assert [value.system for value in headline.values] == ["chance", "stage 1", "stage 2"]
    assert (headline.before.text, headline.after.text) == ("0.400", "0.600")


def test_tables_hold_every_system_and_mark_the_best(result):
    assert [row.name for row in tables(result)[0].rows] == result.systems
    first = glance(result)[0].values
    assert [value.text for value in first] == ["0.010", "—", "0.300", "0.400", "0.600"]
    assert [value.best for value in first] == [False] * 4 + [True]


@pytest.mark.parametrize("encoders", [[], ["one"], ["a", "b"], ["a", "b", "c", "d"]])
def test_every_system_has_a_colour(encoders):
    assert set(encoders) <= set(colours(["chance", *encoders]))


def test_curves_say_in_words_what_they_show():
    (charts,) = charts_by_stage(LOG).values()
    assert [chart.title for chart in charts] == ["Loss", "Validation score", "Temperature τ"]
    assert charts[0].alt == "Loss of posttrain: 4 at step 1, 1.33 at step 3; last 1.33"
    assert throughput(LOG, "posttrain") == 102
    assert throughput(LOG, "pretrain") is None


def test_what_a_filter_keeps_is_drawn_over_all_objectives():
    log = [{"stage": "s", "step": n, "kept, queries": 0.5 + n / 10, "kept, products": 0.7} for n in (1, 2)]
    (chart,) = charts_by_stage(log)["s"]
    assert chart.alt == "Share of the batch that counts fully of s: 0.65 at step 1, 0.7 at step 2; last 0.7"


def test_long_runs_do_not_grow_the_page():
    short, long = (
        charts_by_stage([{"stage": "s", "step": s, "loss": 1 / (1 + s)} for s in range(n)])["s"][0]
        for n in (POINTS, 100 * POINTS)
    )
    assert len(long.uri) < 2 * len(short.uri)


def test_metrics_of_a_killed_run_are_read(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"stage": "pretrain", "step": 1}\n{"stage": "pre')
    (tmp_path / "b.jsonl").write_text('{"stage": "posttrain", "step": 1}\n')
    found = read_metrics(tmp_path / "a.jsonl", tmp_path / "absent.jsonl", tmp_path / "b.jsonl")
    assert [line["stage"] for line in found] == ["pretrain", "posttrain"]
    (tmp_path / "c.jsonl").write_text("nonsense\n{}\n")
    with pytest.raises(UserError, match=r"c\.jsonl: line 1 is not JSON"):
        read_metrics(tmp_path / "c.jsonl")
