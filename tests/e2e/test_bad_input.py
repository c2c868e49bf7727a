"""What goes wrong gets one clear line and a non-zero exit, or a row in rejected.parquet."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from openmoon.config import EncoderConfig
from openmoon.models.encoder import build_encoder
from tests.e2e.conftest import Cli


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["posttrain.epoch=3"], "unknown key 'posttrain.epoch'. Did you mean 'epochs'?"),
        (["postrain.epochs=3"], "unknown key 'postrain'. Did you mean 'posttrain'?"),
        (["posttrain.lr=fast"], "posttrain.lr: Input should be a valid number"),
        (["posttrain.lr"], "expected key=value"),
        (["data.catalog=nothing.parquet"], "nothing.parquet"),
        (["data.columns={catalog: {title: productName}}"], "productName"),
        (["data.split.val=0"], "data.split"),
        (["data.split.test=0"], "data.split"),
    ],
)
def test_recipe_mistakes(recipe: Path, cli: Cli, overrides: list[str], message: str) -> None:
    failed = cli("pretrain", recipe, *overrides, f"workdir={recipe.parent / 'bad'}", ok=False)
    assert failed.returncode == 2
    assert message in failed.stderr
    assert failed.stderr.strip().splitlines()[-1].startswith("error: ")


def test_a_file_where_a_folder_has_to_be(recipe: Path, cli: Cli, tmp_path: Path) -> None:
    in_the_way = tmp_path / "runs"
    in_the_way.write_text("notes")
    failed = cli("pretrain", recipe, f"workdir={in_the_way / 'shop'}", ok=False)
    assert failed.returncode == 2
    assert failed.stderr.strip().splitlines()[-1].startswith(f"error: {in_the_way}")
    assert "Traceback" not in failed.stderr
    assert in_the_way.read_text() == "notes"


def test_an_unknown_recipe_is_named(cli: Cli, tmp_path: Path) -> None:
    assert "no such recipe" in cli("run", tmp_path / "none.yaml", ok=False).stderr


def test_steps_out_of_order_say_what_to_run_first(recipe: Path, cli: Cli, tmp_path: Path) -> None:
    for verb, message in (("posttrain", "run `openmoon pretrain`"), ("embed", "no encoder has been trained here")):
        assert message in cli(verb, recipe, f"workdir={tmp_path}", ok=False).stderr


def test_bad_rows_are_rejected_with_reasons_and_the_run_goes_on(
    recipe: Path, own_shop: Path, tmp_path: Path, cli: Cli
) -> None:
    catalog, events = pl.read_parquet(own_shop / "catalog.parquet"), pl.read_parquet(own_shop / "events.parquet")
    own_shop.joinpath("broken").mkdir()
    own_shop.joinpath("broken/empty.jpg").touch()
    own_shop.joinpath("broken/text.jpg").write_text("I am no picture")
    image = pl.Series(["broken/empty.jpg", "broken/text.jpg", *catalog["image"][2:]])
    catalog = catalog.with_columns(image=image)
    bare = catalog.head(1).with_columns(product_id=pl.lit("bare"), title=pl.lit(None, pl.String), image=pl.lit(None, pl.String),
                                        description=pl.lit(None, pl.String))  # fmt: skip
    pl.concat([catalog, catalog.head(1), bare]).write_parquet(own_shop / "catalog.parquet")
    stranger = events.head(1).with_columns(product_id=pl.lit("stranger"))
    looked = events.head(1).with_columns(action=pl.lit("looked"))
    pl.concat([events, stranger, looked]).write_parquet(own_shop / "events.parquet")
    run = tmp_path / "run"
    cli("data", "check", recipe, f"data.root={own_shop}", f"workdir={run}")
    cli("pretrain", recipe, f"data.root={own_shop}", f"workdir={run}", "pretrain.epochs=1")
    rejected = pl.read_parquet(run / "rejected.parquet")
    assert sorted(rejected.select("table", "reason").rows()) == [
        ("catalog", "none of title, description, image is given"),
        ("catalog", f"product_id repeats an earlier row: {catalog['product_id'][0]!r}"),
        ("events", "action is none of impression, click, cart, purchase"),
        ("events", "product_id is not in the catalog: 'stranger'"),
        ("images", "empty file (0 bytes)"),
        ("images", "not a picture, or none of JPEG, PNG, WEBP, GIF, BMP, TIFF, AVIF, PPM"),
    ]


def test_an_encoder_of_another_format_is_refused(recipe: Path, finished: object, tmp_path: Path, cli: Cli) -> None:
    encoder = tmp_path / "encoder"
    shutil.copytree(recipe.parent / "run" / "posttrain" / "encoder", encoder)
    config = json.loads((encoder / "config.json").read_text())
    (encoder / "config.json").write_text(json.dumps(config | {"format": 2}))
    assert (
        "format is 2, this openmoon reads 1"
        in cli("search", recipe, "--text", "x", "--encoder", encoder, ok=False).stderr
    )


def test_vectors_of_another_encoder_are_not_searched(
    recipe: Path, finished: object, tiny_config: EncoderConfig, tmp_path: Path, cli: Cli
) -> None:
    build_encoder(tiny_config).save_pretrained(tmp_path / "encoder")
    failed = cli("search", recipe, "--text", "boots", "--encoder", tmp_path / "encoder", ok=False)
    assert "cannot be compared" in failed.stderr


def test_a_checkpoint_of_another_recipe_is_refused(recipe: Path, finished: object, cli: Cli) -> None:
    failed = cli("posttrain", recipe, "posttrain.lr=0.5", ok=False)
    assert "was written with another recipe or other data" in failed.stderr


def test_a_log_without_a_usable_row_stops_a_run_before_stage_1(recipe: Path, own_shop: Path, tmp_path: Path, cli: Cli) -> None:
    events = pl.read_parquet(own_shop / "events.parquet").with_columns(product_id=pl.lit("stranger"))
    events.write_parquet(own_shop / "events.parquet")
    options = (f"data.root={own_shop}", f"workdir={tmp_path / 'run'}")
    assert "product_id is not in the catalog" in cli("run", recipe, *options, ok=False).stderr
    assert not (tmp_path / "run" / "pretrain").exists()
    checked = cli("data", "check", recipe, *options, ok=False)
    assert checked.returncode == 1
    assert "wrote" in checked.stdout
