"""`openmoon data`: check, import, simulate and augment the tables that a run starts from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openmoon.cli.arguments import Overrides, RecipePath, load, out
from openmoon.console import plain
from openmoon.errors import UserError

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Check, import, simulate and augment the tables that a run starts from.",
)


@app.command()
def check(recipe: RecipePath, overrides: Overrides = None) -> None:
    """Read the tables of a recipe, print counts and problems, write rejected rows with their reasons.

    Exits with 1 where a step of the recipe would not start: a split without products or pairs, no event with an action that
    stage 2 learns from, nothing to validate a stage on, no usable row among the labelled queries.
    """
    loaded = load(recipe, overrides)
    from openmoon.steps.check import check

    report = check(loaded)
    out.print(report)
    out.print(f"wrote {plain(loaded.workdir / 'check.json')} and rejected.parquet beside it")
    if report.errors:
        raise typer.Exit(1)


@app.command()
def pairs(
    recipe: RecipePath,
    overrides: Overrides = None,
    encoder: Annotated[
        Path | None,
        typer.Option("--encoder", help="Scores the pairs; default: what stage 2 starts from.", show_default=False),
    ] = None,
) -> None:
    """Show the pairs that stage 2 would learn from: what each rule of `posttrain.pairs` keeps and drops, with examples, how many
    can show each row of the mix, and how the encoder scores positives and negatives."""
    loaded = load(recipe, overrides)
    from openmoon.steps.pairs import account

    out.print(account(loaded, encoder))


@app.command()
def augment(
    recipe: RecipePath,
    overrides: Overrides = None,
    encoder: Annotated[
        Path | None,
        typer.Option(
            "--encoder",
            help="A saved encoder that judges; default: the last stage trained in the workdir, the bare trunks where training "
            "starts from them.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Enrich the texts and expand the pictures of the training products; an encoder drops what no longer fits its product.

    Writes `<workdir>/augmented/`: augmented.parquet, pictures, contact_sheet.png. A killed run goes on where it was, and no
    whole answer of an endpoint is paid for twice.
    """
    loaded = load(recipe, overrides)
    from openmoon.steps.augment import augment

    out.print(augment(loaded, encoder))


@app.command()
def sample(
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the shop.", show_default=False)],
    products: Annotated[int, typer.Option(min=50, help="How many products.")] = 2000,
    users: Annotated[int, typer.Option(min=10, help="How many shoppers.")] = 2000,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
) -> None:
    """Make a simulated shop with known truth: product photos, shopper photos, behaviour, ad creatives."""
    from openmoon.data.sample.shop import build_sample_shop

    out.print(str(build_sample_shop(folder, products, users, seed, progress=True)), highlight=False)
    out.print(f"wrote {plain(folder)}")


@app.command()
def simulate(
    catalog: Annotated[Path, typer.Option(help="A catalogue table (Parquet or CSV).", show_default=False)],
    folder: Annotated[Path, typer.Option("--out", help="Folder for the simulated shop.", show_default=False)],
    users: Annotated[int, typer.Option(min=10, help="How many shoppers.")] = 2000,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="How your table is read, such as `data.columns.catalog.product_id=sku`.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Simulate shoppers, their photos and their behaviour on a real catalogue."""
    from openmoon.config.recipe import load_data
    from openmoon.data.check import told_unread
    from openmoon.data.sample.simulate import simulate_on_catalog
    from openmoon.data.shop import load_catalog, unread_columns

    config = load_data(overrides or [], catalog)
    shop = load_catalog(config)
    for line in told_unread(unread_columns(config)):
        out.print(line)
    summary = simulate_on_catalog(
        shop.catalog, shop.image_path, folder, users, seed, progress=True, rejected=shop.rejected, reads=[catalog]
    )
    out.print(str(summary), highlight=False)
    out.print(f"wrote {plain(folder)}")


@app.command("import")
def import_(
    name: Annotated[
        str,
        typer.Argument(
            help="fashion (Kaggle Fashion Product Images), grocery (GroceryStoreDataset) or movielens.",
            show_default=False,
        ),
    ],
    source: Annotated[Path, typer.Argument(help="The download, as it unpacks.", show_default=False)],
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for our tables.", show_default=False)],
    liked: Annotated[
        float | None,
        typer.Option(
            min=0.5, max=5, help="movielens: ratings from here on are clicks; default: 4.0.", show_default=False
        ),
    ] = None,
    posters: Annotated[
        Path | None,
        typer.Option(
            help="movielens: a folder with `<movieId>.jpg`; default: `posters/` in the download.", show_default=False
        ),
    ] = None,
) -> None:
    """Turn a public data set into our tables. Pictures stay where they are."""
    from openmoon.data.importers import IMPORTERS
    from openmoon.errors import nearest

    if name not in IMPORTERS:
        raise UserError(
            f"data import: unknown data set {name!r}; known are {', '.join(IMPORTERS)}.{nearest(name, IMPORTERS)}"
        )
    options = {option: value for option, value in (("liked", liked), ("posters", posters)) if value is not None}
    if options and name != "movielens":
        raise UserError(f"data import {name}: --{next(iter(options))} is an option of movielens; leave it out.")
    out.print(str(IMPORTERS[name](source, folder, **options)), highlight=False, markup=False)
