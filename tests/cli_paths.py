"""Shipped configurations that the tests of the command line use."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
DEVICE = str(ROOT / "configs/devices/cpu_torch.yaml")
TABLE = str(ROOT / "configs/runs/table.yaml")
