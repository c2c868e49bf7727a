"""One small shop, built once for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from openmoon.data.sample import ShopSummary, build_sample_shop

PRODUCTS, USERS = 48, 120


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ShopSummary]:
    folder = tmp_path_factory.mktemp("shop") / "shop"
    return folder, build_sample_shop(folder, PRODUCTS, USERS, seed=3, workers=1)
