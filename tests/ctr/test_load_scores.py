"""Predictions are those of the test impressions, and numbers."""

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from openmoon.ctr.evaluate import load_scores
from openmoon.errors import UserError

LOG = SimpleNamespace(row=np.array([4, 5, 6, 7]))
PART = SimpleNamespace(rows=np.array([1, 3]))


def written(folder, rows, probabilities):
    pl.DataFrame({"row": rows, "probability": np.array(probabilities, np.float32)}).write_parquet(folder / "scores.parquet")
    (folder / "summary.json").write_text("{}")
    return folder


def test_scores_are_read_back(tmp_path):
    assert load_scores(written(tmp_path, [5, 7], [0.25, 0.5]), LOG, PART).tolist() == [0.25, 0.5]


def test_scores_of_other_impressions_are_refused(tmp_path):
    with pytest.raises(UserError, match="predicts other impressions"):
        load_scores(written(tmp_path, [5, 6], [0.25, 0.5]), LOG, PART)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_diverged_model_is_refused(tmp_path, bad):
    with pytest.raises(UserError, match="1 of 2 predictions are no numbers"):
        load_scores(written(tmp_path, [5, 7], [bad, 0.5]), LOG, PART)


def test_a_model_without_predictions_is_told(tmp_path):
    with pytest.raises(UserError, match="no predictions"):
        load_scores(tmp_path, LOG, PART)


def test_a_table_that_holds_no_predictions_is_told(tmp_path):
    folder = written(tmp_path, [5, 7], [0.25, 0.5])
    for damage in (b"", (folder / "scores.parquet").read_bytes()[:100]):
        (folder / "scores.parquet").write_bytes(damage)
        with pytest.raises(UserError, match="cannot be read as Parquet"):
            load_scores(folder, LOG, PART)
    pl.DataFrame({"row": [5, 7], "p": ["a", "b"]}).write_parquet(folder / "scores.parquet")
    with pytest.raises(UserError, match="not the predictions of a model"):
        load_scores(folder, LOG, PART)
