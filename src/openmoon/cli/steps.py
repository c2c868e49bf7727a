"""The steps of a run, one thin verb each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from openmoon.cli.arguments import EncoderFolder, Fresh, Overrides, RecipePath, load, out
from openmoon.console import plain

app = typer.Typer()


@app.command()
def pretrain(recipe: RecipePath, overrides: Overrides = None, fresh: Fresh = False) -> None:
    """Stage 1: align pictures and texts of the catalogue.

    Writes `<workdir>/pretrain/`: the encoder, checkpoint, metrics.jsonl, TensorBoard. A killed run resumes where it was.
    """
    loaded = load(recipe, overrides)
    from openmoon.steps.pretrain import pretrain

    pretrain(loaded, fresh)


@app.command()
def posttrain(recipe: RecipePath, overrides: Overrides = None, fresh: Fresh = False) -> None:
    """Stage 2: learn from behaviour what shoppers choose for a query.

    Starts from stage 1, with `pretrain=null` from `posttrain.start` or the bare trunks, and writes `<workdir>/posttrain/`.
    """
    loaded = load(recipe, overrides)
    from openmoon.steps.posttrain import posttrain

    posttrain(loaded, fresh)


@app.command()
def evaluate(recipe: RecipePath, overrides: Overrides = None) -> None:
    """Recall, MRR and nDCG on held-out queries: each stage beside BM25, the untuned trunks and chance.

    Writes `<workdir>/evaluation.json` and `evaluation.md`.
    """
    loaded = load(recipe, overrides)
    from openmoon.steps.evaluate import evaluate

    result = evaluate(loaded)
    out.print(result.to_table())
    out.print(result.collapse(), highlight=False)
    out.print(f"wrote {plain(loaded.workdir / 'evaluation.json')} and evaluation.md beside it")


@app.command()
def embed(recipe: RecipePath, overrides: Overrides = None, encoder: EncoderFolder = None) -> None:
    """Turn the catalogue into `<workdir>/vectors.parquet`, with `embed.queries` also the queries of the events into
    `query_vectors.parquet`.

    Only what is new or changed is computed; a killed run goes on where it stopped.
    """
    loaded = load(recipe, overrides)
    from openmoon.steps.embed import embed

    embed(loaded, encoder)


@app.command()
def export(
    recipe: RecipePath,
    overrides: Overrides = None,
    folder: Annotated[
        Path | None, typer.Option("--out", help="Folder; default: `<workdir>/onnx-export`.", show_default=False)
    ] = None,
    encoder: EncoderFolder = None,
    int8: Annotated[bool, typer.Option(help="Also write int8 graphs, a quarter of the size.")] = True,
) -> None:
    """Write the encoder as ONNX graphs (picture, text, fusion) for serving without torch, in float and int8, and print what each
    costs in recall and gains in speed."""
    loaded = load(recipe, overrides)
    from openmoon.steps.export import export

    out.print(export(loaded, folder, encoder, int8).to_table())


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
    loaded = load(recipe, overrides)
    from rich.table import Table

    from openmoon.steps.search import search_products

    results = search_products(loaded, text, image, k, sheet, encoder)
    table = Table("rank", "score", "product", "title", "category", header_style="dim")
    for row in results.iter_rows(named=True):
        words = (escape(row[name] or "—") for name in ("product_id", "title", "category"))
        table.add_row(str(row["rank"]), f"{row['score']:.3f}", *words)
    out.print(table)
    if sheet:
        out.print(f"wrote {plain(sheet)}")


@app.command()
def heatmap(
    recipe: RecipePath,
    overrides: Overrides = None,
    image: Annotated[Path | None, typer.Option(help="The picture: a file.", show_default=False)] = None,
    product: Annotated[str | None, typer.Option(help="The picture: that of a product.", show_default=False)] = None,
    text: Annotated[str | None, typer.Option(help="Where are these words in the picture?", show_default=False)] = None,
    match: Annotated[
        str | None,
        typer.Option(help="Why does it match this one? A file, or the id of a product.", show_default=False),
    ] = None,
    to: Annotated[Path, typer.Option("--out", help="The PNG.")] = Path("heatmap.png"),
    encoder: EncoderFolder = None,
) -> None:
    """Show which regions of a picture speak for a text, or for the match with another picture.

    `openmoon heatmap RECIPE --image photo.jpg --text "red boots"`, or `--image photo.jpg --match P000123`. Bright is what the
    cosine similarity loses when the region is hidden; a word's map takes the word alone. Takes seconds.
    """
    loaded = load(recipe, overrides)
    from rich.table import Table

    from openmoon.steps.heatmap import draw_heatmap

    maps = draw_heatmap(loaded, to, image, product, text, match, encoder)
    table = Table("map", "similarity", "most that a region costs", header_style="dim")
    for one in maps:
        table.add_row(escape(one.label), f"{one.similarity:.3f}", f"{one.map.max():.3f}")
    out.print(table)
    out.print(f"wrote {plain(to)}")


@app.command()
def report(recipe: RecipePath, overrides: Overrides = None) -> None:
    """One self-contained HTML page about a run: data, curves, before/after tables, queries with what came back."""
    loaded = load(recipe, overrides)
    from openmoon.steps.report import report

    out.print(f"wrote {plain(report(loaded))}")


@app.command()
def run(recipe: RecipePath, overrides: Overrides = None, fresh: Fresh = False) -> None:
    """All steps in order: check, pretrain, (data augment), posttrain, evaluate, embed, report. A step the recipe switches off is
    named."""
    loaded = load(recipe, overrides)
    from openmoon.steps.run import run

    result = run(loaded, fresh)
    if result is not None:
        out.print(result.to_table(["recall@1", "recall@10", "mrr"]))
        out.print(result.collapse(), highlight=False)


@app.command()
def fields(
    section: Annotated[str, typer.Argument(help="Such as posttrain or `posttrain.negatives`; default: all.")] = "",
) -> None:
    """Every field of a recipe: its default, what it takes and what it means. A line such as `posttrain.lr=0.001` behind a command
    sets one."""
    from rich.padding import Padding

    from openmoon.config.fields import recipe_fields

    for field in recipe_fields(section):
        default = " [dim]required[/]" if field.default is None else f"={escape(field.default)}"
        out.print(f"[bold]{escape(field.path)}[/]{default}  [dim]{escape(field.takes)}[/]", highlight=False)
        out.print(Padding(escape(field.meaning), (0, 0, 0, 4)), highlight=False)


@app.command()
def env() -> None:
    """Versions and machine, for a bug report."""
    from openmoon.steps.env import environment_table

    out.print(environment_table())
