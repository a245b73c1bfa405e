"""A trained classifier as a folder: the encoder, the head and a card: what they are and how good."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import pyarrow as pa
import torch
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from discovery.encoders.encoder import Encoder, load_encoder
from discovery.errors import ConfigError
from training.data.stamps import PixelArray, Stamps
from training.finetuning.classes.classification import Head
from training.spaces import EncoderSpace

CARD, HEAD, ENCODER = "classifier.json", "head.safetensors", "encoder"
AT_ONCE = 64


class ClassifierCard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a classifier is.

    Attributes
    ----------
    classes
        In the order of the probabilities.
    hidden
        Width between the two layers of the head; 0 for a linear one.
    encoder
        Checksum of the encoder beside it.
    training, measured
        What it was trained on, and its figures on held-out stamps.
    """

    version: Literal[1] = 1
    classes: tuple[str, ...]
    hidden: int
    encoder: str
    training: dict[str, Any] = {}
    measured: dict[str, Any] = {}


class Classifier:
    """An encoder with a head on its unit vectors."""

    def __init__(self, encoder: Encoder, head: Head, classes: Sequence[str]) -> None:
        self.encoder, self.head, self.classes = encoder, head.cpu().eval(), tuple(classes)
        self._space = EncoderSpace(encoder.card.name, encoder)

    def probabilities(self, pixels: PixelArray, rows: np.ndarray) -> np.ndarray:
        """Return (n, classes) float32 for stored stamps at some rows."""
        parts = [np.empty((0, len(self.classes)), np.float32)]
        for start in tqdm(range(0, len(rows), AT_ONCE), desc="classifying", leave=False, disable=None):
            parts.append(self.head.probabilities(self._space.embed(pixels[rows[start : start + AT_ONCE]])))
        return np.concatenate(parts)

    def table(self, stamps: Stamps) -> pa.Table:
        """Return object_id, class, its probability, and the probability of every class, for all stamps of a survey."""
        found = self.probabilities(stamps.pixels, np.arange(len(stamps.object_ids)))
        columns: dict[str, Any] = {
            "object_id": list(stamps.object_ids),
            "class": [self.classes[at] for at in found.argmax(1)],
            "probability": found.max(1),
        }
        return pa.table(columns | {f"p_{name}": found[:, at] for at, name in enumerate(self.classes)})


def save_classifier(
    folder: Path, classifier: Classifier, hidden: int, training: dict[str, Any], measured: dict[str, Any]
) -> None:
    """Write a classifier into a folder; the card last."""
    weights = classifier.encoder.network.state_dict().values()
    half = all(torch.equal(value.half().float(), value) for value in weights if value.dtype == torch.float32)
    classifier.encoder.save(folder / ENCODER, half=half)
    save_file(
        {name: value.contiguous() for name, value in classifier.head.state_dict().items()}, folder / HEAD
    )
    card = ClassifierCard(
        classes=classifier.classes,
        hidden=hidden,
        encoder=classifier.encoder.checksum,
        training=training,
        measured=measured,
    )
    (folder / CARD).write_bytes(msgspec.json.format(msgspec.json.encode(card), indent=1))


def read_classifier_card(folder: Path) -> ClassifierCard:
    """Return a classifier's card.

    Raises
    ------
    ConfigError
        If there is none, or it is not valid.
    """
    try:
        return msgspec.json.decode((folder / CARD).read_bytes(), type=ClassifierCard)
    except OSError:
        raise ConfigError(
            f"There is no classifier in {folder}: {CARD} is missing; make one with discovery train finetune classes."
        ) from None
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ConfigError(f"{folder / CARD} is not valid: {error}.") from None


def load_classifier(folder: Path, device: str | None = None) -> Classifier:
    """Return the classifier that `save_classifier` wrote.

    Raises
    ------
    ConfigError, EncoderError
        If a part is missing, damaged, or belongs to another classifier.
    """
    card, encoder = read_classifier_card(folder), load_encoder(folder / ENCODER, device=device)
    if encoder.checksum != card.encoder:
        raise ConfigError(
            f"The encoder in {folder} is not the one that its classifier was trained with; copy the folder again."
        )
    head = Head(encoder.dimension, len(card.classes), card.hidden)
    try:
        head.load_state_dict(load_file(folder / HEAD))
    except Exception as error:  # safetensors and torch raise many types on damaged or odd files
        raise ConfigError(
            f"{folder / HEAD} does not fit its card ({type(error).__name__}); copy the folder again."
        ) from None
    return Classifier(encoder, head, card.classes)
