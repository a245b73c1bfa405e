"""The one split into training, validation and held-out stamps, by the name of the object alone."""

from __future__ import annotations

import hashlib

TRAIN_SHARE = 205
"""A stamp trains when the second byte of the SHA-1 of its object_id is below this (0.8)."""
VALIDATION_FROM = 205
"""A training stamp validates when the third byte is at least this (0.2)."""


def is_training(object_id: str) -> bool:
    """Return whether an object belongs to the training part; the rule is the same for every set.

    The first byte decided which stamps some labelled sets hold at all; the second holds out a fifth to measure on.
    """
    return hashlib.sha1(object_id.encode()).digest()[1] < TRAIN_SHARE


def is_validation(object_id: str) -> bool:
    """Return whether a training object belongs to the fifth that choices are made on: third byte of the SHA-1."""
    return is_training(object_id) and hashlib.sha1(object_id.encode()).digest()[2] >= VALIDATION_FROM
