"""A simulated shop with a known truth, and the same behaviour on a real catalogue. Start at `build_sample_shop`."""

from openmoon.data.sample.shop import build_sample_shop
from openmoon.data.sample.simulate import simulate_on_catalog
from openmoon.data.sample.summary import ShopSummary

__all__ = ["ShopSummary", "build_sample_shop", "simulate_on_catalog"]
