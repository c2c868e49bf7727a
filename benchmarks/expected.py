"""Whether a run of a shipped recipe reached what is expected of it; exit status 1 if not.

python benchmarks/expected.py runs/sample/evaluation.json recipes/expected/sample.json
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from openmoon.errors import one_line
from openmoon.evaluation.expected import Expected
from openmoon.evaluation.results import RetrievalResult


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, help="evaluation.json of the run")
    parser.add_argument("expected", type=Path)
    args = parser.parse_args()
    expected = Expected.load(args.expected)
    deviations = list(expected.deviations(RetrievalResult.load(args.result)))
    for found in deviations:
        value = "missing" if found.found is None else f"{found.found:.3f}"
        print(f"  {found.direction} · {found.system} · {found.metric}: {value}, "
              f"expected {found.expected.mean:.3f} ± {found.expected.tolerance:.3f}")  # fmt: skip
    print(f"{len(expected) - len(deviations)} of {len(expected)} metrics are where seeds {expected.seeds} put them")
    sys.exit(bool(deviations))


if __name__ == "__main__":
    with one_line():
        main()
