"""Encoders: stamps in, unit vectors out; the large vision model and its heads."""

from pathlib import Path

WEIGHTS = Path(__file__).parents[1] / "weights"
"""The folder of the encoder that ships as ``default``."""
SHIPPED = ("detail",)
"""Encoders that ship beside it, in folders of their names below it."""
