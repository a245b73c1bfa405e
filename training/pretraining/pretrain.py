"""Pretraining of an encoder: the objectives on one network, over the shared loop."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from PIL import Image
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor, nn

from discovery.encoders.encoder import mean_over_views
from discovery.encoders.lvm import ENCODER_PREFIXES, LVM
from discovery.errors import ConfigError
from training.data import augment, stream
from training.data.stamps import STORED_SIZE, Stamps
from training.loop.loop import Batch, train
from training.loop.processes import Place
from training.pretraining.answers import Answers, Unit, units_of
from training.pretraining.backbones import TimmLearner, adopted, make_network, start_weights
from training.pretraining.objectives import (
    Classifiers,
    close_skips,
    contrast,
    masked_error,
    patch_masks,
    projector,
)
from training.pretraining.questions import Question, QuestionFile, answers
from training.pretraining.recipes import PretrainConfig

PICTURES = ("reconstruct", "masked", "denoise")
NEIGHBOURS = 20
JUDGED = 1000
"""Stamps of the validation part whose neighbours are looked up at an evaluation (four times as many are the neighbours)."""


class Pretraining(nn.Module):
    """The network (``lvm``, or ``timm``) with the heads that only training needs."""

    lvm: LVM
    timm: TimmLearner

    def __init__(self, config: PretrainConfig, classes: Sequence[int], questions: Sequence[Question] = (), units: Sequence[Unit] = ()) -> None:
        super().__init__()
        self.config = config
        setattr(self, "timm" if config.timm_model else "lvm", make_network(config))
        self.projector = projector(config.dimension)
        self.classifiers = Classifiers(config.dimension, classes)
        if config.weight("questions"):
            self.answers = Answers(config.dimension, sum(question.width for question in questions), units)
        self._leave_out_unused()

    def forward(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and its parts; the batch is what `views` made."""
        config, parts = self.config, {}
        if any(config.weight(name) for name in ("contrast", "classify", "questions", "reconstruct")):
            seen, count = torch.cat([batch["one"], batch["other"]]), len(batch["one"])
            if config.timm_model:
                features = self.timm.features(seen)  # (2B, D)
            else:
                tokens, skips = self.lvm.encode(seen)
                features = tokens.mean(1)
            if config.weight("contrast"):
                projected = self.projector(features)  # (2B, P)
                parts["contrast"] = contrast(projected[:count], projected[count:], config.temperature)
            if config.weight("classify"):
                parts["classify"], accuracy = self.classifiers(features, batch["part"].repeat(2), batch["label"].repeat(2))
            if config.weight("questions"):
                parts["questions"], kinds = self.answers(features, batch["answers"].repeat(2, 1))
            if config.weight("reconstruct"):
                parts["reconstruct"] = nn.functional.mse_loss(self.lvm.decode(tokens, skips).float(), seen)
        if config.weight("masked"):
            parts["masked"] = masked_error(self.mended(batch["one"], batch["visible"]), batch["one"], batch["visible"])
        if config.weight("denoise"):
            parts["denoise"] = nn.functional.mse_loss(self.lvm(batch["noisy"]).float(), batch["clean"])
        loss = torch.stack([config.weight(name) * value for name, value in parts.items()]).sum()
        return loss, parts | ({"accuracy": accuracy} if "classify" in parts else {}) | (kinds if "questions" in parts else {})

    def features(self, image: Tensor) -> Tensor:
        """Return (B, D) of (B, 3, S, S) in 0..1: the mean over the configured views, as the encoder will have it."""
        network = self.timm.features if self.config.timm_model else self.lvm.features
        return mean_over_views(network, image, self.config.views)

    def mended(self, view: Tensor, visible: Tensor) -> Tensor:
        """Return the decoded view (B, 3, S, S) of which only the visible pixels went in, by the pixels and by the skips."""
        tokens, skips = self.lvm.encode(view * visible)
        return self.lvm.decode(tokens, close_skips(skips, visible))

    def _leave_out_unused(self) -> None:
        """Freeze what no objective reaches, so that neither optimizer nor DDP waits for it."""
        config = self.config
        if not config.timm_model and not any(config.weight(name) for name in PICTURES):
            for name, parameter in self.lvm.named_parameters():
                parameter.requires_grad_(name.startswith(ENCODER_PREFIXES))
        self.projector.requires_grad_(config.weight("contrast") > 0)
        self.classifiers.requires_grad_(config.weight("classify") > 0)


def pretrain(
    config: PretrainConfig,
    parts: Sequence[Stamps],
    run: Path,
    *,
    start_from: str | Path | None = None,
    questions: QuestionFile | None = None,
    leave_out: Collection[str] = (),
    place: Place | None = None,
) -> Path:
    """Return the checkpoint of a run, trained now or gone on with where it stopped.

    Parameters
    ----------
    parts
        Surveys; of their training parts the validation part is only looked at on evaluations, the rest is learned from.
    run
        Folder of the run (see `training.loop.loop.train`), with ``reconstructions/`` where a picture is an objective.
    start_from
        ``default``, an encoder folder, or another run, whose (averaged) weights are the start; image sizes may differ.
        For a timm backbone also a file of its weights, under its names or in its order.
    questions
        What the objective ``questions`` learns.
    leave_out
        object_ids that are not learned although the split lets them train (twins of held-out stamps).

    Returns
    -------
    Path
        The checkpoint.

    Raises
    ------
    ConfigError
        If there are too few stamps for a batch, nothing to classify, or the run's folder holds another configuration.
    TrainingError
        If the loss is not finite.
    """
    place = place or Place()
    parts, learned, units = tuple(parts), *learned_parts(parts, questions, leave_out)
    _check(config, learned, units, place)
    torch.manual_seed(config.loop.seed)
    listed = questions.question if questions else ()
    module = Pretraining(config, [len(s.classes) for s in learned], listed, units)
    start = None if start_from is None else adopted(module, start_weights(start_from, module), str(start_from))
    micro = config.batch // config.loop.accumulate

    def batches(step: int) -> Iterator[Batch]:
        first = step * config.loop.accumulate
        return stream.batches(learned, micro, config.loop.seed, first, place.rank, place.world)

    def evaluate(module: nn.Module, step: int) -> dict[str, float]:
        assert isinstance(module, Pretraining)
        if any(config.weight(name) for name in PICTURES):
            contact_sheet(module, parts, run / "reconstructions" / f"{step:07d}.png", place.device)
        return validation(module, parts, place.device)

    return train(
        module, batches, config.loop, run, record=_record(config, learned, start_from, questions, leave_out), place=place, start=start,
        prepare=lambda batch: views(batch, config), evaluate=evaluate,
    )  # fmt: skip


def learned_parts(
    parts: Sequence[Stamps], questions: QuestionFile | None, leave_out: Collection[str] = ()
) -> tuple[tuple[Stamps, ...], list[Unit]]:
    """Return what is learned, each survey as often as an epoch holds it, with the answers and their units."""
    kept = []
    for stamps in parts:
        trains = stamps.trains & ~stamps.validates
        if leave_out:
            trains &= ~np.isin(np.array(stamps.object_ids), list(leave_out))
        known = answers(questions.question, stamps.name, stamps.object_ids) if questions else None
        repeats = questions.repeats.get(stamps.name, 1) if questions else 1
        kept += [dataclasses.replace(stamps, trains=trains, answers=known)] * repeats
    if questions is None:
        return tuple(kept), []
    return tuple(kept), units_of(questions.question, np.concatenate([s.answers[s.trains] for s in kept if s.answers is not None]))


def views(batch: Batch, config: PretrainConfig) -> Batch:
    """Return what the objectives look at, made of a batch of stamps.

    Returns
    -------
    dict
        ``one``, ``other`` (B, 3, S, S) in 0..1, ``part`` and ``label`` (B,); with ``masked`` also ``visible``
        (B, 1, S, S), with ``denoise`` also ``clean`` and ``noisy`` (the same view, without and with noise and PSF).
    """
    pixels, places, size = batch["pixels"].float() / 255, batch["position"], config.model.image_size
    step, seed = int(batch["step"]), config.loop.seed
    made: Batch = {name: batch[name] for name in ("part", "label", "answers") if name in batch}
    for number, name in enumerate(("one", "other")):
        made[name] = augment.view(pixels, size, config.augment, (seed, step, number), places)
    if config.weight("masked"):
        chance = augment.uniform((seed, step, 2), places, (size // config.mask_patch) ** 2, pixels.device)
        made["visible"] = patch_masks(chance, size, config.mask_patch, config.mask_share)
    if config.weight("denoise"):
        still = dataclasses.replace(config.augment, grey=0.0)
        for name, strength in (("clean", 0.0), ("noisy", 1.0)):
            made[name] = augment.view(pixels, size, dataclasses.replace(still, noise=strength, psf=strength), (seed, step, 3), places)
    return made


@torch.inference_mode()
def validation(module: Pretraining, parts: Sequence[Stamps], device: torch.device) -> dict[str, float]:
    """Return the accuracy of 20 nearest neighbours on the validation part of each labelled survey."""
    figures = {}
    for stamps in parts:
        if stamps.labels is None:
            continue
        rows = [np.flatnonzero(mask & (stamps.labels >= 0)) for mask in (stamps.trains & ~stamps.validates, stamps.validates)]
        rows = [np.sort(np.random.default_rng(0).permutation(r)[:n]) for r, n in zip(rows, (4 * JUDGED, JUDGED), strict=True)]
        if len(rows[0]) >= NEIGHBOURS and len(rows[1]):
            near, judged = (_features(module, stamps, r, device) for r in rows)
            knn = KNeighborsClassifier(NEIGHBOURS, metric="cosine", algorithm="brute").fit(near, stamps.labels[rows[0]])
            figures[f"knn_{stamps.name}"] = float(knn.score(judged, stamps.labels[rows[1]]))
    return figures


@torch.inference_mode()
def contact_sheet(module: Pretraining, parts: Sequence[Stamps], path: Path, device: torch.device, count: int = 8) -> None:
    """Write a PNG of the first validation stamps: each, its decoding, and masked with its mending, as far as these are learned."""
    rows = [(s, row) for s in parts for row in np.flatnonzero(s.validates)[: max(1, count // len(parts))]][:count]
    if not rows:
        return
    config, size = module.config, module.config.model.image_size
    pixels = torch.from_numpy(np.stack([s.pixels[row] for s, row in rows])).to(device)
    image = _resized(pixels, size)
    chance = augment.uniform((0, 0, 2), torch.arange(len(rows)), (size // config.mask_patch) ** 2, image.device)
    visible = patch_masks(chance, size, config.mask_patch, config.mask_share)
    columns = [image]
    if config.weight("reconstruct") or config.weight("denoise"):
        columns.append(module.lvm(image))
    if config.weight("masked"):
        columns += [image * visible, module.mended(image, visible)]
    grid = torch.cat([torch.cat([*column], dim=1) for column in columns], dim=2)  # (3, n S, columns S)
    picture = (grid.clamp(0, 1).flip(0).permute(1, 2, 0) * 255).round().byte().cpu().numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).resize((picture.shape[1] * 2, picture.shape[0] * 2), Image.Resampling.NEAREST).save(path)


def _features(module: Pretraining, stamps: Stamps, rows: np.ndarray, device: torch.device, batch: int = 64) -> np.ndarray:
    found = []
    for start in range(0, len(rows), batch):
        pixels = torch.from_numpy(np.stack([stamps.pixels[row] for row in rows[start : start + batch]])).to(device)
        found.append(module.features(_resized(pixels, module.config.model.image_size)).float().cpu().numpy())
    return np.concatenate(found)


def _resized(pixels: Tensor, size: int) -> Tensor:
    image = pixels.float() / 255
    return image if size == STORED_SIZE else nn.functional.interpolate(image, (size, size), mode="area")


def _check(config: PretrainConfig, parts: Sequence[Stamps], units: Sequence[Unit], place: Place) -> None:
    if not parts or not sum(int(s.trains.sum()) for s in parts):
        raise ConfigError("There are no training stamps; name a survey whose objects the split lets train.")
    if config.weight("classify") and set(config.objectives) == {"classify"} and all(s.labels is None for s in parts):
        raise ConfigError("The only objective is classify and no survey has labels; write PATH@COLUMN for one, or add an objective.")
    if bool(config.weight("questions")) != bool(units):
        raise ConfigError(
            "The objective questions and a file of questions that these surveys answer belong together: give both, or neither."
        )
    share = config.batch // config.loop.accumulate
    if place.world > 1 and share % (augment.BLOCK * place.world):
        raise ConfigError(
            f"A batch of {share} cannot be shared by {place.world} processes: it must be a multiple of {augment.BLOCK * place.world}."
        )


def _record(
    config: PretrainConfig,
    parts: Sequence[Stamps],
    start_from: str | Path | None,
    questions: QuestionFile | None,
    leave_out: Collection[str],
) -> dict[str, Any]:
    """Return what the run is; what a run of the LVM without questions does not need is left out, as in records from before."""
    data = [{"name": s.name, "stamps": len(s.trains), "training": int(s.trains.sum()), "classes": list(s.classes)} for s in parts]
    made = {"program": "pretrain", **dataclasses.asdict(config), "data": data, "start_from": str(start_from) if start_from else None}
    if not config.timm_model and config.views == 1:
        made = {name: value for name, value in made.items() if name not in ("network", "bottleneck", "views")}
    if questions:
        made["questions"] = msgspec.to_builtins(questions)
    return made | ({"left_out": len(leave_out)} if leave_out else {})
