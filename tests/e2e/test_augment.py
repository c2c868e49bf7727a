"""Co-augmentation through the real command line: what it writes, that it resumes to the same bytes, what goes wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from openmoon.data.coaugment.table import load_augmented
from tests.e2e.conftest import ENVIRONMENT, Cli, fresh

LENIENT = ["augment.nearer=0", "augment.slack=1"]  # a gate that the tiny encoder lets through


@pytest.fixture
def encoder(recipe: Path, finished: object) -> Path:
    return recipe.parent / "run" / "posttrain" / "encoder"


def outputs(workdir: Path) -> dict[str, bytes]:
    """All files of the augmentation but the journals, whose lines come in the order in which work is done."""
    folder = workdir / "augmented"
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.suffix != ".jsonl"}


def test_one_seed_gives_the_same_bytes_and_a_part_of_them_is_completed(
    recipe: Path, encoder: Path, tmp_path: Path, cli: Cli, own_shop: Path
) -> None:
    shuffled = pl.read_parquet(own_shop / "catalog.parquet").sample(fraction=1, shuffle=True, seed=1)
    shuffled.write_parquet(own_shop / "catalog.parquet")
    first, second = tmp_path / "first", tmp_path / "second"
    done = cli("data", "augment", recipe, *LENIENT, f"workdir={first}", "--encoder", encoder)
    assert "Made and kept" in done.stdout
    table = pl.read_parquet(first / "augmented" / "augmented.parquet")
    kept = table.filter("kept")
    assert set(kept["kind"]) == {"text", "image"}
    assert set(table["source"]) == {"templates", "expansion"}
    assert kept["score"].is_between(0, 1).all()
    assert table.filter(~pl.col("kept"))["reason"].null_count() == 0
    assert json.loads(kept.filter(kind="image")["recipe"][0])["background"] in ("plain", "gradient", "blotches", "scene")
    assert Image.open(first / "augmented" / "contact_sheet.png").width > 1000
    assert not list(first.rglob("*.tmp"))
    loaded = load_augmented(first / "augmented" / "augmented.parquet")
    assert sum(map(len, loaded.texts.values())) + sum(map(len, loaded.images.values())) == len(kept)
    arguments = ["data", "augment", recipe, *LENIENT, f"workdir={second}", f"data.root={own_shop}", "--encoder", encoder]
    assert fresh([*map(str, arguments)]).returncode == 0
    assert outputs(second) == outputs(first)  # whatever the order of the rows
    whole = outputs(first)
    (first / "augmented" / "augmented.parquet").unlink()
    for path in sorted((first / "augmented" / "images").rglob("*.jpg"))[::3]:
        path.unlink()
    cli("data", "augment", recipe, *LENIENT, f"workdir={first}", "--encoder", encoder)
    assert outputs(first) == whole


class Model(BaseHTTPRequestHandler):
    """Writes the title again; for a third of the products nothing of it, for another third it praises a brand of the shop."""

    asked = 0

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Model.asked += 1
        first = body["messages"][1]["content"][0]["text"].split("\n")[0].removeprefix("title: ")
        text = ("A thing", f"{first}, well made", f"{first}, nicer than Miro")[len(first) % 3]
        answer = json.dumps({"choices": [{"message": {"content": text}}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setitem(ENVIRONMENT, "no_proxy", "127.0.0.1")
    monkeypatch.setitem(ENVIRONMENT, "SEER_KEY", "sk-secret")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    server.server_close()


def test_an_endpoint_is_asked_once_and_its_bad_answers_are_left_out(
    recipe: Path, encoder: Path, tmp_path: Path, model: str, cli: Cli
) -> None:
    texts = f"augment.texts={{templates: 0, endpoint: {{url: '{model}', model: seer, key: SEER_KEY}}}}"
    settings = [*LENIENT, f"workdir={tmp_path}", texts, "augment.pictures.per_product=0"]
    done = cli("data", "augment", recipe, *settings, "--encoder", encoder)
    table = pl.read_parquet(tmp_path / "augmented" / "augmented.parquet")
    assert set(table["source"]) == {"endpoint:seer"}
    assert table.filter("kept")["text"].str.ends_with("well made").sum() > 3
    dropped = table.filter(~pl.col("kept"))
    reason = pl.col("reason").str
    lost = dropped.filter(reason.starts_with("lost or changed: "))
    foreign = dropped.filter(reason.starts_with("names another brand: Miro"))
    assert len(lost) + len(foreign) == len(dropped)
    assert len(lost) > 3
    assert len(foreign) > 3
    assert lost["text"].eq("A thing").all()
    assert foreign["text"].str.ends_with("nicer than Miro").all()
    assert not foreign["text"].str.starts_with("Miro").any()
    for what in ("lost or changed", "names another brand"):
        assert what in done.stdout
    asked = Model.asked
    assert asked == len(table)
    cli("data", "augment", recipe, *settings, "--encoder", encoder)
    assert Model.asked == asked
    assert not any(b"sk-secret" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_what_goes_wrong_is_one_clear_line(
    recipe: Path, encoder: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no encoder has been trained here" in cli("data", "augment", recipe, f"workdir={tmp_path}", ok=False).stderr
    asked = "augment.texts.endpoint={url: 'http://127.0.0.1:9/v1', model: m, retries: 0"
    failed = cli("data", "augment", recipe, f"workdir={tmp_path}", asked + ", key: NO_SUCH_KEY}", "--encoder", encoder, ok=False)
    assert "the environment variable NO_SUCH_KEY is not set" in failed.stderr
    monkeypatch.setitem(ENVIRONMENT, "A_TORN_KEY", "sk\u2013key")
    failed = cli("data", "augment", recipe, f"workdir={tmp_path}", asked + ", key: A_TORN_KEY}", "--encoder", encoder, ok=False)
    assert "A_TORN_KEY holds something that is no key" in failed.stderr
    assert "sk\u2013" not in failed.stderr
    typo = cli("data", "augment", recipe, f"workdir={tmp_path}", "augment.texts.protect=[colur]", "--encoder", encoder, ok=False)
    assert "no product has an attribute 'colur'. Did you mean 'colour'?" in typo.stderr
    failed = cli("data", "augment", recipe, f"workdir={tmp_path}", asked + "}", "--encoder", encoder, ok=False)
    assert "cannot be reached" in failed.stderr
    nothing = ["augment.texts.templates=0", "augment.pictures.per_product=0"]
    assert "nothing to make" in cli("data", "augment", recipe, *nothing, "--encoder", encoder, ok=False).stderr
    assert "Did you mean 'nearer'?" in cli("data", "augment", recipe, "augment.nearrer=1", ok=False).stderr
