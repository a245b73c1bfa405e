"""Heads that make an encoder classify, restore and reconstruct stamps, and their files on disk.

A multitask model is one LVM encoder under three heads (Fu et al. 2024, section III). The picture heads go beyond
the paper's: they take all four encoder maps and add a residual to their input that is zero before training,
so that a new model leaves every stamp as it is. On disk it is a folder with ``multitask.json`` (the card) and
``multitask.safetensors`` (float16 values).
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from discovery.encoders.lvm import ENCODER_PREFIXES, LVM, LVMConfig
from discovery.errors import EncoderError

FOLDER = Path(__file__).parents[1] / "weights" / "multitask"
CARD_FILE, WEIGHTS_FILE = "multitask.json", "multitask.safetensors"
WIDTH = 32


class MultitaskCard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a multitask model is.

    Attributes
    ----------
    config : dict
        The encoder's `LVMConfig`.
    classes : tuple of str
        What the classification head tells apart, in the order of its logits.
    width : int
        Channels inside the picture heads.
    stretch : {"dr2_rgb"}
        What the numbers of the input are: display colours in 0..1, bands g r z.
    encoder : str
        Checksum of the encoder from which training started.
    training, measured : dict
        How it was trained and how well it does on stamps not seen; for people.
    checksum : str
        SHA-256 of the weights file.
    """

    version: Literal[1] = 1
    name: str
    config: dict[str, Any]
    classes: tuple[str, ...]
    width: int
    stretch: Literal["dr2_rgb"] = "dr2_rgb"
    encoder: str = ""
    training: dict[str, Any] = {}
    measured: dict[str, Any] = {}
    checksum: str = ""


class MultitaskModel(nn.Module):
    """One LVM encoder under three heads.

    Parameters
    ----------
    lvm : LVM
        The encoder; its decoder is not used and does not train.
    classes : sequence of str
        Names of the classes.
    width : int
        Channels inside the picture heads.
    """

    def __init__(self, lvm: LVM, classes: Sequence[str], width: int = WIDTH) -> None:
        super().__init__()
        channels = [lvm.config.channels(level) for level in range(len(lvm.config.depths))]
        self.lvm, self.classes, self.width = lvm, tuple(classes), width
        self.class_head = ClassHead(lvm.config.dimension, len(self.classes), lvm.config.dimension)
        self.restore_head = ImageHead(channels, width=width)
        self.reconstruct_head = ImageHead(channels, planes=4, width=width)
        for name, parameter in lvm.named_parameters():
            if not name.startswith(ENCODER_PREFIXES):
                parameter.requires_grad_(False)

    @property
    def image_size(self) -> int:
        """Side S in pixels of the stamps that the model takes."""
        return self.lvm.config.image_size

    def classify(self, image: Tensor) -> Tensor:
        """Return the logits (B, K) of stamps (B, 3, S, S)."""
        return self.class_head(self.lvm.features(image))

    def restore(self, image: Tensor) -> Tensor:
        """Return the sharpened and denoised stamps (B, 3, S, S)."""
        return self.restore_head(self.lvm.pyramid(image), image)

    def reconstruct(self, image: Tensor, mask: Tensor) -> Tensor:
        """Return whole stamps from masked ones.

        What lies under the mask is set to zero before the network sees it. The answer is the network's whole
        picture, for which the paper's loss and measures are defined; a program that mends a picture takes the
        masked pixels alone from it and keeps the others (`pasted`).

        Parameters
        ----------
        image : Tensor
            (B, 3, S, S); the values under the mask do not matter, as long as they are finite.
        mask : Tensor
            (B, 1, S, S) float, 1 where the content is hidden, 0 where it is known.
        """
        hidden = image * (1 - mask)
        return self.reconstruct_head(self.lvm.pyramid(hidden), hidden, mask)


class ImageHead(nn.Module):
    """A light convolutional decoder from all the encoder's maps to a picture: input plus a learned residual.

    The maps are merged from the coarsest to the finest, and two more steps, to half and to full resolution, see
    the pixels themselves. The last convolution starts at zero: an untrained head gives its input.

    Parameters
    ----------
    channels : sequence of int
        Channels C_l of the maps, finest first; the finest has a quarter of the picture's side.
    planes : int
        3 for the picture alone, 4 with a mask beside it.
    width : int
        Channels inside; half as many at full resolution, where they cost most.
    """

    def __init__(self, channels: Sequence[int], *, planes: int = 3, width: int = WIDTH) -> None:
        super().__init__()
        self.inward = nn.ModuleList(nn.Sequential(nn.GroupNorm(1, c), nn.Conv2d(c, width, 1)) for c in channels)
        self.merge = nn.ModuleList(Residual(width) for _ in channels)
        self.see_half = nn.Conv2d(4 * planes, width, 3, padding=1)
        self.at_half = nn.Sequential(Residual(width), Residual(width))
        self.narrow = nn.Conv2d(width, width // 2, 1)
        self.see_full = nn.Conv2d(planes, width // 2, 3, padding=1)
        self.at_full = nn.Sequential(Residual(width // 2), Residual(width // 2))
        self.last = nn.Conv2d(width // 2, 3, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)

    def forward(self, maps: Sequence[Tensor], image: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return ``image`` plus the residual.

        Parameters
        ----------
        maps : sequence of Tensor
            (B, C_l, h_l, w_l), finest first, as `LVM.pyramid` gives them.
        image : Tensor
            (B, 3, S, S).
        mask : Tensor, optional
            (B, 1, S, S) for a head of 4 planes.
        """
        seen = image if mask is None else torch.cat([image, mask], dim=1)
        x: Tensor | None = None
        for level in reversed(range(len(maps))):
            entering = self.inward[level](maps[level])
            x = self.merge[level](entering if x is None else entering + _doubled(x))  # (B, width, h_l, w_l)
        assert x is not None
        x = self.at_half(_doubled(x) + self.see_half(F.pixel_unshuffle(seen, 2)))  # (B, width, S/2, S/2)
        x = self.at_full(_doubled(self.narrow(x)) + self.see_full(seen))  # (B, width / 2, S, S)
        return image + self.last(x)


class ClassHead(nn.Sequential):
    """Two fully connected layers with a GELU between."""

    def __init__(self, dimension: int, classes: int, hidden: int) -> None:
        super().__init__(nn.Linear(dimension, hidden), nn.GELU(), nn.Linear(hidden, classes))


class Residual(nn.Module):
    """Two 3x3 convolutions added to their input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, width, h, w) with what two convolutions make of it added."""
        return x + self.second(F.gelu(self.first(F.gelu(x))))


def pasted(image: Tensor, answer: Tensor, mask: Tensor) -> Tensor:
    """Return ``answer`` where ``mask`` is 1, and the unchanged ``image`` elsewhere."""
    return torch.where(mask > 0.5, answer, image)


def save_multitask(folder: Path | str, model: MultitaskModel, card: dict[str, Any]) -> MultitaskCard:
    """Write a model's card and weights, as float16, into a folder.

    Parameters
    ----------
    card
        ``name`` and, if known, ``encoder``, ``training`` and ``measured`` of the `MultitaskCard`; the rest is
        the model's.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = save({name: value.half().contiguous().cpu() for name, value in _kept(model).items()})
    whole = MultitaskCard(
        **card,
        config=dataclasses.asdict(model.lvm.config),
        classes=model.classes,
        width=model.width,
        checksum=hashlib.sha256(weights).hexdigest(),
    )
    (folder / WEIGHTS_FILE).write_bytes(weights)
    written = msgspec.json.encode(whole)
    (folder / CARD_FILE).write_bytes(msgspec.json.format(written, indent=1))
    return msgspec.json.decode(written, type=MultitaskCard)


def load_multitask(source: Path | str = "default", device: str | None = None) -> MultitaskModel:
    """Load a multitask model, frozen and in evaluation mode.

    Parameters
    ----------
    source
        ``default`` (the one that ships) or a folder that `save_multitask` wrote.

    Raises
    ------
    EncoderError
        If there is none, or card and weights are damaged or do not belong together.
    """
    folder = _folder(source)
    card = read_multitask_card(source)
    try:
        data = (folder / WEIGHTS_FILE).read_bytes()
    except OSError:
        raise EncoderError(f"The multitask model in {folder} has no {WEIGHTS_FILE}; copy the folder again.") from None
    if hashlib.sha256(data).hexdigest() != card.checksum:
        raise EncoderError(f"{WEIGHTS_FILE} in {folder} does not match its card's checksum; copy the folder again.")
    try:
        config = msgspec.convert(card.config, LVMConfig)
        model = MultitaskModel(LVM(config), card.classes, card.width)
        weights = {name: value.float() for name, value in load(data).items()}
    except (msgspec.ValidationError, SafetensorError) as error:
        raise EncoderError(f"The multitask model in {folder} cannot be read: {error}.") from None
    own = _kept(model)
    if wrong := sorted(n for n in own.keys() | weights.keys() if n not in own or n not in weights or own[n].shape != weights[n].shape):
        raise EncoderError(f"The multitask weights in {folder} do not fit their card: {len(wrong)} differ, the first is {wrong[0]}.")
    model.load_state_dict(weights, strict=False)
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    return model.eval().requires_grad_(False).to(place)


def read_multitask_card(source: Path | str = "default") -> MultitaskCard:
    """Read a multitask model's card without its weights."""
    folder = _folder(source)
    try:
        return msgspec.json.decode((folder / CARD_FILE).read_bytes(), type=MultitaskCard)
    except OSError:
        raise EncoderError(
            f"No multitask model at {folder}: give a folder with {CARD_FILE}, as `discovery train multitask --export FOLDER` writes it."
        ) from None
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise EncoderError(f"The card {CARD_FILE} in {folder} is not valid: {error}.") from None


def _folder(source: Path | str) -> Path:
    return FOLDER if str(source) == "default" else Path(source)


def _kept(model: MultitaskModel) -> dict[str, Tensor]:
    """Return the weights of a multitask model: encoder and heads, without the unused decoder."""
    kept = tuple(f"lvm.{prefix}" for prefix in ENCODER_PREFIXES)
    return {name: value for name, value in model.state_dict().items() if name.startswith(kept) or not name.startswith("lvm.")}


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
