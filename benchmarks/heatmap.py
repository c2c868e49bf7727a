"""Are heatmaps true? Four kinds of map against a known subject, a known place and a yardstick, on a sample shop.

    python benchmarks/heatmap.py --shop shop --encoder runs/sample/posttrain/encoder --products 100

- subject: the map's positive mass on the product (studio pictures have a plain background) over the product's share of the area
- above background: how often a cell of the product scores higher than one of the background (0.5 is chance)
- with occlusion: Spearman rank correlation over cells with a plain yardstick: hard grey patches of another size
- right of four: four products of different categories in one picture of twice the side; is the quarter that the target
  belongs to the one with the most of the map? (0.25 is chance)

Targets are the product's title, and the vector of a shopper's photo of it. A map that stays when the weights are drawn again,
or when another text is asked for, explains nothing (Adebayo et al. 2018).
"""

from __future__ import annotations

from openmoon.runtime import tune_process

tune_process()

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import torch
import torch.nn.functional as F
from heatmap_methods import at_random, gradient_x_input, occlusion, rollout, tokens_left_out, yardstick

from openmoon.data.images import load_image
from openmoon.errors import one_line
from openmoon.evaluation.heatmap import GRID, occlude
from openmoon.io import write_json
from openmoon.models.encoder import ProductEncoder, build_encoder
from openmoon.models.onnx.trunks import accelerate
from openmoon.runtime import machine, versions

TARGETS = ("title", "photo")
SHIPPED, DRAWN_AGAIN = "occlusion (`openmoon heatmap`)", "occlusion, weights drawn again"
Encoders = dict[int, ProductEncoder]
"""An encoder made to see pictures of one size and of twice that."""
Method = Callable[[ProductEncoder, np.ndarray, np.ndarray, str], np.ndarray]
"""(encoder, picture (S, S, 3), targets (T, dim), title) → maps (T, g, g)."""


def cells(maps: np.ndarray) -> np.ndarray:
    """Any (T, g, g) as (T, GRID, GRID)."""
    values = torch.from_numpy(np.ascontiguousarray(maps, np.float32))[:, None]
    if values.shape[-1] > GRID:
        return F.adaptive_avg_pool2d(values, GRID)[:, 0].numpy()
    return F.interpolate(values, size=(GRID, GRID), mode="bilinear", align_corners=False)[:, 0].numpy()


def ranks(values: np.ndarray) -> np.ndarray:
    return values.ravel().argsort().argsort().astype(float)


def on_subject(heat: np.ndarray, subject: np.ndarray) -> tuple[float, float]:
    """Positive mass on the subject over its area, and the chance that its cells score above those of the background."""
    positive = heat.clip(0)
    lift = (positive * subject).sum() / max(positive.sum(), 1e-9) / subject.mean()
    inside = subject.sum()
    above = (ranks(heat)[subject.ravel()].sum() - inside * (inside - 1) / 2) / (inside * (subject.size - inside))
    return float(lift), float(above)


def quarters(heat: np.ndarray) -> np.ndarray:
    half = GRID // 2
    return heat.reshape(2, half, 2, half).sum((1, 3)).ravel()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shop", type=Path, required=True, help="a folder that `openmoon data sample` made")
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--products", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks/heatmap.json"))
    args = parser.parse_args()
    encoder = ProductEncoder.from_pretrained(args.encoder)
    torch.manual_seed(0)
    drawn_again = build_encoder(encoder.config, args.encoder)  # the architecture alone
    products = sample(args.shop, args.products)
    with tempfile.TemporaryDirectory() as folder:
        sizes = (encoder.image_size, 2 * encoder.image_size)
        fast, other = ({size: accelerate(at_size(one, size), Path(folder)) for size in sizes} for one in (encoder, drawn_again))
        slow = {size: at_size(encoder, size) for size in sizes}
        methods: dict[str, tuple[Method, Encoders, int]] = {
            SHIPPED: (occlusion, fast, 0),
            "tokens left out": (tokens_left_out, slow, 0),
            "tokens left out, picture twice as large": (tokens_left_out, slow, 1),
            "gradient x input": (gradient_x_input, slow, 0),
            "gradient x input, picture twice as large": (gradient_x_input, slow, 1),
            "attention rollout": (rollout, slow, 0),
            "attention rollout, picture twice as large": (rollout, slow, 1),
            DRAWN_AGAIN: (occlusion, other, 0),
            "random map": (at_random, slow, 0),
        }
        result = compare(methods, fast, products, args.shop)
        result["word_on_its_product"] = words_find_products(fast, products, args.shop)
    print_tables(result)
    write_json(args.out, {**result, "products": products.height, "versions": versions(), "machine": machine()})


def sample(shop: Path, count: int) -> pl.DataFrame:
    """Products with title, picture and a shopper's photo."""
    catalog = pl.read_parquet(shop / "catalog.parquet").drop_nulls(["title", "image"])
    photos = pl.read_parquet(shop / "truth/queries.parquet").drop_nulls("query_image").unique("product_id", maintain_order=True)
    types = pl.read_parquet(shop / "truth/products.parquet").select("product_id", "type")
    usable = catalog.join(photos, on="product_id").join(types, on="product_id")
    if len(usable) < count:
        sys.exit(f"--products {count}: {shop} has {len(usable):,} with title, picture and photo; ask for at most so many.")
    return usable.sample(count, seed=0)


def compare(
    methods: dict[str, tuple[Method, Encoders, int]], shown_by: Encoders, products: pl.DataFrame, shop: Path
) -> dict[str, object]:
    """Means over products: scores[method][target] = (subject, above background, with occlusion, right of four)."""
    (size, larger), random = shown_by, np.random.default_rng(0)
    titles, types = products["title"].to_list(), products["type"].to_list()
    pictures = [load_image(shop / name, size) for name in products["image"]]
    photos = [shop / name for name in products["query_image"]]
    trained = np.stack([shown_by[size].encode(titles), shown_by[size].encode(photos)], 1)
    other = methods[DRAWN_AGAIN][1][size]
    random_targets = np.stack([other.encode(titles), other.encode(photos)], 1)
    scores: dict[str, list[list[tuple[float, ...]]]] = {name: [] for name in methods}
    agreement = []
    for row, (picture, title) in enumerate(zip(pictures, titles, strict=True)):
        border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        differs = np.abs(picture - np.median(border, axis=0)).max(-1) > 40
        subject = cells(differs[None])[0] > 0.5
        others = random.choice([n for n, kind in enumerate(types) if kind != types[row]], 3, replace=False).tolist()
        place = int(random.integers(4))
        four = [pictures[n] for n in [*others[:place], row, *others[place:]]]
        mosaic = np.concatenate([np.concatenate(four[:2], 1), np.concatenate(four[2:], 1)])
        reference = cells(yardstick(shown_by[size], picture, trained[row], title))
        found, on_mosaic = {}, {}
        for name, (method, encoders, scale) in methods.items():
            wanted = (random_targets if name == DRAWN_AGAIN else trained)[row]
            seen = picture.repeat(scale + 1, 0).repeat(scale + 1, 1)
            found[name] = cells(method(encoders[len(seen)], seen, wanted, title))
            if (method, id(encoders)) not in on_mosaic:
                on_mosaic[method, id(encoders)] = cells(method(encoders[larger], mosaic, wanted, title))
            scores[name].append([
                (*on_subject(m, subject), np.corrcoef(ranks(m), ranks(r))[0, 1], quarters(q).argmax() == place)
                for m, r, q in zip(found[name], reference, on_mosaic[method, id(encoders)], strict=True)
            ])  # fmt: skip
        pairs = zip(found[SHIPPED], found[DRAWN_AGAIN], strict=True)
        agreement.append([np.corrcoef(ranks(a), ranks(b))[0, 1] for a, b in pairs])
        print(f"{row + 1} of {len(pictures)}", end="\r", file=sys.stderr, flush=True)
    means = {name: dict(zip(TARGETS, np.mean(rows, 0).tolist(), strict=True)) for name, rows in scores.items()}
    same = dict(zip(TARGETS, np.mean(agreement, 0).tolist(), strict=True))
    return {"scores": means, "agreement_with_weights_drawn_again": same}


def at_size(encoder: ProductEncoder, size: int) -> ProductEncoder:
    """The same encoder, made to see pictures of this size."""
    image = encoder.config.image.model_copy(update={"size": size})
    return ProductEncoder(encoder.image, encoder.text, encoder.fusion, encoder.config.model_copy(update={"image": image})).eval()


def words_find_products(encoders: Encoders, products: pl.DataFrame, shop: Path) -> float:
    """Two products side by side: how often most of the map of each one's word (its type) is on its half; 0.5 is chance.

    As many pairs as half the products.
    """
    (size, larger), types, random = encoders, products["type"].to_list(), np.random.default_rng(1)
    right = []
    for row, image in enumerate(products["image"].head(products.height // 2)):
        other = int(random.choice([n for n, kind in enumerate(types) if kind != types[row]]))
        pair = np.full((larger, larger, 3), 250, np.uint8)
        band = slice(size // 2, size // 2 + size)
        pair[band, :size], pair[band, size:] = load_image(shop / image, size), load_image(shop / products["image"][other], size)
        maps = occlude(encoders[larger], pair).maps(encoders[size].encode([types[row], types[other]]))
        left = maps[:, :, : GRID // 2].sum((1, 2)) > maps[:, :, GRID // 2 :].sum((1, 2))
        right += [left[0], not left[1]]
    return float(np.mean(right))


def print_tables(result: dict[str, object]) -> None:
    scores: dict[str, dict[str, list[float]]] = result["scores"]  # type: ignore[assignment]
    for target in TARGETS:
        print(f"\n| target: {target} | subject | above background | with occlusion | right of four |\n|---|---:|---:|---:|---:|")
        for name, means in scores.items():
            lift, above, rho, right = means[target]
            print(f"| {name} | {lift:.2f} x | {above:.2f} | {rho:.2f} | {right:.2f} |")
    print(f"\nwords on their product, of two: {result['word_on_its_product']:.3f}")
    print(f"rank correlation with maps of weights drawn again: {result['agreement_with_weights_drawn_again']}")


if __name__ == "__main__":
    with one_line():
        main()
