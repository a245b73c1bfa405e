"""The one split into training, validation and held-out stamps, by the name of the object alone."""

from __future__ import annotations

import hashlib

TRAIN_SHARE = 205
"""A stamp trains when the first two bytes of the SHA-1 of its object_id are both below this (0.8 x 0.8)."""
VALIDATION_FROM = 230
"""A training stamp validates when the third byte is at least this (0.1)."""


def is_training(object_id: str) -> bool:
    """Tell whether an object belongs to the training part; the rule is the same for every set.

    The first byte is the split that everybody keeps; labelled sets are handed out without the part that it holds
    out, so the second byte holds out another fifth to measure on.
    """
    return max(hashlib.sha1(object_id.encode()).digest()[:2]) < TRAIN_SHARE


def is_validation(object_id: str) -> bool:
    """Tell whether a training object belongs to the tenth that choices are made on: third byte of the SHA-1."""
    return is_training(object_id) and hashlib.sha1(object_id.encode()).digest()[2] >= VALIDATION_FROM
