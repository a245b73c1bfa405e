"""The tables of a multitask run as text."""

from __future__ import annotations

from training.finetuning.class_figures import CLASS_COLUMNS
from training.finetuning.multitask.measures import PICTURE_COLUMNS, Figures
from training.finetuning.multitask.tasks import TASKS


def table(strategy: str, figures: Figures, patches: Figures) -> str:
    """Return the paper's columns as text: the model's row, the degraded input's, and the gain."""
    lines = ["classification   " + " ".join(f"{name:>9s}" for name in CLASS_COLUMNS)]
    lines.append(f"{strategy:16s} " + " ".join(f"{figures['classification'][name]:9.3f}" for name in CLASS_COLUMNS))
    for title, row in [(task, figures[task]) for task in TASKS[1:]] + [(f"patches of {side}", row) for side, row in patches.items()]:
        own, entered = ([row[f"{start}{name}"] for name in PICTURE_COLUMNS] for start in ("", "input_"))
        gain = [one - other for one, other in zip(own, entered, strict=True)]
        lines += ["", f"{title:16s} " + " ".join(f"{name:>9s}" for name in PICTURE_COLUMNS)]
        for name, values in (("input", entered), (strategy, own), ("gain", gain)):
            lines.append(f"{name:16s} {values[0]:9.5f} {values[1]:9.2f} {values[2]:9.3f}")
    return "\n".join(lines)
