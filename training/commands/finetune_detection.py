"""``discovery train finetune detection``."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from cyclopts import Parameter
from torchvision.models.detection import MaskRCNN

from discovery.encoders.encoder import load_encoder
from training.finetuning.detection.network import DetectorPlan, lvm_detector, resnet_detector
from training.finetuning.detection.picture import draw_detections
from training.finetuning.detection.run import (
    DetectionPlan,
    Fields,
    find_lenses,
    measure_detector,
    train_detector,
    undecided_ap,
)
from training.finetuning.detection.sources import load_sources
from training.loop.processes import processes

Json = Annotated[bool, Parameter(name="--json", negative="")]
RESULT, EXAMPLES = "detection.json", "examples.png"
UNTRAINED = "untrained"
SHOWN = 4


def detection(
    *sources: str,
    out: Path,
    backbone: Literal["lvm", "resnet50", "both"] = "both",
    encoder: str = "default",
    resnet_weights: Path | None = None,
    fields: tuple[int, ...] = (1000,),
    test_fields: int = 200,
    size: int = 512,
    per_field: int = 4,
    width: int = 256,
    proposals: int = 200,
    steps: int = 6000,
    batch: int = 4,
    learning_rate: float = 5e-4,
    pretrained_rate: float = 1.0,
    examples: str | None = None,
    seed: int = 0,
    device: str | None = None,
    threads: int | None = None,
    json_output: Json = False,
) -> None:
    """Train Mask R-CNN to find lenses in wide fields, on the LVM and on ResNet50, and print their average precision.

    Run it again to go on where it stopped. Fields are sky noise and faint galaxies in which lenses and as many
    non-lenses are placed by the same code; the test fields hold only objects that were not trained on.

    Parameters
    ----------
    sources
        PATH (no lenses), 'PATH@COLUMN:VALUE' (lenses have this value) or 'PATH@COLUMN>=2,<1.3' (lenses have 2 and more,
        non-lenses less than 1.3, the others are left out). Quote them: the shell takes > for itself.
    out
        Folder of the run: a folder for each backbone and number of fields, detection.json and examples.png.
    encoder
        Of the LVM: as in discovery index --encoder.
    resnet_weights
        File with torchvision's ResNet50 weights to start from; untrained when not given. Nothing is downloaded.
    fields
        Training fields; repeat it for several numbers (--fields 100 --fields 1000).
    size
        Side of a field in pixels.
    per_field
        Lenses in a field; as many non-lenses are placed.
    width
        Channels of the feature pyramid and the heads.
    proposals
        Objects a field that the first stage hands on.
    steps, batch, learning_rate
        The schedule, the same for every backbone and number of fields: linear warm-up, then a cosine to zero.
    pretrained_rate
        Factor on the learning rate of a backbone that starts from trained weights.
    examples
        Source of the fields in examples.png, where others than the test fields should be shown.
    threads
        CPU threads (all cores when not given).
    json_output
        Print one JSON document instead of text; the steps go to standard error.
    """
    if threads:
        torch.set_num_threads(threads)
    plans = [
        DetectionPlan(
            fields=count, test_fields=test_fields, size=size, per_field=per_field,
            steps=steps, batch=batch, learning_rate=learning_rate, seed=seed,
        )
        for count in fields
    ]  # fmt: skip
    heads = DetectorPlan(size=size, width=width, proposals=proposals, sampled=min(128, proposals))
    training, held_out = load_sources(sources)
    tests = Fields(plans[0], held_out, test_fields, held_out=True)
    shown = Fields(plans[0], load_sources([examples])[1], SHOWN, held_out=True) if examples else tests
    rows, found = [], {}
    with processes(device) as place:
        for name in ("lvm", "resnet50") if backbone == "both" else (backbone,):
            for plan in plans:
                torch.manual_seed(seed)
                detector, start = _detector(name, encoder, resnet_weights, heads)
                rate = 1.0 if start == UNTRAINED else pretrained_rate
                about = {"backbone": name, "start": start, "fields": plan.fields, "trunk_rate": rate}
                record = about | {"plan": dataclasses.asdict(plan), "heads": dataclasses.asdict(heads), "sources": list(sources)}
                made = Fields(plan, training, plan.fields, held_out=False)
                run = out / f"{name}-{plan.fields}"
                seconds = train_detector(detector, made, plan, run, record=record, trunk_rate=rate, place=place)
                if place.first:
                    figures = measure_detector(detector, tests, held_out.names)
                    rows.append(about | figures | {"train_seconds_a_field": round(seconds, 3)})
                    some = [shown[i] for i in range(min(SHOWN, len(shown)))]
                    found[f"{name}, {plan.fields} fields"] = find_lenses(detector, some)
        if not place.first:
            return
    chance = round(undecided_ap(tests), 4)
    result = {
        "sources": {"training": training.counts(), "held_out": held_out.counts()},
        "plan": {key: value for key, value in dataclasses.asdict(plans[0]).items() if key != "fields"},
        "heads": dataclasses.asdict(heads),
        "undecided_ap": chance,
        "rows": rows,
    }
    (out / RESULT).write_text(json.dumps(result, indent=1) + "\n")
    draw_detections([shown[i] for i in range(min(SHOWN, len(shown)))], found, out / EXAMPLES)
    print(json.dumps(result) if json_output else _table(rows, chance))


def _detector(name: str, encoder: str, weights: Path | None, heads: DetectorPlan) -> tuple[MaskRCNN, str]:
    """Return a fresh detector and what its backbone starts from."""
    if name == "resnet50":
        return resnet_detector(weights, heads), weights.name if weights else UNTRAINED
    loaded = load_encoder(encoder, device="cpu")
    return lvm_detector(loaded, heads), f"{loaded.card.name} {loaded.checksum[:12]}"


def _table(rows: list[dict[str, Any]], undecided: float) -> str:
    columns = ("box_ap50", "box_ap", "mask_ap50", "mask_ap")
    lines = [f"{'backbone':10s} {'fields':>6s} {'parameters':>11s} " + " ".join(f"{c:>9s}" for c in columns) + "  s/field"]
    for row in rows:
        figures = " ".join(f"{row[c]:9.3f}" for c in columns)
        lines.append(f"{row['backbone']:10s} {row['fields']:6d} {row['parameters']:11,d} {figures}  {row['train_seconds_a_field']:7.3f}")
    lines.append(f"Every object found exactly, and called a lens by chance, would give {undecided:.3f} in each column.")
    return "\n".join(lines)
