"""The active rule: the weaker a task, the larger its share of the training steps.

Fu et al. 2024 update the shares of the tasks from how well each does (F1, MSE), without a formula and on their test
set. Here the rule is: ``share_t`` is proportional to ``max(0.1, 1 - q_t)``, where ``q_t`` in 0..1 is the task's quality
on the *validation* part: F1, or the PSNR gain over the degraded input divided by 10 dB and clipped to 0..1; a new
value moves ``q_t`` half of the way (an exponential moving average with weight 0.5).
"""

from __future__ import annotations

from collections.abc import Mapping

FLOOR = 0.1
FULL_GAIN_DB = 10.0
SMOOTHING = 0.5


def shares(qualities: Mapping[str, float]) -> dict[str, float]:
    """Return each task's share of the steps, of sum 1, from the qualities in 0..1."""
    needs = {task: max(FLOOR, 1 - quality) for task, quality in qualities.items()}
    whole = sum(needs.values())
    return {task: need / whole for task, need in needs.items()}


def picture_quality(psnr_db: float, input_psnr_db: float) -> float:
    """Return the quality of a picture task, 0..1, from its PSNR and that of its input."""
    return min(1.0, max(0.0, (psnr_db - input_psnr_db) / FULL_GAIN_DB))


def smoothed(before: float | None, now: float) -> float:
    """Return the running quality after a new value; the first value is taken as it is."""
    return now if before is None else before + SMOOTHING * (now - before)
