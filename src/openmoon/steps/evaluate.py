"""`openmoon evaluate`: every stage of a run on held-out queries, beside BM25, the untuned trunks and chance."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from openmoon.builders.held_out import held_out_items, held_out_queries
from openmoon.builders.systems import CachedEncode, scratch_folder, untuned_system
from openmoon.builders.trained import load_trained
from openmoon.builders.workspace import Workspace, cache_folder, open_workspace
from openmoon.config import Recipe
from openmoon.console import console
from openmoon.evaluation.encode import Encode
from openmoon.evaluation.results import RetrievalResult
from openmoon.evaluation.retrieval import evaluate_retrieval
from openmoon.io import write_text

STAGES = {"pretrain": "stage 1", "posttrain": "stage 2"}


def evaluate(recipe: Recipe) -> RetrievalResult:
    """Evaluate the stages that were trained; write evaluation.json and evaluation.md to the workdir."""
    work = open_workspace(recipe, labels=True)
    with scratch_folder(recipe.workdir) as temporary:
        systems = compared_systems(work, temporary)
        result = evaluate_retrieval(
            systems, held_out_queries(work), held_out_items(work), recipe=recipe.model_dump(mode="json"), split="test",
            data_hash=work.data_hash, seed=recipe.seed, fingerprints=fingerprints(systems),
            max_queries=recipe.evaluate.max_queries, progress=console.is_terminal,
        )  # fmt: skip
    result.save(recipe.workdir / "evaluation.json")
    write_text(recipe.workdir / "evaluation.md", result.to_markdown())
    return result


def compared_systems(work: Workspace, temporary: Path) -> dict[str, Encode]:
    """Untuned trunks and the stages that were trained. Tokens of frozen trunks come from the run's cache, those of tuned
    ones go to the folder `temporary`."""
    shared = cache_folder(work.recipe)
    systems: dict[str, Encode] = {"untuned": untuned_system(work.recipe.encoder, work.images, shared)}
    for stage, name in STAGES.items():
        encoder = load_trained(work, stage)
        if encoder is None and getattr(work.recipe, stage) is not None:
            console.print(f"  [yellow]{name} is left out[/]: `openmoon {stage}` has not finished")
        if encoder is not None:
            systems[name] = CachedEncode(encoder, work.images, temporary if tunes_trunks(work.recipe) else shared)
    return systems


def fingerprints(systems: Mapping[str, Encode]) -> dict[str, str]:
    """Identity of the weights of every encoder among the systems."""
    return {name: system.encoder.fingerprint() for name, system in systems.items() if isinstance(system, CachedEncode)}


def tunes_trunks(recipe: Recipe) -> bool:
    """Whether any stage trains a trunk, so that its tokens are nobody else's."""
    stages = [stage for stage in (recipe.pretrain, recipe.posttrain) if stage is not None]
    return any(stage.train_image_trunk or stage.train_text_trunk for stage in stages)
