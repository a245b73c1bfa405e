"""The picture columns of the paper's multitask tables."""

from __future__ import annotations

import numpy as np
from skimage.metrics import structural_similarity

LEAST_MSE = 1e-8
"""A stamp's MSE counts as at least this (80 dB) in its PSNR, which would be infinite for equal pictures."""

PICTURE_COLUMNS = ("mse", "psnr", "ssim")


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
