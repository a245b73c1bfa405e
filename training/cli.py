"""The verbs of ``discovery train``, imported when they are used."""

from __future__ import annotations

from cyclopts import App

VERBS = {
    "pretrain": ("training.commands.pretrain:pretrain", "Pretrain a large vision model on stamps."),
    "shards": ("training.commands.shards:shards", "Pack a survey's stamps for fast training."),
    "twins": ("training.commands.twins:twins", "Find the same galaxy in two surveys by its pixels."),
    "multitask": ("training.commands.multitask:multitask", "Finetune on classification, restoration and reconstruction."),
    "finetune": ("training.commands.finetune:app", "Train a head: classes, catalogue parameters or lens detection."),
    "evaluate": ("training.commands.evaluate:app", "Measure an encoder, with baselines."),
    "export": ("training.commands.export:export", "Make an encoder folder from a run."),
    "convert": ("training.commands.export:convert", "Released LVM checkpoint to an encoder folder, and back."),
    "card": ("training.commands.export:card", "Print what an encoder is."),
}

app = App(name="train", help="Make an encoder: pretrain, finetune, evaluate, export.")
for _name, (_target, _help) in VERBS.items():
    app.command(_target, name=_name, help=_help)
