"""Examples: drawn from both halves, judged by the labels, only from systems that can compare."""

import numpy as np
import polars as pl

from openmoon.evaluation.examples import find_examples
from openmoon.evaluation.untuned import UntunedEncoder

N = 30
ITEMS = pl.DataFrame({"product_id": [f"p{i}" for i in range(N)], "title": [f"title {i}" for i in range(N)],
                      "rich": [f"item {i}" for i in range(N)], "image": [f"{i}.jpg" for i in range(N)]})  # fmt: skip
QUERIES = pl.DataFrame({"query_text": [f"query {i}" for i in range(N)], "product_id": [f"p{i}" for i in range(N)]})


def half_right(inputs):
    """Queries with an even number find their item; the others find the next one."""
    vectors = np.zeros((len(inputs), N), np.float32)
    for row, one in enumerate(inputs):
        kind, number = one["text"].split() if "text" in one else ("item", one["image"].split(".")[0])
        vectors[row, (int(number) + (kind == "query" and int(number) % 2)) % N] = 1
    return vectors


def test_both_halves_are_shown_and_judged():
    found = find_examples({"tuned": half_right}, QUERIES, ITEMS, each=3, k=4)
    assert [example.solved for example in found] == [True] * 3 + [False] * 3
    for example in found:
        number = int(example.query_text.split()[1])
        assert (number % 2 == 0) == example.solved
        assert [hit.product_id for hit in example.wanted] == [f"p{number}"]
        hits = example.results["tuned"]
        assert len(hits) == 4
        assert hits[0].correct == example.solved
        assert hits[0].title == f"title {hits[0].product_id[1:]}"
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_several_right_products():
    queries = pl.DataFrame({"query_text": ["query 4", "query 4"], "product_id": ["p4", "p9"]})
    (example,) = find_examples({"tuned": half_right}, queries, ITEMS, k=N)
    assert sorted(hit.product_id for hit in example.wanted) == ["p4", "p9"]
    assert sum(hit.correct for hit in example.results["tuned"]) == 2


def test_a_system_that_cannot_compare_is_left_out():
    untuned = UntunedEncoder(lambda x: np.ones((len(x), 3)), lambda x: np.ones((len(x), 3)), 3, 3)
    found = find_examples({"untuned": untuned, "tuned": half_right}, QUERIES, ITEMS, view="image", each=1)
    assert [list(example.results) for example in found] == [["tuned"], ["tuned"]]
    assert find_examples({"untuned": untuned}, QUERIES, ITEMS, view="image") == []


def test_the_draw_depends_on_the_seed_alone():
    draws = [find_examples({"tuned": half_right}, QUERIES, ITEMS, seed=seed) for seed in (1, 1, 2)]
    one, same, other = ([example.query_text for example in draw] for draw in draws)
    assert one == same != other


def test_the_last_system_decides_what_is_solved():
    def wrong(inputs):
        asked = inputs[0].get("text", "").startswith("query")
        return np.roll(half_right(inputs), 1, 1) if asked else half_right(inputs)

    found = find_examples({"first": wrong, "last": half_right}, QUERIES, ITEMS, each=3, k=4)
    assert [example.solved for example in found] == [True] * 3 + [False] * 3
    for example in found:
        assert example.solved == (int(example.query_text.split()[1]) % 2 == 0) == example.results["last"][0].correct
