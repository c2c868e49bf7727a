"""One tiny shop and one finished run, made through the real command line and shared by the tests of this folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
import yaml

SECOND_HALF = {"test_augment", "test_benchmarks", "test_posttraining", "test_until"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Two workers share this folder, half of its time each, so that the shop and the run are made only twice."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("e2e-2" if item.path.stem in SECOND_HALF else "e2e-1"))


Cli = Callable[..., subprocess.CompletedProcess[str]]
ENVIRONMENT = {
    **os.environ,
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "COLUMNS": "200",
}
COMMAND = [sys.executable, "-m", "openmoon.cli"]


@pytest.fixture(scope="session")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """Run `openmoon …` in a process of its own; a traceback in its output fails the test whatever else it checks."""
    with forked(tmp_path_factory.mktemp("cli")) if sys.platform == "linux" else nullcontext(fresh) as call:

        def run(*arguments: object, ok: bool = True) -> subprocess.CompletedProcess[str]:
            done = call([*map(str, arguments)])
            assert "Traceback" not in done.stderr, done.stderr
            assert (done.returncode == 0) == ok, done.stdout + done.stderr
            return done

        yield run


def fresh(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """In a process that imports everything itself."""
    return subprocess.run([*COMMAND, *arguments], env=ENVIRONMENT, capture_output=True, text=True, check=False)


@contextmanager
def forked(folder: Path) -> Iterator[Callable[[list[str]], subprocess.CompletedProcess[str]]]:
    """In a process that forks from the fork server's."""
    out, err = folder / "out", folder / "err"
    command, root = [sys.executable, "-m", "tests.e2e.fork_server"], Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:

        def call(arguments: list[str]) -> subprocess.CompletedProcess[str]:
            assert server.stdin is not None
            assert server.stdout is not None
            wanted = {"arguments": arguments, "environment": ENVIRONMENT, "output": [str(out), str(err)]}
            print(json.dumps(wanted), file=server.stdin, flush=True)
            status = server.stdout.readline()
            assert status, "the fork server has ended; its output says why"
            return subprocess.CompletedProcess(arguments, int(status), out.read_text(), err.read_text())

        yield call


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory, cli: Cli) -> Path:
    """A sample shop of 90 products."""
    folder = tmp_path_factory.mktemp("shop")
    cli("data", "sample", folder, "--products", 90, "--users", 60, "--seed", 3)
    return folder


@pytest.fixture(scope="session")
def recipe(tmp_path_factory: pytest.TempPathFactory, shop: Path, tiny_trunks: tuple[str, str]) -> Path:
    """A recipe over that shop with tiny trunks."""
    folder = tmp_path_factory.mktemp("recipe")
    vision, text = tiny_trunks
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump({
        "name": "tiny", "workdir": str(folder / "run"),
        "data": {"root": str(shop), "events": "events.parquet", "creatives": "creatives.parquet",
                 "queries": "truth/queries.parquet", "split": {"val": 0.2, "test": 0.2}},
        "encoder": {"image": {"trunk": vision, "size": 32}, "text": {"trunk": text, "max_tokens": 12},
                    "fusion": {"width": 16, "layers": 1, "heads": 2}, "dims": [4, 8]},
        "pretrain": {"batch_size": 16, "epochs": 2, "augment_views": 1},
        "posttrain": {"batch_size": 16, "max_steps": 12, "validate_every": 6, "checkpoint_every": 2, "augment_views": 1},
    }))  # fmt: skip
    return path


@pytest.fixture(scope="session")
def finished(recipe: Path, cli: Cli) -> subprocess.CompletedProcess[str]:
    """The output of `openmoon run`."""
    return cli("run", recipe)


@pytest.fixture
def own_shop(shop: Path, tmp_path: Path) -> Path:
    """A copy of the shop that a test may break; the pictures are links."""
    folder = tmp_path / "shop"
    folder.mkdir()
    for path in shop.glob("*.parquet"):
        shutil.copy(path, folder)
    for name in ("images", "photos", "creatives", "truth"):
        (folder / name).symlink_to(shop / name)
    return folder
