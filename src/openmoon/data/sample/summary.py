"""What a simulated shop holds and the ceilings of anything that is measured on it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from openmoon.data.sample.ceilings import auc, oracle_recall
from openmoon.data.sample.log import Log


@dataclass(frozen=True)
class ShopSummary:
    """Counts, and the ceilings: oracle recall over the whole catalogue and the AUC of the true click probabilities."""

    name: str
    seed: int
    counts: dict[str, int]
    oracle: dict[str, dict[str, float]]  # photo | text → R@k
    click_auc: dict[str, float | None]  # whole log | uniform slice
    rates: dict[str, float]

    def as_json(self) -> dict[str, object]:
        return asdict(self)

    def __str__(self) -> str:
        lines = [
            f"{self.name}, seed {self.seed}",
            "  " + " · ".join(f"{v:,} {k.replace('_', ' ')}" for k, v in self.counts.items()),
        ]
        lines += [
            f"  ceiling, {kind} query → product: "
            + ("  ".join(f"{k} {v:.3f}" for k, v in found.items()) or "none asked")
            for kind, found in self.oracle.items()
        ]
        lines += [
            f"  ceiling, AUC of the true click probabilities, {where}: " + ("undefined" if v is None else f"{v:.3f}")
            for where, v in self.click_auc.items()
        ]
        lines += [f"  {name.replace('_', ' ')}: {rate:.3f}" for name, rate in self.rates.items()]
        return "\n".join(lines)


def summarise(name: str, seed: int, counts: dict[str, int], log: Log) -> ShopSummary:
    """Count the log and compute its ceilings; `counts` come first."""
    space, seen, texts, photos = log.world.space, log.seen, log.queries.texts, log.queries.photos
    bought = seen.purchase & (log.requests.photo >= 0)[seen.request]
    exact = seen.product[bought] == log.requests.wanted[seen.request[bought]]
    uniform = seen.uniform
    found = {
        "impressions": len(seen.product),
        "clicks": int(seen.click.sum()),
        "carts": int(seen.cart.sum()),
        "purchases": int(seen.purchase.sum()),
        "impressions_in_random_order": int(uniform.sum()),
    }
    return ShopSummary(
        name=name,
        seed=seed,
        counts=counts | found,
        oracle={
            "photo": oracle_recall(space, photos.product, log.queries.photo_named()),
            "text": oracle_recall(space, texts.product, texts.named, texts.text),
        },
        click_auc={
            "whole log": auc(seen.p_true, seen.click),
            "uniform slice": auc(seen.p_true[uniform], seen.click[uniform]),
        },
        rates={
            "click_rate": _share(seen.click),
            "click_rate_in_random_order": _share(seen.click[uniform]),
            "clicks_that_are_noise": _share(seen.noisy[seen.click]),
            "purchases_after_a_photo_that_are_the_product_shown": _share(exact),
        },
    )


def _share(flags: np.ndarray) -> float:
    return round(float(flags.mean()), 4) if len(flags) else 0.0
