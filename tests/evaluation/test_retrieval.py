"""The whole evaluation with toy encoders whose right answers are known."""

import json

import numpy as np
import polars as pl
import pytest
import torch

from openmoon.errors import UserError
from openmoon.evaluation.results import RetrievalResult
from openmoon.evaluation.retrieval import evaluate_retrieval
from openmoon.evaluation.untuned import UntunedEncoder

WORDS = ["red", "blue", "green", "boot", "shirt", "hat"]


def word_vector(words):
    vector = np.array([word in words for word in WORDS], np.float32)
    return vector / max(np.linalg.norm(vector), 1e-6)


class Bags:
    """Texts are bags of words and a "picture" is its file name, so this encoder sees through both."""

    def __init__(self):
        self.seen = []

    def __call__(self, inputs):
        self.seen += inputs
        return np.stack([word_vector(" ".join(one.values()).replace("_", " ").split()) for one in inputs])


class Given:
    """As Bags, in another form."""

    def __init__(self, form):
        self.form = form

    def __call__(self, inputs):
        return self.form(Bags()(inputs))


@pytest.mark.parametrize("form", [
    np.ndarray.tolist, np.float16, lambda found: torch.tensor(found, requires_grad=True), lambda found: list(torch.tensor(found)),
    lambda found: torch.tensor(found).bfloat16(),
])  # fmt: skip
def test_vectors_may_come_in_any_form(form):
    plain, other = (evaluate({"bags": encode}).cells for encode in (Bags(), Given(form)))
    for one, two in zip(plain, other, strict=True):
        assert one.metrics["bags"] == pytest.approx(two.metrics["bags"])


@pytest.mark.parametrize(("form", "message"), [
    (lambda found: 3 * found, "a vector has length 3; .* make all of length 1"),
    (lambda found: [[1.0], [1.0, 2.0]], "what it gives is no table of numbers"),
    (lambda found: found[0], "expected vectors of shape"),
    (lambda found: found * np.nan, "NaN or infinity"),
])  # fmt: skip
def test_vectors_that_cannot_be_ranked_are_refused(form, message):
    with pytest.raises(UserError, match=f"encoder 'bags': .*{message}"):
        evaluate({"bags": Given(form)})


def untuned():
    def encode(values):
        return np.stack([word_vector(value.replace("_", " ").split()) for value in values])

    return UntunedEncoder(encode, encode, image_dim=len(WORDS), text_dim=len(WORDS))


ITEMS = pl.DataFrame(
    {
        "product_id": ["a", "b", "c", "d"],
        "title": ["red boot", "blue boot", "green hat", None],
        "rich": ["red boot", "blue boot", "green hat", " "],
        "image": ["red_boot", "blue_boot", None, "red_shirt"],
    }
)
QUERIES = pl.DataFrame(
    {
        "query_text": ["red boot", "boot", "boot", "green hat", None, "blue boot", "blue", "x"],
        "query_image": [None, None, None, None, "red_shirt", "blue_boot", None, ""],
        "product_id": ["a", "a", "b", "c", "d", "b", "a", "unknown"],
    }
)


def evaluate(encoders, queries=QUERIES, **options):
    return evaluate_retrieval(encoders, queries, ITEMS, recipe={"name": "toy"}, split="test", data_hash="0", **options)


def test_grid_pools_and_counts():
    result = evaluate({"untuned": untuned(), "tuned": Bags()})
    assert result.systems == ["chance", "BM25", "untuned", "tuned"]
    assert (result.pool, result.labels, result.unknown_products) == (4, 8, 1)
    assert [cell.name for cell in result.cells] == [
        f"{query} → {item}" for item in ("rich", "image", "rich+image") for query in ("text", "image", "text+image")
    ]  # fmt: skip
    text = result.cell("text", "rich")
    assert (text.pool, text.queries, text.pairs, text.left_out) == (3, 5, 6, 0)
    image = result.cell("text", "image")
    assert (image.pool, image.queries, image.pairs, image.left_out) == (3, 4, 5, 1)
    assert result.cell("text", "rich+image").pool == 4


def test_metrics_of_known_answers():
    result = evaluate({"untuned": untuned(), "tuned": Bags()})
    text = result.cell("text", "rich").metrics
    # All at rank 1 ("boot" → a leaves b out, and the other way round) but the mislabelled "blue" → a.
    assert text["tuned"]["recall@1"] == pytest.approx(5 / 6)
    assert text["untuned"]["recall@1"] == pytest.approx(5 / 6)
    assert text["BM25"]["recall@1"] == pytest.approx(5 / 6)
    assert text["chance"]["recall@1"] == pytest.approx(np.mean([1 / 2] * 2 + [1 / 3] * 4))
    across = result.cell("text", "image").metrics
    assert across["untuned"] is None
    assert across["BM25"] is None
    assert across["tuned"] is not None
    assert result.cell("image", "image").metrics["untuned"]["recall@1"] == 1


def test_encodes_everything_once():
    encode = Bags()
    evaluate({"tuned": encode})
    keys = [json.dumps(one) for one in encode.seen]
    assert len(keys) == len(encode.seen) == 5 + 2 + 1 + 3 + 3 + 4


def test_sampling_keeps_all_right_products_of_a_query():
    texts = ["boot", "boot", *(f"hat {i}" for i in range(20))]
    queries = pl.DataFrame({"query_text": texts, "product_id": ["a", "b", *"c" * 20]})
    for seed in range(30):
        cell = evaluate({"tuned": Bags()}, queries, max_queries=3, seed=seed).cell("text", "rich")
        assert cell.queries == 3
        assert cell.pairs in (3, 4)


def test_result_round_trip_and_tables(tmp_path):
    result = evaluate({"untuned": untuned(), "tuned": Bags()})
    result.save(tmp_path / "retrieval.json")
    loaded = RetrievalResult.load(tmp_path / "retrieval.json")
    assert loaded == result
    assert {"python", "torch"} <= set(loaded.versions)
    markdown = loaded.to_markdown(["recall@1", "median_rank"])
    assert len(markdown.splitlines()) == 2 + 2 * len(result.cells)
    row = next(line for line in markdown.splitlines() if line.startswith("| text → image |"))
    assert row.startswith("| text → image | 3 | 4 | R@1 |")
    assert row.count("—") == 2
    assert loaded.to_table().row_count == 6 * len(result.cells)
    assert loaded.best(loaded.cell("text", "rich"), "median_rank") == {"BM25", "untuned", "tuned"}


def test_without_text_queries_there_is_no_bm25():
    result = evaluate({"tuned": Bags()}, QUERIES.select("query_image", "product_id"))
    assert result.systems == ["chance", "tuned"]
    assert {cell.query for cell in result.cells} == {"image"}


def test_nothing_to_ask_is_one_clear_line():
    with pytest.raises(UserError, match="none of the 1 labelled queries of the test split"):
        evaluate({}, pl.DataFrame({"query_text": ["red"], "product_id": ["nope"]}))


def test_broken_encoder_is_named():
    with pytest.raises(UserError, match="encoder 'broken': vectors hold NaN"):
        evaluate({"broken": lambda inputs: np.full((len(inputs), 2), np.nan)})


def test_not_a_result_file(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(UserError, match=r"x\.json: not an evaluation result"):
        RetrievalResult.load(tmp_path / "x.json")


def test_untuned_counts_only_shared_modalities():
    encode = untuned()
    both = encode([{"text": "red", "image": "boot"}])
    text, image = encode([{"text": "red"}, {"image": "boot"}])
    assert float(text @ image) == 0
    assert float(both[0] @ both[0]) == pytest.approx(1)
    # an item without a picture is neither before nor behind one with a picture, for words
    assert float(both[0] @ text) == pytest.approx(float(text @ text)) == pytest.approx(0.5)
    np.testing.assert_allclose(np.linalg.norm(both), 1, rtol=1e-6)
