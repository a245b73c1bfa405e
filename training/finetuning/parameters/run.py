"""One run: the head, its ablations and its baselines on one survey, with the table, the plot and the estimates."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from discovery.encoders.encoder import Encoder
from discovery.tables.writer import write_table
from training.finetuning.parameters import baselines
from training.finetuning.parameters.data import Objects
from training.finetuning.parameters.fit import HeadPlan, check_counts, fit
from training.finetuning.parameters.head import Inputs
from training.finetuning.parameters.measures import DEFINITIONS
from training.finetuning.parameters.report import Estimates, draw, table
from training.finetuning.parameters.targets import Targets
from training.loop.processes import Place

REPORT, PLOT, HELD_OUT, HEAD = "parameters.json", "parameters.png", "held_out.csv", "head"
SEEN: dict[Inputs, str] = {"both": "embedding + side features", "embedding": "embedding", "side": "side features"}


@dataclass(frozen=True, kw_only=True)
class ParameterRun:
    """What is trained on what.

    Attributes
    ----------
    name : str
        Of the survey, for people.
    out : Path
        Folder of the run: ``head/``, a folder for each ablation, the report, the plot and the held-out estimates.
    inputs : {"both", "embedding", "side"} or None
        What the head sees; None for both where there are side features.
    encoder_steps : int or None
        Steps of training head and encoder together; None leaves the encoder as it is.
    ablations : bool
        Train heads on the embedding and on the side features alone as well.
    baseline : tuple of str
        Columns of the catalogue baseline; g - r, r - z and r when empty.
    excluded : int
        Objects that were left out on request, for the report.
    """

    name: str
    objects: Objects
    targets: Targets
    encoder: Encoder
    plan: HeadPlan
    out: Path
    inputs: Inputs | None = None
    encoder_steps: int | None = None
    ablations: bool = True
    baseline: tuple[str, ...] = ()
    excluded: int = 0
    place: Place = dataclasses.field(default_factory=Place)

    def finish(self) -> dict[str, Any]:
        """Return the report on the held-out part, having trained what was not yet trained and written the files.

        Raises
        ------
        ConfigError
            If a target is known for too few objects, or the folder holds another run.
        """
        check_counts(self.objects, self.targets)
        rows = [*self._baselines(), *self._heads()]
        parts = self.objects.parts()
        report = {
            "survey": self.name,
            "objects": len(self.objects.object_ids),
            "damaged": self.objects.damaged,
            "excluded": self.excluded,
            "encoder": self.encoder.card.name,
            "encoder_checksum": self.encoder.checksum,
            "side_features": list(self.objects.side_names),
            "plan": dataclasses.asdict(self.plan),
            "head": rows[-1].name,
            "definitions": DEFINITIONS,
            "targets": table(rows, self.targets, parts),
        }
        (self.out / REPORT).write_text(json.dumps(report, indent=1) + "\n")
        draw(rows[-1], self.targets, parts[2], f"{self.name}: {rows[-1].name}, held out", self.out / PLOT)
        self._write_held_out(rows[-1], parts[2])
        return report

    def _baselines(self) -> list[Estimates]:
        objects, targets, trains = self.objects, self.targets, self.objects.parts()[0]
        rows = [Estimates(name="constant (training median)", estimate=baselines.constant(targets, trains))]
        if (catalogue := baselines.catalogue_features(objects, self.baseline)) is not None:
            features, columns = catalogue
            given = np.array([baselines.holds(name, self.baseline) for name in targets.names])
            estimate = baselines.boosted(features, targets, trains, self.plan.seed)
            rows.append(Estimates(name=f"boosting, catalogue {columns}", estimate=estimate, given=given))
        fluxes = len(objects.side_names) > 1
        name, features = ("side features", objects.side) if fluxes else ("mean colours of the stamp", baselines.picture_features(objects))
        rows.append(Estimates(name=f"boosting, {name}", estimate=baselines.boosted(features, targets, trains, self.plan.seed)))
        return rows

    def _heads(self) -> list[Estimates]:
        """Return the ablations and, last, the head itself."""
        chosen: Inputs = self.inputs or ("both" if self.objects.side_names else "embedding")
        possible: list[Inputs] = ["side", "embedding", "both"] if self.objects.side_names else ["embedding"]
        others = [kind for kind in possible if kind != chosen or self.encoder_steps] if self.ablations else []
        return [*(self._head(kind, self.out / kind) for kind in others), self._head(chosen, self.out / HEAD, self.encoder_steps)]

    def _head(self, inputs: Inputs, folder: Path, encoder_steps: int | None = None) -> Estimates:
        plan = dataclasses.replace(self.plan, steps=encoder_steps, batch=min(64, self.plan.batch)) if encoder_steps else self.plan
        record = {"survey": self.name, "encoder": self.encoder.checksum, "data": self._digest()}
        tuned = encoder_steps is not None
        estimate, sigma = fit(
            self.objects, self.targets, self.encoder, plan, folder, inputs=inputs, finetune=tuned, record=record, place=self.place
        )
        return Estimates(name=f"head, {SEEN[inputs]}{', encoder finetuned' if tuned else ''}", estimate=estimate, sigma=sigma)

    def _digest(self) -> str:
        """Return what identifies these objects and values."""
        digest = hashlib.sha1("\n".join(self.objects.object_ids).encode())
        digest.update(np.ascontiguousarray(self.targets.values).tobytes())
        return digest.hexdigest()[:16]

    def _write_held_out(self, row: Estimates, held_out: np.ndarray) -> None:
        columns: dict[str, Any] = {"object_id": np.array(self.objects.object_ids)[held_out].tolist()}
        for index, name in enumerate(self.targets.names):
            columns |= {f"{name}_true": self.targets.values[held_out, index], name: row.estimate[held_out, index]}
            columns |= {f"{name}_sigma": row.sigma[held_out, index]} if row.sigma is not None else {}
        write_table(pa.table(columns), self.out / HELD_OUT)
