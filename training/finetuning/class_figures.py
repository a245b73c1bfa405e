"""Accuracy, precision, recall and F1 of a classification, as the paper's tables have them."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

CLASS_COLUMNS = ("accuracy", "precision", "recall", "f1")


def class_figures(truth: np.ndarray, answer: np.ndarray, classes: int) -> dict[str, float]:
    """Return accuracy and the macro averages of precision, recall and F1 over the classes.

    A class that is never answered, or never true, counts with 0.

    Parameters
    ----------
    truth, answer : numpy.ndarray
        (N,) int, 0 to ``classes`` - 1.
    """
    precision, recall, f1, _ = precision_recall_fscore_support(
        truth, answer, labels=range(classes), average="macro", zero_division=0.0
    )
    values = (accuracy_score(truth, answer), precision, recall, f1)
    return dict(zip(CLASS_COLUMNS, map(float, values), strict=True))
