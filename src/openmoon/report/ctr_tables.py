"""CTR results as tables: systems in rows, the best model of a column marked, and why something is undefined below."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from openmoon.ctr.results import DIGITS, UNDEFINED, CtrResult, Gain, Slice
from openmoon.report.ctr_headline import between, models, signed

METRICS = {"auc": "AUC", "gauc": "GAUC", "log_loss": "LogLoss", "pcoc": "PCOC"}
WHY = {
    "auc": "AUC needs impressions that were chosen and others that were not",
    "gauc": "GAUC needs a shopper who chose some of the impressions and left others",
    "log_loss": "LogLoss needs impressions",
    "pcoc": "PCOC divides by the number chosen, and nothing was",
}
DECILES, CLASSES = "impressions", "exposure class"  # kinds of slices that have a section of their own
TAIL, HEAD = "tail (lower half)", "head (top fifth)"
_SLICE_DIGITS = 3


@dataclass(frozen=True)
class Entry:
    """A value as printed; `best` where no model of the column is better."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class Table:
    """`heads` name the columns after the first, `facts` are rows that hold for all systems (rows, share chosen)."""

    caption: str
    heads: list[str]
    rows: dict[str, list[Entry]]
    facts: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def overall(result: CtrResult) -> Table:
    """Every system on the whole test part."""
    heads = ["seeds", *METRICS.values(), "ECE", "rows/s"]
    best = {metric: _best(result, metric, {name: one.mean(metric) for name, one in result.systems.items()}, digits)
            for metric, digits in DIGITS.items()}  # fmt: skip
    rows = {}
    for name, system in result.systems.items():
        rows[name] = [
            Entry(str(len(system.seeds))),
            *(Entry(system.text(metric), name in best[metric]) for metric in METRICS),
            Entry(f"{system.calibration['error']:.4f}" if system.calibration else UNDEFINED),
            Entry(f"{system.rows_per_s:,.0f}" if system.rows_per_s else ""),
        ]
    undefined = [metric for metric in METRICS if any(one.mean(metric) is None for one in result.systems.values())]
    return Table("All systems", heads, rows, notes=[f"{UNDEFINED}: {WHY[metric]}." for metric in undefined])


def gains(result: CtrResult) -> Table | None:
    """The gains over the reference in figures; None where no system has one."""
    known = {name: one for name, one in result.systems.items() if one.gain or one.new_gain or one.unknown_gain}
    rows = {name: [Entry(_gain(gain)) for gain in (one.gain, one.new_gain, one.unknown_gain)] for name, one in known.items()}
    return Table("Gains in figures", ["all products", "new products", "unknown to training"], rows) if rows else None


def slice_kinds(result: CtrResult) -> list[str]:
    """The kinds of slices that the page has a table for."""
    kinds = dict.fromkeys(kind for system in result.systems.values() for kind in system.slices)
    return [kind for kind in kinds if kind not in (DECILES, CLASSES)]


def slice_table(result: CtrResult, kind: str, metric: str) -> Table:
    """A metric of every system on the slices of a kind."""
    parts = dict.fromkeys(part for system in result.systems.values() for part in system.slices.get(kind, {}))
    columns = {part: {name: one.slices.get(kind, {}).get(part) for name, one in result.systems.items()} for part in parts}
    values = {part: {name: _of(one, metric) for name, one in column.items()} for part, column in columns.items()}
    best = {part: _best(result, metric, value, _SLICE_DIGITS) for part, value in values.items()}
    rows = {name: [Entry(_text(values[part][name]), name in best[part]) for part in parts] for name in result.systems}
    some = [next(one for one in column.values() if one) for column in columns.values()]
    facts = {"impressions": [f"{one.rows:,}" for one in some], "chosen": [f"{one.chosen / max(1, one.rows):.1%}" for one in some]}
    undefined = [part for part in parts if any(value is None for value in values[part].values())]
    notes = [f"{UNDEFINED} for {', '.join(undefined)}: {WHY[metric]}."] if undefined else []
    return Table(METRICS[metric], list(parts), rows, facts, notes)


def head_and_tail(result: CtrResult) -> Table | None:
    """AUC and PCOC of often and of rarely shown products, and how far the AUCs are apart; None without these slices."""
    pairs = {name: (parts.get(HEAD), parts.get(TAIL)) for name, one in result.systems.items()
             if (parts := one.slices.get(CLASSES))}  # fmt: skip
    if not pairs:
        return None
    rows = {}
    for name, (head, tail) in pairs.items():
        high, low = _of(head, "auc"), _of(tail, "auc")
        gap = UNDEFINED if high is None or low is None else signed(high - low, _SLICE_DIGITS)
        calibrated = (_text(_of(one, "pcoc")) for one in (head, tail))
        rows[name] = [Entry(text) for text in (_text(high), _text(low), gap, *calibrated)]
    heads = ["AUC head", "AUC tail", "head − tail", "PCOC head", "PCOC tail"]
    return Table("Head and tail", heads, rows)


def leakage(result: CtrResult) -> Table | None:
    """R² of v and of v′, systems with the same ones in one row; None where no system reads vectors."""
    same: dict[tuple[str, str], list[str]] = {}
    for name, system in result.systems.items():
        if system.leakage is not None:
            before, after = (_text(system.leakage.get(key)) for key in ("v", "v_adjusted"))
            same.setdefault((before, after), []).append(name)
    if not same:
        return None
    rows = {", ".join(names): [Entry(text) for text in texts] for texts, names in same.items()}
    undefined = any(entry.text == UNDEFINED for row in rows.values() for entry in row)
    notes = [f"{UNDEFINED}: fewer than 50 products with a training impression."] if undefined else []
    return Table("Popularity leakage", ["R² of v", "R² of v′"], rows, notes=notes)


def content_passes(result: CtrResult) -> Table | None:
    """Validation AUC of MAKE's content network after each pass under the first seed; None where no system has one."""
    passes = {name: system.facts["content_val"] for name, system in result.systems.items() if "content_val" in system.facts}
    if not passes:
        return None
    count = max(map(len, passes.values()))
    rows = {name: [Entry(_text(one["auc"]), one is _best_pass(found)) for one in found] + [Entry("")] * (count - len(found))
            for name, found in passes.items()}  # fmt: skip
    return Table("Content network, validation AUC by pass", [str(number) for number in range(1, count + 1)], rows)


def _best_pass(passes: list[dict[str, float | None]]) -> dict[str, float | None] | None:
    return max((one for one in passes[::-1] if one["auc"] is not None), key=lambda one: one["auc"] or 0.0, default=None)


def _gain(gain: Gain | None) -> str:
    return UNDEFINED if gain is None else f"{signed(gain.gauc)} {between(gain)}"


def _of(part: Slice | None, metric: str) -> float | None:
    return None if part is None else getattr(part.figures, metric)


def _text(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:.{_SLICE_DIGITS}f}"


def _best(result: CtrResult, metric: str, values: Mapping[str, float | None], digits: int) -> set[str]:
    """The models that no other one beats, as printed; baselines do not compete, and none is best where all are alike."""
    known = {name: round(value, digits) for name in models(result) if (value := values[name]) is not None}
    badness = {name: round(abs(value - 1) if metric == "pcoc" else value if metric == "log_loss" else -value, digits)
               for name, value in known.items()}  # fmt: skip
    least = min(badness.values(), default=0.0)
    best = {name for name, value in badness.items() if value == least}
    return best if len(best) < len(badness) else set()
