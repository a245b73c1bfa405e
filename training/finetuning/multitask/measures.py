"""The columns of the paper's multitask tables."""

from __future__ import annotations

import numpy as np
from skimage.metrics import structural_similarity
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

LEAST_MSE = 1e-8
"""A stamp's MSE counts as at least this (80 dB) in its PSNR, which would be infinite for equal pictures."""

CLASS_COLUMNS = ("accuracy", "precision", "recall", "f1")
PICTURE_COLUMNS = ("mse", "psnr", "ssim")


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


def picture_figures(truth: np.ndarray, answer: np.ndarray) -> dict[str, float]:
    """Return MSE, PSNR in dB and SSIM, each the mean over the stamps of the stamp's own figure.

    The data range is 1. The mean of the PSNRs is not the PSNR of the mean MSE, but at least that.

    Parameters
    ----------
    truth, answer : numpy.ndarray
        (N, 3, S, S), ``truth`` in 0..1.
    """
    truth, answer = truth.astype(np.float64), answer.astype(np.float64)
    errors = ((truth - answer) ** 2).mean((1, 2, 3))  # (N,)
    psnr = -10 * np.log10(np.maximum(errors, LEAST_MSE))
    ssim = [structural_similarity(one, other, data_range=1.0, channel_axis=0) for one, other in zip(truth, answer, strict=True)]
    values = (errors.mean(), psnr.mean(), np.mean(ssim))
    return dict(zip(PICTURE_COLUMNS, map(float, values), strict=True))
