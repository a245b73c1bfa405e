"""Train a head, alone or with its encoder; keep the weights that the validation part likes best; apply it."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn

from discovery.encoders.encoder import Encoder, EncoderCard, load_encoder, make_encoder
from discovery.encoders.lvm import LVM
from discovery.errors import ConfigError, EncoderMismatch
from training.finetuning.parameters.data import Objects
from training.finetuning.parameters.head import (
    HeadCard,
    Inputs,
    ParameterHead,
    as_tensors,
    load_head,
    save_head,
    sigma_factors,
)
from training.finetuning.parameters.targets import Targets
from training.loop.checkpoint import Checkpoint, load_checkpoint, load_into, save_checkpoint
from training.loop.config import LoopConfig
from training.loop.loop import Batch, train
from training.loop.processes import Place

BEST, ENCODER = "best.safetensors", "encoder"
ENCODER_RATE = 0.1
"""Learning rate of an encoder that learns too, relative to the head's."""
LEAST = {"training": 10, "validation": 1, "held-out": 5}
CHUNK = 256


@dataclass(frozen=True, kw_only=True)
class HeadPlan:
    """How a head is trained."""

    steps: int = 1500
    batch: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    hidden: int = 256
    dropout: float = 0.3
    evaluations: int = 20
    seed: int = 0


class ParameterModel(nn.Module):
    """The head, with the encoder's network where it learns too."""

    def __init__(self, head: ParameterHead, encoder: Encoder | None = None) -> None:
        super().__init__()
        self.head = head
        self.network: nn.Module | None = None
        self.rate_shares = {"network.": ENCODER_RATE}
        if encoder is not None:
            self.network, self.card = copy.deepcopy(encoder.network).requires_grad_(True), encoder.card

    def embed(self, batch: Batch) -> Tensor:
        """Return the embeddings (B, D), with gradient where the encoder learns."""
        return batch["embedding"] if self.network is None else embed(self.network, self.card, batch["inputs"].float())

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean loss of a batch."""
        each = self.head.loss(self.embed(batch), batch["side"], batch["targets"])
        return each.mean(), {}


def embed(network: nn.Module, card: EncoderCard, inputs: Tensor) -> Tensor:
    """Return what `Encoder.embed_inputs` does, with gradient: (B, K, 3, S, S) to (B, D) of unit length."""
    batch, views = inputs.shape[:2]
    x = inputs.flatten(0, 1)
    if card.channel_order == "zrg":
        x = x.flip(1)
    mean, std = (x.new_tensor(value)[:, None, None] for value in (card.mean, card.std))
    x = (x - mean) / std
    features = network.features(x) if isinstance(network, LVM) else network(x)
    return nn.functional.normalize(features, dim=1).view(batch, -1) / views**0.5


def fit(
    objects: Objects,
    targets: Targets,
    encoder: Encoder,
    plan: HeadPlan,
    run: Path,
    *,
    inputs: Inputs,
    finetune: bool = False,
    record: dict[str, Any],
    place: Place | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the estimates of a head for all objects, having trained it on the training part.

    The weights with the lowest validation loss of ``plan.evaluations`` looks are kept, for each target by itself, and each
    sigma is scaled so that 68.3 % of the validation values lie within it. ``run`` then holds the head (and the encoder where it learned).

    Returns
    -------
    estimate, sigma : numpy.ndarray
        (N, T) float64.

    Raises
    ------
    ConfigError
        If a target is known for too few objects of a part.
    """
    check_counts(objects, targets)
    place = place or Place()
    trains, validates, _ = objects.parts()
    torch.manual_seed(plan.seed)
    width = objects.embeddings.shape[1]
    head = ParameterHead(width, len(objects.side_names), len(targets.names), inputs=inputs, hidden=plan.hidden, dropout=plan.dropout)
    head.fit_scales(*as_tensors([objects.embeddings[trains], objects.side[trains], targets.values[trains]]))
    model = ParameterModel(head, encoder if finetune else None)
    loop = LoopConfig(
        steps=plan.steps,
        learning_rate=plan.learning_rate,
        weight_decay=plan.weight_decay,
        warmup=min(50, plan.steps // 10),
        log_every=max(1, plan.steps // plan.evaluations),
        evaluate_every=max(1, plan.steps // plan.evaluations),
        seed=plan.seed,
    )
    known = np.isfinite(targets.values).any(1)

    def batches(first: int) -> Iterator[Batch]:
        return _batches(objects, targets, np.flatnonzero(trains & known), plan, first, with_inputs=finetune)

    def evaluate(module: nn.Module, step: int) -> dict[str, float]:
        return _keep_best(module, step, objects, targets, np.flatnonzero(validates & known), run)

    about = {**record, "plan": dataclasses.asdict(plan), "inputs": inputs, "targets": list(targets.names), "finetune": finetune}
    train(model, batches, loop, run, record=about, evaluate=evaluate, place=place)
    load_into(model, load_checkpoint(run / BEST).model, str(run / BEST))
    estimate, sigma = estimates(model.eval(), objects)
    factors = sigma_factors(estimate[validates], sigma[validates], targets.values[validates])
    trained = _trained_encoder(model, encoder)
    if finetune:
        trained.save(run / ENCODER)
    card = HeadCard(
        targets=targets.names,
        inputs=inputs,
        side_names=objects.side_names,
        dimension=width,
        hidden=plan.hidden,
        encoder=trained.card.name,
        encoder_checksum=trained.checksum,
        finetuned=finetune,
        sigma_factors=factors,
        training=about,
    )
    save_head(run, model.head, card)
    return estimate, sigma * factors


def check_counts(objects: Objects, targets: Targets) -> None:
    """Raise ConfigError for a target that too few objects of a part know."""
    for name, values in zip(targets.names, targets.values.T, strict=True):
        counts = [int((part & np.isfinite(values)).sum()) for part in objects.parts()]
        if any(count < least for count, least in zip(counts, LEAST.values(), strict=True)):
            have = ", ".join(f"{count} {part}" for part, count in zip(LEAST, counts, strict=True))
            need = ", ".join(f"{count} {part}" for part, count in LEAST.items())
            raise ConfigError(f"{name} is known for too few objects: {have}; at least {need} are needed.")


def apply(folder: Path, objects: Objects) -> pa.Table:
    """Return a head's estimates for other objects: ``object_id``, then each target and its ``_sigma``.

    ``objects`` were read with the encoder of `encoder_of`.

    Raises
    ------
    ConfigError
        If there is no head, or the stamps lack its side features.
    """
    head, card = load_head(folder)
    if card.inputs != "embedding" and objects.side_names != card.side_names:
        raise ConfigError(
            f"The head in {folder} needs {len(card.side_names)} side features and these stamps give {len(objects.side_names)}: "
            "give stamps in nanomaggies with a pixel scale if it was trained on such, else display colours."
        )
    estimate, sigma = head.estimate(*as_tensors([objects.embeddings, objects.side]))
    columns: dict[str, Any] = {"object_id": list(objects.object_ids)}
    for index, name in enumerate(card.targets):
        columns |= {name: estimate[:, index], f"{name}_sigma": sigma[:, index] * card.sigma_factors[index]}
    return pa.table(columns)


def encoder_of(folder: Path, source: str) -> Encoder:
    """Return the encoder that a head needs: the one beside it, or ``source`` if it is the one it was trained on.

    Raises
    ------
    EncoderMismatch
        If ``source`` is another encoder.
    """
    _, card = load_head(folder)
    encoder = load_encoder(folder / ENCODER if card.finetuned else source)
    if encoder.checksum != card.encoder_checksum:
        raise EncoderMismatch(
            f"The head in {folder} was trained on the encoder {card.encoder} ({card.encoder_checksum[:12]}), not on "
            f"{encoder.card.name} ({encoder.checksum[:12]}); name that one with --encoder, or train the head again."
        )
    return encoder


def estimates(model: ParameterModel, objects: Objects) -> tuple[np.ndarray, np.ndarray]:
    """Return means and sigmas for all objects, (N, T) float64 each."""
    parts = []
    for start in range(0, len(objects.object_ids), CHUNK):
        batch = _batch(objects, np.arange(start, min(start + CHUNK, len(objects.object_ids))), with_inputs=model.network is not None)
        batch = {name: value.to(model.head.target_width.device) for name, value in batch.items()}
        with torch.inference_mode():
            parts.append(model.head.estimate(model.embed(batch), batch["side"]))
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))  # type: ignore[return-value]


def _batches(
    objects: Objects, targets: Targets, rows: np.ndarray, plan: HeadPlan, first: int, *, with_inputs: bool
) -> Iterator[Batch]:
    """Give batches without end: each row once an epoch, in an order that follows from seed and epoch."""
    size = min(plan.batch, len(rows))
    each, step = len(rows) // size, first
    while True:
        order = np.random.default_rng([plan.seed, step // each]).permutation(rows)
        for place in range(step % each, each):
            chosen = order[place * size :][:size]
            (values,) = as_tensors([targets.values[chosen]])
            yield {**_batch(objects, chosen, with_inputs=with_inputs), "targets": values}
            step += 1


def _batch(objects: Objects, rows: np.ndarray, *, with_inputs: bool) -> Batch:
    embedding, side = as_tensors([objects.embeddings[rows], objects.side[rows]])
    if not with_inputs:
        return {"embedding": embedding, "side": side}
    assert objects.inputs is not None
    return {"inputs": torch.from_numpy(objects.inputs[rows]), "side": side}


@torch.inference_mode()
def _keep_best(
    module: nn.Module, step: int, objects: Objects, targets: Targets, rows: np.ndarray, run: Path
) -> dict[str, float]:
    """Return the validation loss, and save what is better than before.

    Each target keeps the weights of its own best step; where the encoder learns too, which all targets share, the best
    step of the mean decides for all.
    """
    assert isinstance(module, ParameterModel)
    losses = _validation(module, objects, targets, rows)
    judged = losses if module.network is None else [float(np.mean(losses))]
    best = load_checkpoint(run / BEST) if (run / BEST).exists() else None
    state = dict(module.state_dict())
    record: dict[str, Any] = best.record if best else {"validation": judged, "steps": [step] * len(judged)}
    kept = best.model if best else state
    if best:
        for index, loss in enumerate(judged):
            if loss < record["validation"][index] or step <= record["steps"][index]:  # a later step is one of before a kill
                record["validation"][index], record["steps"][index] = loss, step
                part = f"head.each.{index}." if module.network is None else ""
                kept |= {name: value for name, value in state.items() if name.startswith(part)}
    save_checkpoint(run / BEST, Checkpoint(model=kept, record=record))
    return {"validation": float(np.mean(losses))}


def _validation(module: ParameterModel, objects: Objects, targets: Targets, rows: np.ndarray) -> list[float]:
    """Return the loss of each target on some rows."""
    device = module.head.target_width.device
    sums, counts = torch.zeros(len(targets.names)), torch.zeros(len(targets.names))
    for start in range(0, len(rows), CHUNK):
        chosen = rows[start : start + CHUNK]
        batch = _batch(objects, chosen, with_inputs=module.network is not None)
        batch = {name: value.to(device) for name, value in batch.items()}
        (values,) = as_tensors([targets.values[chosen]])
        known = values.isfinite().sum(0)
        sums += module.head.loss(module.embed(batch), batch["side"], values.to(device)).cpu() * known
        counts += known
    return (sums / counts.clamp_min(1)).tolist()


def _trained_encoder(model: ParameterModel, encoder: Encoder) -> Encoder:
    if model.network is None:
        return encoder
    card = encoder.card
    parts = {name: getattr(card, name) for name in ("architecture", "config", "convention", "crop", "input_size", "channel_order", "mean", "std")}
    network = copy.deepcopy(model.network).cpu()
    return make_encoder(network, name=f"{card.name}-parameters", training={"started_from": card.checksum}, **parts)
