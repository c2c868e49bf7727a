"""The public data set TAOBAO-MM as a log that all CTR models read."""

from openmoon.ctr.taobao_mm.read import read_taobao_mm

__all__ = ["read_taobao_mm"]
