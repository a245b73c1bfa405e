"""A multitask model measured on held-out stamps, in the columns of the paper's tables."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from discovery.encoders.image_heads import MultitaskModel
from training.data.degrade import Degradation, masks
from training.finetuning.class_figures import class_figures
from training.finetuning.multitask.tasks import TASKS, TaskData, pictures, task_batch
from training.spaces import network_input

LEAST_MSE = 1e-8
"""A stamp's MSE counts as at least this (80 dB) in its PSNR, which would be infinite for equal pictures."""

MEASURE_BATCH = 50
VALIDATION_SEED, TEST_SEED = 1, 2
Figures = dict[str, dict[str, float]]
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


@torch.inference_mode()
def measured(model: MultitaskModel, data: TaskData, part: Literal["validation", "test"], how: Degradation) -> Figures:
    """Return the figures of all tasks on one part, with the degradations that belong to the part.

    Returns
    -------
    dict
        By task: accuracy, precision, recall, f1; or mse, psnr, ssim, beside the same of the degraded input
        (``input_mse`` and so on).
    """
    figures: Figures = {}
    seed = VALIDATION_SEED if part == "validation" else TEST_SEED
    for task in TASKS:
        rows = getattr(data, part)[task]
        clean, truth = pictures(data.stamps, rows, model.image_size), data.labels[rows]
        batch = task_batch(task, clean, torch.from_numpy(truth), how, torch.Generator().manual_seed(seed))
        if task == "classification":
            logits = _in_batches(model.classify, model, clean)
            figures[task] = class_figures(truth, logits.argmax(1).numpy(), len(data.classes))
        elif task == "restoration":
            figures[task] = _beside(clean, batch["degraded"], _in_batches(model.restore, model, batch["degraded"]))
        else:
            answer = _in_batches(model.reconstruct, model, clean, batch["mask"])
            figures[task] = _beside(clean, clean * (1 - batch["mask"]), answer)
    return figures


@torch.inference_mode()
def patch_table(model: MultitaskModel, pixels: np.ndarray, seed: int, how: Degradation | None = None) -> dict[str, dict[str, float]]:
    """Return the figures of reconstruction for each patch size by itself, on the same stamps.

    Parameters
    ----------
    pixels : numpy.ndarray
        (N, 3, 128, 128) uint8, colours times 255, not seen in training.
    seed
        Of the masks; 0-70 % of each stamp are masked.
    how
        The paper's degradation (patches of 4, 8, 16 pixels of the network's stamp) when not given.

    Returns
    -------
    dict
        By patch side: mse, psnr, ssim, and the same of the masked input (``input_mse`` and so on).
    """
    how = how or Degradation()
    clean, table = network_input(pixels, model.image_size), {}
    for patch in how.sides:
        mask = masks(len(clean), model.image_size, how, torch.Generator().manual_seed(seed), patch)
        table[str(patch)] = _beside(clean, clean * (1 - mask), _in_batches(model.reconstruct, model, clean, mask))
    return table


def _in_batches(method: Any, model: MultitaskModel, *inputs: Tensor) -> Tensor:
    place = next(model.parameters()).device
    parts = [method(*(value[start : start + MEASURE_BATCH].to(place) for value in inputs)) for start in range(0, len(inputs[0]), MEASURE_BATCH)]
    return torch.cat(parts).float().cpu()


def _beside(clean: Tensor, entered: Tensor, answer: Tensor) -> dict[str, float]:
    own = picture_figures(clean.numpy(), answer.numpy())
    return own | {f"input_{name}": value for name, value in picture_figures(clean.numpy(), entered.numpy()).items()}
