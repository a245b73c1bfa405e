"""``discovery train finetune detection``."""

from __future__ import annotations

import json
from typing import Any

from discovery.files.paths import check_paths_exist
from training.commands.options import Json
from training.finetuning.detection.config import DetectionConfig


def detection(*sources: str, config: DetectionConfig, json_output: Json = False) -> None:
    """Train Mask R-CNN to find lenses in wide fields, on the LVM and on ResNet50, and print their average precision.

    Run it again to go on where it stopped. Fields are sky noise and faint galaxies in which lenses and as many
    non-lenses are placed by the same code; the test fields hold only objects that were not trained on.

    Parameters
    ----------
    sources
        PATH (no lenses), 'PATH@COLUMN:VALUE' (lenses have this value) or 'PATH@COLUMN>=2,<1.3' (lenses have 2 and more,
        non-lenses less than 1.3, the others are left out). Quote them: the shell takes > for itself.
    """
    check_paths_exist([source.partition("@")[0] for source in sources])
    from training.finetuning.detection.comparison import compare_detectors

    result = compare_detectors(sources, config)
    if result is not None:
        print(json.dumps(result) if json_output else _table(result["rows"], result["undecided_ap"]))


def _table(rows: list[dict[str, Any]], undecided: float) -> str:
    columns = ("box_ap50", "box_ap", "mask_ap50", "mask_ap")
    lines = [f"{'backbone':10s} {'fields':>6s} {'parameters':>11s} " + " ".join(f"{c:>9s}" for c in columns) + "  s/field"]
    for row in rows:
        figures = " ".join(f"{row[c]:9.3f}" for c in columns)
        lines.append(f"{row['backbone']:10s} {row['fields']:6d} {row['parameters']:11,d} {figures}  {row['train_seconds_a_field']:7.3f}")
    lines.append(f"Every object found exactly, and called a lens by chance, would give {undecided:.3f} in each column.")
    return "\n".join(lines)
