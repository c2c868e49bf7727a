"""`openmoon env`: what a bug report needs to know."""

from __future__ import annotations

from rich.table import Table

from openmoon.runtime import machine, versions


def environment_table() -> Table:
    """Versions of the packages that decide results, and the machine."""
    import torch

    from openmoon.device import compute_device, device_name

    table = Table(title="OpenMOON environment", title_justify="left", show_header=False)
    facts = {**versions(), **machine(), "torch threads": torch.get_num_threads(), "device": device_name(compute_device())}
    for name, value in facts.items():
        table.add_row(name, str(value))
    return table
