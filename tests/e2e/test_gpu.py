"""The verbs on a GPU: a run there is the run on the CPU up to rounding, and either goes on with what the other left."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.e2e.conftest import COMMAND, ENVIRONMENT, Cli
from tests.e2e.test_posttraining import FULL, losses, weights

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
ON_GPU = {**ENVIRONMENT, "OPENMOON_DEVICE": "cuda"}


def test_a_whole_run_is_that_of_the_cpu(
    recipe: Path, finished: object, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENVIRONMENT, "OPENMOON_DEVICE", "cuda")
    plain = ["posttrain.augment=0", "pretrain.augment=0"]  # views in the cache are drawn where they are made
    cli("run", recipe, f"workdir={tmp_path / 'gpu'}", *plain)
    monkeypatch.setitem(ENVIRONMENT, "OPENMOON_DEVICE", "cpu")
    cli("run", recipe, f"workdir={tmp_path / 'cpu'}", *plain)
    there, here = (losses(tmp_path / name) for name in ("gpu", "cpu"))
    np.testing.assert_allclose(there, here, rtol=0.02)
    summary = json.loads((tmp_path / "gpu" / "posttrain" / "summary.json").read_text())
    assert summary["device"] == torch.cuda.get_device_name()
    assert (tmp_path / "gpu" / "vectors.parquet").exists()


def test_what_was_begun_on_the_gpu_goes_on_on_the_cpu(recipe: Path, finished: object, cli: Cli, tmp_path: Path) -> None:
    for name in ("begun", "whole"):
        (tmp_path / name).mkdir()
        for shared in ("pretrain", "cache"):
            (tmp_path / name / shared).symlink_to(recipe.parent / "run" / shared)
    begun, whole = tmp_path / "begun", tmp_path / "whole"
    command = [*COMMAND, "posttrain", str(recipe)]
    subprocess.run([*command, f"workdir={whole}", *FULL], env=ON_GPU, check=True)
    process = subprocess.Popen([*command, f"workdir={begun}", *FULL], env=ON_GPU)
    metrics = begun / "posttrain" / "metrics.jsonl"
    while process.poll() is None and not (metrics.exists() and '"step": 3' in metrics.read_text()):
        time.sleep(0.005)
    process.kill()
    process.wait()
    cli("posttrain", recipe, f"workdir={begun}", *FULL)
    assert len(losses(begun)) == 12
    np.testing.assert_allclose(losses(begun), losses(whole), rtol=0.05)
    for name, value in weights(whole).items():
        np.testing.assert_allclose(weights(begun)[name], value, atol=0.02, err_msg=name)
