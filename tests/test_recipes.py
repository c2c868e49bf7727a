"""Every shipped recipe is valid, and mistakes in recipes are named."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
import yaml

from openmoon.config import Recipe, load_recipe
from openmoon.config.recipe import load_data
from openmoon.errors import UserError
from openmoon.evaluation.expected import Expected

FOLDER = Path(__file__).parent.parent / "recipes"
RECIPES = sorted(FOLDER.rglob("*.yaml"), key=lambda path: (path.parent != FOLDER, path))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_shipped_recipes_load(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    assert recipe.workdir in (Path("runs") / path.stem, Path("runs/ablation/sample") / path.stem)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_reads_what_it_writes(path: Path, tmp_path: Path) -> None:
    """Beside every encoder lies the recipe with all its fields."""
    recipe = load_recipe(path)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    assert load_recipe(tmp_path / "recipe.yaml") == recipe


@pytest.mark.parametrize("moment", ["2025-06-01", "2025-06-01T02:00:00+02:00", "'2025-06-01 00:00:00Z'"])
def test_moments_are_utc_and_read_back(tmp_path: Path, moment: str) -> None:
    recipe = load_recipe(FOLDER / "sample.yaml", [f"data.until={moment}"])
    assert recipe.data.until == datetime(2025, 6, 1)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    assert load_recipe(tmp_path / "recipe.yaml") == recipe


@pytest.mark.parametrize("path", sorted(FOLDER.glob("ablation/*.yaml")), ids=lambda path: path.stem)
def test_arms_take_another_base(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENMOON_BASE", "fashion")
    recipe, base = load_recipe(path), load_recipe(FOLDER / "fashion.yaml")
    assert recipe.data == base.data
    assert recipe.workdir == Path("runs/ablation/fashion") / path.stem
    assert (learnt(recipe) == learnt(base)) == (path.stem == "plain")


def test_no_two_arms_are_one() -> None:
    found: dict[str, str] = {}
    for path in FOLDER.glob("ablation/*.yaml"):
        same = found.setdefault(learnt(load_recipe(path)), path.stem)
        assert same == path.stem


def learnt(recipe: Recipe) -> str:
    """What arms differ in."""
    return recipe.model_dump_json(include={"encoder", "pretrain", "posttrain", "augment"})


EXPECTED = sorted((Path(__file__).parent.parent / "recipes" / "expected").glob("*.json"))


@pytest.mark.parametrize("path", EXPECTED, ids=lambda path: path.stem)
def test_expected_metrics_belong_to_a_recipe(path: Path) -> None:
    expected = Expected.load(path)
    assert expected.recipe == path.stem
    assert path.stem in {recipe.stem for recipe in RECIPES}
    assert len(expected) > 0
    assert len(expected.seeds) >= 3


def test_there_are_recipes() -> None:
    assert {"sample", "fashion", "grocery", "movielens"} <= {path.stem for path in RECIPES}
    assert {"sample"} <= {path.stem for path in EXPECTED}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.attributes=[", "is not a YAML value"),
        ("posttrain.mix=[]", "posttrain.mix: List should have at least 1 item"),
        ("seed=-1", "seed: Input should be greater than or equal to 0"),
        ("seed=99999999999999999999999999", "seed: Input should be less than"),
        ("data.until=2025-13-01", "is not a YAML value: month must be in 1..12"),
        ("posttrain.lr=.inf", "posttrain.lr: Input should be a finite number"),
        ("posttrain.actions=" + "[" * 3000, "is not a YAML value"),
        ("data={split: {val: 0.1, val: 0.2}}", "the key 'val' stands twice"),
        ("data.attributes=[a, b, a]", "'a' is named twice"),
        ("data.columns.catalog={product_id:sku}", "got nothing; write a space after the colon"),
        ("POSTTRAIN={}", "unknown key 'POSTTRAIN'. Did you mean 'posttrain'?"),
        ("posttrain={blend: 0.5, train_image_trunk: true, mix: [{query: text, item: rich, share: 1}]}",
         "posttrain: blend mixes queries that are shown as a picture alone, of which mix has none"),
        ("posttrain.blend=0.5", "posttrain: blend mixes pixels, which a frozen image trunk does not see"),
        ("posttrain={loss: circle, negatives: {popularity: true}}", "belong to info_nce, not to circle"),
        ("posttrain.weights={click: 2}", "weights names click, which is not among actions"),
        ("posttrain.alignment={within: 1}", "alignment belongs to objectives: dual"),
        ("posttrain={pairs: {signal: co-click}, objectives: dual}", "co-click pairs have no shopper's query"),
        ("posttrain={negatives: {left: 1}}", "actions takes clicks for choices"),
        ("posttrain={actions: [cart], triplet: {}}", "set negatives.left: 1 or more"),
        ("posttrain={loss: circle, temperature: 0.1}", "temperature has no effect on the circle loss"),
        ("pretrain.temperature=0.001", "greater than or equal to 0.01"),
        ("pretrain.crop=64", "crop is for image trunks that are trained"),
        ("posttrain={train_image_trunk: true, augment_views: 8}", "augment_views are kept for frozen image trunks"),
        ("posttrain.trunk_lr=0.1", "trunk_lr is for trunks that are trained"),
        ("encoder.fusion.heads=7", "width 256 is not a multiple of heads 7"),
        ("pretrain={augment: 0, with_text: 0}", "self_supervision compares two views of a picture"),
        ("posttrain={augment: 0, self_supervision: 1}", "self_supervision compares two views of a picture"),
        ("encoder.fusion={layers: 0, experts: 2}", "set layers: 1 or more, or experts: 0"),
        ("encoder.fusion={experts: 2, top: 3}", "set top to 2 or less"),
        ("encoder.fusion.router=token", "top, experts_in and router are for experts"),
        ("posttrain={objectives: dual, alignment: {naive: true}}", "alignment.naive steers how experts are used"),
        ("posttrain.load_balance=0", "load_balance steers how experts are used"),
        ("posttrain={loss: circle, learn_temperature: false}", "learn_temperature has no effect on the circle loss"),
        ("posttrain.start=x", "posttrain.start takes the place of stage 1"),
        ("posttrain.negatives.queue_still=false", "say how a queue is used; set negatives.queue"),
        ("posttrain.negatives.session=true", "unknown key 'posttrain.negatives.session'"),
        ("posttrain={objectives: dual, alignment: {weighted: false}}", "alignment.weighted steers how experts are used"),
        ("posttrain={objectives: dual, alignment: {weighted: false, sparsity: 1}}", "leaves sparsity nothing to do; set it to"),
        ("posttrain.negatives.que=5", "unknown key 'posttrain.negatives.que'. Did you mean 'queue'?"),
        ("posttrain.train_image_trunk=-1", "posttrain.train_image_trunk"),
        ("data={until: 2025-06-01, events: null}", "data: until says which events are learnt from, but there is no"),
        ("data.until=soon", "data.until: Input should be a valid datetime"),
        ("encoder.dims=[0, 64]", "encoder.dims.0: Input should be greater"),
        ("pretrain={image_text: 0, self_supervision: 0}", "nothing to learn; use pretrain: null"),
        ("posttrain.mix=[{query: text, item: picture, share: 1}]", "posttrain.mix.0.item: Input should be"),
        ("data.columns.catlog.title=name", "unknown key 'data.columns.catlog'. Did you mean 'catalog'?"),
        ("data.columns={1: {title: name}}", "unknown key 'data.columns.1'. Known here: catalog, events, creatives, queries."),
        ("data.columns.catalog={1: sku}", "data.columns.catalog.1: Input should be a valid string"),
        ("data.split.test=-1", "data.split.test"),
        ("encoder.image.sice=3", "unknown key 'encoder.image.sice'. Did you mean 'size'?"),
    ],
)
def test_mistakes_are_named(override: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        load_recipe(RECIPES[0], [override])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_queries_to_embed_need_events() -> None:
    with pytest.raises(UserError, match=r"embed\.queries embeds the queries of the events, but there is no events table"):
        load_recipe(FOLDER / "fashion.yaml", ["data.events=null", "embed.queries=true"])
    with pytest.raises(UserError, match=r"experts come with stage 2, which posttrain: null switches off"):
        load_recipe(FOLDER / "fashion.yaml", ["posttrain=null", "encoder.fusion.experts=4"])


def test_environment_variables_with_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("name: own\nworkdir: ${PLACE:-here}/run\n# ${NOT_READ}\n")
    assert load_recipe(path).workdir == Path("here/run")
    monkeypatch.setenv("PLACE", "there")
    assert load_recipe(path).workdir == Path("there/run")
    path.write_text("name: own\nworkdir: ${MISSING_VARIABLE}\n")
    with pytest.raises(UserError, match="the environment variable MISSING_VARIABLE is not set"):
        load_recipe(path)
    assert load_recipe(path, ["workdir=runs/own"]).workdir == Path("runs/own"), "an override takes its place"
    path.write_text("name: own\nworkdir: there  # or ${MISSING_VARIABLE}\n")
    assert load_recipe(path).workdir == Path("there")
    path.write_text("name: own\nworkdir: there\nname: other\n")
    with pytest.raises(UserError, match=r"own\.yaml: not valid YAML in UTF-8: the key 'name' stands twice"):
        load_recipe(path)
    path.write_bytes(b"name: \xff\xfe")
    with pytest.raises(UserError, match="not valid YAML in UTF-8"):
        load_recipe(path)


def test_a_recipe_changes_what_it_names_of_its_base(tmp_path: Path) -> None:
    base = "name: base\nworkdir: runs/base\npretrain: {lr: 0.1, epochs: 3}\nposttrain: {epochs: 5}\n"
    (tmp_path / "base.yaml").write_text(base)
    own = tmp_path / "own.yaml"
    own.write_text("base: base.yaml\nname: own\npretrain: {epochs: 4}\nposttrain: null\n")
    recipe = load_recipe(own, ["pretrain.warmup=0.5"])
    assert (recipe.name, recipe.workdir, recipe.posttrain) == ("own", Path("runs/base"), None)
    assert recipe.pretrain is not None
    assert (recipe.pretrain.lr, recipe.pretrain.epochs, recipe.pretrain.warmup) == (0.1, 4, 0.5)


@pytest.mark.parametrize(("base", "message"), [("own.yaml", "is its own base"), ("gone.yaml", "own.yaml names it as its base")])
def test_a_base_that_leads_nowhere_is_named(tmp_path: Path, base: str, message: str) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(f"base: {base}\nname: own\nworkdir: runs/own\n")
    with pytest.raises(UserError, match=message):
        load_recipe(own)


def test_a_command_without_a_recipe_takes_how_a_table_is_read(tmp_path: Path) -> None:
    config = load_data(["data.columns.catalog.product_id=sku", "data.attributes=[colour]"], tmp_path / "c.csv")
    assert config.catalog == tmp_path / "c.csv"
    assert config.columns == {"catalog": {"product_id": "sku"}}
    assert config.attributes == ["colour"]
    for override, message in (("posttrain.lr=1", "this command takes no recipe"), ("data.events=e.csv", "this command takes no"),
                              ("data.columns.catalogue.title=x", "Did you mean 'catalog'")):  # fmt: skip
        with pytest.raises(UserError, match=message):
            load_data([override], tmp_path / "c.csv")


def test_labelled_queries_have_columns_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("name: r\nworkdir: r\n")
    found = load_recipe(tmp_path / "r.yaml", ["data.columns.queries.product_id=sku"])
    assert found.data.columns == {"queries": {"product_id": "sku"}}
