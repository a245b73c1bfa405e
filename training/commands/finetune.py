"""The verbs of ``discovery train finetune``: one a task, imported when used."""

from __future__ import annotations

from cyclopts import App

TASKS = {
    "classes": ("training.commands.finetune_classes:classes", "Classify: few-shot or with all labels."),
    "parameters": ("training.commands.finetune_parameters:parameters", "Estimate catalogue parameters."),
    "detection": ("training.commands.finetune_detection:detection", "Detect lenses in wide fields with Mask R-CNN."),
}

app = App(name="finetune", help="Train a head on an encoder for one task.")
for _name, (_target, _help) in TASKS.items():
    app.command(_target, name=_name, help=_help)
