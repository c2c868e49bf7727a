"""`openmoon benchmark`: encoders on a suite → one JSON per task, benchmark.md and benchmark.html."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from openmoon.builders.encoders import is_saved_encoder, named_sources, open_system
from openmoon.builders.shop_suite import shop_suite
from openmoon.builders.systems import scratch_folder
from openmoon.config import EncoderConfig, Recipe, load_recipe
from openmoon.console import bar, console
from openmoon.data.image_cache import ImageCache
from openmoon.data.shop import load_catalog
from openmoon.errors import UserError, nearest
from openmoon.evaluation.benchmark.labels import label_tasks
from openmoon.evaluation.benchmark.results import Benchmark, Origin
from openmoon.evaluation.benchmark.retrieval import retrieval_task
from openmoon.evaluation.benchmark.scores import MAJORITY
from openmoon.evaluation.benchmark.suite import Suite, settle
from openmoon.evaluation.benchmark.suites import READERS
from openmoon.evaluation.benchmark.tables import to_markdown
from openmoon.io import write_text
from openmoon.models.encoder import ProductEncoder
from openmoon.report.benchmark import write_benchmark_page
from openmoon.runtime import machine, versions


def benchmark(arguments: Sequence[str], suite_name: str, data: Path | None, out: Path, seed: int = 0) -> Benchmark:
    """Measure every encoder on the same candidates and examples of a suite; write the results to `out`.

    `arguments` are ENCODER or NAME=ENCODER, in the order of the tables; the suite is one of `READERS` in the folder `data`, or a
    recipe (.yaml) for what it holds out. `seed` draws the sample of queries where there are too many. Raises `UserError` for an
    unknown suite or encoder, for data in another layout, and where nothing can be measured.
    """
    _require_suite(suite_name, data)
    sources = named_sources(arguments)
    with scratch_folder(out) as scratch:
        config = _trunks(list(sources.values()))
        suite = _open_suite(suite_name, data, scratch, config.image.size)

        def pictures(size: int) -> ImageCache:
            images = ImageCache(scratch, size)
            paths = suite.pictures()
            with bar(f"Decoding pictures, {size} px", len(paths)) as (progress, task):
                images.fill(paths, progress=lambda n: progress.advance(task, n))
            return images

        systems = [open_system(name, source, config, pictures, scratch) for name, source in sources.items()]
        warnings = [note for name, source in sources.items() for note in _seen_notes(name, source, suite)]
        for note in warnings:
            console.print(f"  [yellow]{note}[/]")
        shown = console.is_terminal
        ranked, cells, left_out = retrieval_task(systems, suite, seed, shown)
        classification, attributes = label_tasks(systems, suite, shown)
    notes = [*warnings, *suite.notes, *left_out]
    if not (cells or classification or attributes):
        raise UserError(f"benchmark: nothing of suite {suite.name} can be measured: {'; '.join(notes)}.")
    result = Benchmark(
        origin=Origin(
            suite=suite.name, revision=suite.revision, pool=suite.pool.height, queries=suite.queries.height,
            train_examples=suite.examples.filter(split="train").height,
            test_examples=suite.examples.filter(split="test").height, seed=seed,
            encoders={system.name: system.facts for system in systems}, versions=versions(), machine=machine(),
            notes=notes,
        ),
        ranked=ranked, labelled=[MAJORITY, *sources], retrieval=cells, classification=classification, attributes=attributes,
    )  # fmt: skip
    result.save(out)
    write_text(out / "benchmark.md", to_markdown(result))
    write_benchmark_page(result, out / "benchmark.html")
    return result


def _trunks(sources: Sequence[str]) -> EncoderConfig:
    """What `untuned` stands for: the trunks of the first saved encoder, so that only training differs; else the default."""
    saved = next((source for source in sources if is_saved_encoder(source)), None)
    return ProductEncoder.from_pretrained(saved).config if saved else EncoderConfig()


def _require_suite(name: str, data: Path | None) -> None:
    if _is_recipe(name):
        if data is not None:
            raise UserError(f"benchmark: {name} names its own data; leave --data out.")
    elif name not in READERS:
        raise UserError(f"benchmark: unknown suite {name!r}; known are {', '.join(READERS)}, and recipes (.yaml)."
                        f"{nearest(name, READERS)}")  # fmt: skip
    elif data is None:
        raise UserError(f"benchmark: suite {name} needs --data, the folder that holds its data.")
    elif not data.is_dir():
        raise UserError(f"{data}: no such folder; --data takes the folder that holds the data of suite {name}.")


def _open_suite(name: str, data: Path | None, scratch: Path, size: int) -> Suite:
    if data is None:
        suite = shop_suite(load_recipe(Path(name)))
    else:
        with bar(f"Reading suite {name}", None) as (progress, task):
            suite = READERS[name](data, scratch, lambda n: progress.advance(task, n))
    with bar("Reading pictures", len(suite.pictures())) as (progress, task):
        return settle(suite, ImageCache(scratch, size), lambda n: progress.advance(task, n))


def _is_recipe(name: str) -> bool:
    return name.endswith((".yaml", ".yml"))


def _seen_notes(name: str, source: str, suite: Suite) -> list[str]:
    """A warning where an encoder of ours was trained on a catalogue with test products of the suite, under another split."""
    recipe_path = Path(source).parent / "recipe.yaml"
    if suite.split is None or not is_saved_encoder(source) or not recipe_path.is_file():
        return []
    try:
        recipe = load_recipe(recipe_path)
        if recipe.data.split == suite.split:
            return _compared_otherwise(name, recipe, suite)
        catalog = load_catalog(recipe.data).catalog
    except UserError:
        return [f"{name}: its recipe or its catalogue cannot be read any more; it may have been trained on what is measured"]
    both = suite.pool.join(catalog, on=["product_id", "title"], how="semi").height
    split = ", ".join(f"{key} {value}" for key, value in suite.split.model_dump().items())
    return [f"{name}: {both:,} of the {suite.pool.height:,} products measured are in its training catalogue, which was split "
            f"otherwise (the suite: {split}); it may have been trained on them"] if both else []  # fmt: skip


def _compared_otherwise(name: str, recipe: Recipe, suite: Suite) -> list[str]:
    """A warning where one split may differ in a few products: look-alikes are found in pictures of the recipe's size."""
    size = recipe.encoder.image.size
    if suite.compared_at in (None, size) or not recipe.data.split.by_looks:
        return []
    return [f"{name}: its look-alikes were found in pictures of {size} px, the suite's at {suite.compared_at}: a product that "
            "only one of them keeps with others may be on another side"]  # fmt: skip
