"""Training stamps: packed, split, ordered, augmented."""
