"""`openmoon`: one thin verb per step. Heavy imports happen inside the verbs, after the process was tuned and the recipe read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from openmoon.errors import UserError
from openmoon.runtime import tune_process

if TYPE_CHECKING:
    from openmoon.config import Recipe

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="**OpenMOON**: a catalogue and its logs become product embeddings tuned to your shoppers.\n\n"
    "A recipe (YAML) says what to read, what to train and where results go; every verb takes one, and `key=value` "
    "changes to it. `openmoon run RECIPE` does all steps in order.",
)
data_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Check, import and simulate the tables that a run starts from.",
)
app.add_typer(data_app, name="data")

RecipePath = Annotated[
    Path, typer.Argument(metavar="RECIPE", help="A recipe, such as recipes/sample.yaml.", show_default=False)
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...", help="Changes to the recipe, such as `posttrain.epochs=3`.", show_default=False
    ),
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Forget the checkpoint of this recipe and train from the start.")]
EncoderFolder = Annotated[
    Path | None,
    typer.Option(
        "--encoder", help="A saved encoder; default: the last stage trained in the workdir.", show_default=False
    ),
]
out = Console()


def main() -> None:
    """Entry point: a user's mistake is one line on stderr and exit status 2."""
    tune_process()
    try:
        app()
    except (UserError, OSError) as error:  # a file that cannot be read or written is the user's to mend as well
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


@app.command()
def pretrain(recipe: RecipePath, overrides: Overrides = None, fresh: Fresh = False) -> None:
    """Stage 1: align pictures and texts of the catalogue.

    Writes `<workdir>/pretrain/`: the encoder, checkpoint, metrics.jsonl, TensorBoard. A killed run resumes where it was.
    """
    loaded = _load(recipe, overrides)
    from openmoon.steps.pretrain import pretrain

    pretrain(loaded, fresh)


@app.command()
def posttrain(recipe: RecipePath, overrides: Overrides = None, fresh: Fresh = False) -> None:
    """Stage 2: learn from behaviour what shoppers choose for a query.

    Starts from stage 1 (or the bare trunks with `pretrain=null`) and writes `<workdir>/posttrain/`.
    """
    loaded = _load(recipe, overrides)
    from openmoon.steps.posttrain import posttrain

    posttrain(loaded, fresh)


@app.command()
def evaluate(recipe: RecipePath, overrides: Overrides = None) -> None:
    """Recall, MRR and nDCG on held-out queries: each stage beside BM25, the untuned trunks and chance.

    Writes `<workdir>/evaluation.json` and `evaluation.md`.
    """
    loaded = _load(recipe, overrides)
    from openmoon.steps.evaluate import evaluate

    out.print(evaluate(loaded).to_table())


@app.command()
def embed(recipe: RecipePath, overrides: Overrides = None, encoder: EncoderFolder = None) -> None:
    """Turn the catalogue into `<workdir>/vectors.parquet`.

    Only products that are new or changed are computed; a killed run goes on where it stopped.
    """
    loaded = _load(recipe, overrides)
    from openmoon.steps.embed import embed

    embed(loaded, encoder)


@app.command()
def search(
    recipe: RecipePath,
    overrides: Overrides = None,
    text: Annotated[str | None, typer.Option(help="Words to search for.", show_default=False)] = None,
    image: Annotated[Path | None, typer.Option(help="A photo to search with.", show_default=False)] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many products.")] = 10,
    sheet: Annotated[Path | None, typer.Option(help="Also draw the results as a PNG.", show_default=False)] = None,
    encoder: EncoderFolder = None,
) -> None:
    """Find products by words, by photo, or by both: `openmoon search RECIPE --text "red boots" --image photo.jpg -k 10`."""
    loaded = _load(recipe, overrides)
    from rich.table import Table

    from openmoon.steps.search import search_products

    results = search_products(loaded, text, image, k, sheet, encoder)
    table = Table("rank", "score", "product", "title", "category", header_style="dim")
    for row in results.iter_rows(named=True):
        words = (escape(row[name] or "—") for name in ("product_id", "title", "category"))
        table.add_row(str(row["rank"]), f"{row['score']:.3f}", *words)
    out.print(table)
    if sheet:
        out.print(f"wrote {sheet}")


@app.command()
def report(recipe: RecipePath, overrides: Overrides = None) -> None:
    """One self-contained HTML page about a run: data, curves, before/after tables, queries with what came back."""
    loaded = _load(recipe, overrides)
    from openmoon.steps.report import report

    out.print(f"wrote {report(loaded)}")


@app.command()
def run(recipe: RecipePath, overrides: Overrides = None, fresh: Fresh = False) -> None:
    """All steps in order: check, pretrain, posttrain, evaluate, embed, report. A step the recipe switches off is named."""
    loaded = _load(recipe, overrides)
    from openmoon.steps.run import run

    result = run(loaded, fresh)
    if result is not None:
        out.print(result.to_table(["recall@1", "recall@10", "mrr"]))


@app.command()
def env() -> None:
    """Versions and machine, for a bug report."""
    from openmoon.steps.environment import environment_table

    out.print(environment_table())


@data_app.command()
def check(recipe: RecipePath, overrides: Overrides = None) -> None:
    """Read the tables of a recipe, print counts and problems, write rejected rows with their reasons."""
    loaded = _load(recipe, overrides)
    from openmoon.steps.check import check

    out.print(check(loaded))


@data_app.command()
def sample(
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the shop.", show_default=False)],
    products: Annotated[int, typer.Option(min=50, help="How many products.")] = 2000,
    users: Annotated[int, typer.Option(min=10, help="How many shoppers.")] = 2000,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
) -> None:
    """Make a simulated shop with known truth: product photos, shopper photos, behaviour, ad creatives."""
    from openmoon.data.sample.shop import build_sample_shop

    out.print(str(build_sample_shop(folder, products, users, seed, progress=True)), highlight=False)


@data_app.command()
def simulate(
    catalog: Annotated[Path, typer.Option(help="A catalogue table (Parquet or CSV).", show_default=False)],
    folder: Annotated[Path, typer.Option("--out", help="Folder for the simulated shop.", show_default=False)],
    users: Annotated[int, typer.Option(min=10, help="How many shoppers.")] = 2000,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
) -> None:
    """Simulate shoppers, their photos and their behaviour on a real catalogue."""
    from openmoon.config import DataConfig
    from openmoon.data.sample.simulate import simulate_on_catalog
    from openmoon.data.shop import load_shop

    shop = load_shop(DataConfig(catalog=catalog))
    summary = simulate_on_catalog(shop.catalog, shop.image_path, folder, users, seed, progress=True)
    out.print(str(summary), highlight=False)


@data_app.command("import")
def import_(
    name: Annotated[
        str,
        typer.Argument(
            help="fashion (Kaggle Fashion Product Images) or grocery (GroceryStoreDataset).", show_default=False
        ),
    ],
    source: Annotated[Path, typer.Argument(help="The download, as it unpacks.", show_default=False)],
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for our tables.", show_default=False)],
) -> None:
    """Turn a public data set into our tables. Pictures stay where they are."""
    from openmoon.data.importers import IMPORTERS
    from openmoon.errors import nearest

    if name not in IMPORTERS:
        raise UserError(
            f"data import: unknown data set {name!r}; known are {', '.join(IMPORTERS)}.{nearest(name, IMPORTERS)}"
        )
    out.print(str(IMPORTERS[name](source, folder)), highlight=False)


def _load(path: Path, overrides: list[str] | None) -> Recipe:
    """Read the recipe before anything heavy is imported, so that mistakes in it are answered at once."""
    from openmoon.config import load_recipe

    return load_recipe(path, overrides or [])


if __name__ == "__main__":
    main()
