"""Encoders: stamps in, unit vectors out, with a card that says what they are.

An encoder on disk is a folder with ``encoder.json`` (the card) and ``encoder.safetensors`` (the weights).
`load_encoder` also takes the released LVM weights (``lvm:FILE``) and any timm model (``timm:NAME`` or
``timm:NAME:FILE``).
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal

import msgspec
import numpy as np
import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from discovery.encoders import SHIPPED, WEIGHTS
from discovery.encoders.inference_network import folded
from discovery.encoders.lvm import LVM, LVMConfig
from discovery.encoders.timm_network import TimmNetwork, timm_backbone
from discovery.errors import EncoderError
from discovery.stamps.preprocess import Convention, CropConfig, Prepared, prepare
from discovery.stamps.stamp import Stamp

Precision = Literal["float32", "bfloat16"]
CARD_FILE, WEIGHTS_FILE = "encoder.json", "encoder.safetensors"


class EncoderCard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an encoder is.

    Attributes
    ----------
    architecture, config
        ``lvm`` with the fields of `LVMConfig`, or ``timm`` with ``{"model": NAME}``, and ``"bottleneck": D`` where
        the network is a `TimmNetwork`.
    convention : {"dr2_rgb", "nmgy"}
        What the numbers of its input are.
    crop, input_size
        How a stamp becomes (K, 3, input_size, input_size).
    channel_order : {"grz", "zrg"}
        Order of the bands that the network takes; ``zrg`` is R G B, as networks of everyday pictures do.
    mean, std
        Per channel in that order, applied before the network.
    views : {1, 4, 8}
        An embedding is the mean of the network's features over the 4 turns, or the 8 turns and flips, of its input.
    dimension : int
        Length D of an embedding (both crops together).
    parameters : int
        Of the encoder alone.
    checksum : str
        SHA-256 over the weights and all of the above that changes an embedding.
    training : dict
        What it was trained on and how well it does; for people.
    """

    version: Literal[1] = 1
    name: str
    architecture: Literal["lvm", "timm"]
    config: dict[str, Any]
    convention: Convention
    crop: CropConfig = CropConfig()
    input_size: int
    channel_order: Literal["grz", "zrg"] = "grz"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    views: Literal[1, 4, 8] = 1
    dimension: int
    parameters: int
    checksum: str
    training: dict[str, Any] = {}


class Encoder:
    """A network with its card. Make one with `load_encoder`, `lvm_encoder` or `timm_encoder`.

    ``network`` is the frozen module, in evaluation mode; copy it before training it further.

    Attributes
    ----------
    precision : {"float32", "bfloat16"}
        What the network computes in; with bfloat16 (autocast) embeddings agree with float32 to a cosine above 0.999.
        By default bfloat16 on CUDA and float32 elsewhere; may be set.
    compiled : bool
        Whether batches go through torch.compile: worth it for long runs on a GPU, since the first batch takes minutes.
        May be set.
    """

    def __init__(self, network: nn.Module, card: EncoderCard, device: str | None = None) -> None:
        self.card = card
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.network = network.eval().requires_grad_(False).to(self.device)
        self.precision: Precision = "bfloat16" if self.device.type == "cuda" else "float32"
        self.compiled = False
        self._mean = torch.tensor(card.mean, device=self.device)[:, None, None]
        self._std = torch.tensor(card.std, device=self.device)[:, None, None]

    @property
    def checksum(self) -> str:
        """SHA-256 that names this encoder in releases."""
        return self.card.checksum

    @property
    def dimension(self) -> int:
        """Length D of an embedding."""
        return self.card.dimension

    def prepare(self, stamp: Stamp) -> Prepared:
        """Return the encoder's input for a stamp; raises `StampError` where it has none."""
        return prepare(stamp, convention=self.card.convention, crop=self.card.crop, size=self.card.input_size)

    def embed(self, stamps: Sequence[Stamp], batch_size: int = 64) -> np.ndarray:
        """Embed stamps.

        Returns
        -------
        numpy.ndarray
            (B, D) float32, unit length.

        Raises
        ------
        StampError
            If a stamp cannot be used.
        """
        parts = [np.empty((0, self.dimension), np.float32)]
        for start in range(0, len(stamps), batch_size):
            batch = [self.prepare(stamp).inputs for stamp in stamps[start : start + batch_size]]
            parts.append(self.embed_inputs(np.stack(batch)))
        return np.concatenate(parts)

    @torch.inference_mode()
    def embed_inputs(self, inputs: np.ndarray) -> np.ndarray:
        """Embed prepared inputs (B, K, 3, S, S) float32: (B, D) float32, unit length."""
        x = torch.from_numpy(np.ascontiguousarray(inputs, np.float32)).to(self.device)
        batch, views = x.shape[:2]
        x = x.flatten(0, 1)
        if self.card.channel_order == "zrg":
            x = x.flip(1)
        features = self._run((x - self._mean) / self._std)  # (B K, d)
        if not torch.isfinite(features).all():
            raise EncoderError(f"Encoder {self.card.name} gave numbers that are not finite; its weights or its input are damaged.")
        unit = nn.functional.normalize(features.float(), dim=1).view(batch, -1) / views**0.5
        return unit.cpu().numpy()

    def _run(self, x: Tensor) -> Tensor:
        """Return the network's features in the chosen precision, compiled for batches of powers of two on request."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            return mean_over_views(self._compiled_run if self.compiled else partial(_features, self._quick), x, self.card.views)

    def _compiled_run(self, x: Tensor) -> Tensor:
        count = len(x)
        padded = nn.functional.pad(x, (0, 0, 0, 0, 0, 0, 0, (1 << max(0, count - 1).bit_length()) - count))
        return self._compiled(padded)[:count]

    @cached_property
    def _quick(self) -> nn.Module:
        """The network that embeds: on a CPU a timm network with its batch norms folded."""
        whole = self.device.type != "cpu" or not isinstance(self.network, TimmNetwork)
        return self.network if whole else folded(self.network, self.card.input_size)

    @cached_property
    def _compiled(self) -> Callable[[Tensor], Tensor]:
        return torch.compile(partial(_features, self.network), dynamic=False)

    def save(self, folder: Path | str, *, half: bool = False) -> None:
        """Write card and weights into a folder; ``half`` stores float16, for weights that are float16 values."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        weights = {
            name: (value.half() if half and value.is_floating_point() else value).contiguous().cpu()
            for name, value in _weights(self.network).items()
        }
        save_file(weights, folder / WEIGHTS_FILE)
        (folder / CARD_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(self.card), indent=1))


def load_encoder(source: str | Path = "default", *, crop: CropConfig | None = None, device: str | None = None) -> Encoder:
    """Load an encoder.

    Parameters
    ----------
    source
        ``default`` or ``detail`` (those that ship), a folder with a card, ``lvm:FILE`` (weights under the released LVM's
        names: nanomaggies, attention scale 8), ``timm:NAME`` (untrained) or ``timm:NAME:FILE``.
    crop
        Another crop than the card's; it makes another encoder, with another checksum.

    Raises
    ------
    EncoderError
        If there is no such encoder, or its weights do not fit its card or their checksum.
    """
    text = str(source)
    if text.startswith("lvm:"):
        return lvm_encoder(Path(text[4:]), crop=crop, device=device)
    if text.startswith("timm:"):
        model, _, weights = text[5:].partition(":")
        return timm_encoder(model, Path(weights) if weights else None, crop=crop, device=device)
    folder = encoder_folder(source)
    card = read_card(folder)
    network = _network(card.architecture, card.config)
    _load(network, read_weights(folder / WEIGHTS_FILE))
    encoder = make_encoder(network, **_parts(card), device=device)
    if encoder.checksum != card.checksum:
        raise EncoderError(f"The weights in {folder} do not match their card's checksum; copy the folder again.")
    return encoder if crop is None else make_encoder(network, **{**_parts(card), "crop": crop}, device=device)


def encoder_folder(source: str | Path) -> Path:
    """Return the folder of an encoder: one that ships where its name is given and no folder here is called so."""
    if str(source) == "default":
        return WEIGHTS
    ships = str(source) in SHIPPED and not (Path(source) / CARD_FILE).exists()
    return WEIGHTS / str(source) if ships else Path(source)


def read_card(folder: Path | str) -> EncoderCard:
    """Read an encoder's card without its weights; ``default`` is the shipped one's."""
    path = encoder_folder(folder) / CARD_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=EncoderCard)
    except OSError:
        raise EncoderError(
            f"No encoder at {folder}: give 'default', 'detail', a folder with {CARD_FILE}, lvm:FILE, timm:NAME or timm:NAME:FILE."
        ) from None
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise EncoderError(f"The encoder card {path.name} in {folder} is not valid: {error}.") from None


def lvm_encoder(
    weights: Path,
    *,
    attention_scale: float | None = 8.0,
    convention: Convention = "nmgy",
    crop: CropConfig | None = None,
    device: str | None = None,
) -> Encoder:
    """Make an encoder from LVM weights under the released names; sizes are read off the weights.

    The constants that no weight tells default to the released model's: attention scale 8, input in
    nanomaggies (``attention_scale=None`` is the usual ``head_dim ** -0.5``).
    """
    state = read_weights(weights)
    config = lvm_config_of(state, attention_scale)
    network = LVM(config)
    network.load_weights(state, encoder_only="low_conv.weight" not in state)
    return make_encoder(
        network,
        name=f"lvm-{weights.stem}",
        architecture="lvm",
        config=dataclasses.asdict(config),
        convention=convention,
        crop=crop or CropConfig(),
        input_size=config.image_size,
        device=device,
    )


def lvm_config_of(state: Mapping[str, Tensor], attention_scale: float | None) -> LVMConfig:
    """Read the size of an LVM off its weights."""
    try:
        depths, heads, level = [], [], 0
        while f"layers.{level}.blocks.0.norm1.weight" in state:
            prefix = f"layers.{level}.blocks."
            depths.append(1 + max(int(name[len(prefix) :].split(".")[0]) for name in state if name.startswith(prefix)))
            heads.append(state[f"{prefix}0.attn.relative_position_bias_table"].shape[1])
            level += 1
        tables = [state[f"layers.{i}.blocks.0.attn.relative_position_bias_table"].shape[0] for i in range(level)]
        window = (int(tables[0] ** 0.5) + 1) // 2
        last = (int(tables[-1] ** 0.5) + 1) // 2
        image_size = last * 4 * 2 ** (level - 1) if last < window else 128
        return LVMConfig(
            embed_dim=state["conv_first.weight"].shape[0],
            depths=tuple(depths),
            heads=tuple(heads),
            window=window,
            image_size=image_size,
            attention_scale=attention_scale,
        )
    except (KeyError, IndexError, ValueError):
        raise EncoderError("These weights are not an LVM's: names such as conv_first.weight and layers.0.blocks.0 are missing.") from None


def timm_encoder(
    model: str,
    weights: Path | None = None,
    *,
    convention: Convention = "dr2_rgb",
    crop: CropConfig | None = None,
    input_size: int | None = None,
    seed: int = 0,
    device: str | None = None,
) -> Encoder:
    """Make an encoder from a timm model and, if given, a local checkpoint with timm's names.

    Input size, mean and deviation are those of the model's own configuration. Nothing is downloaded; without
    weights the network is untrained (seeded).
    """
    torch.manual_seed(seed)
    network = _network("timm", {"model": model})
    settings = timm.data.resolve_model_data_config(network)
    if weights is not None:
        _load(network, read_weights(weights))
    return make_encoder(
        network,
        name=f"{model}-{weights.stem}" if weights else f"{model}-untrained-{seed}",
        architecture="timm",
        config={"model": model},
        convention=convention,
        crop=crop or CropConfig(),
        input_size=input_size or settings["input_size"][-1],
        channel_order="zrg",
        mean=tuple(settings["mean"]),
        std=tuple(settings["std"]),
        device=device,
    )


def make_encoder(network: nn.Module, *, device: str | None = None, training: dict[str, Any] | None = None, **parts: Any) -> Encoder:
    """Put a network and the parts of its card together; dimension, size and checksum are measured."""
    network.eval()
    with torch.inference_mode():
        probe = torch.zeros(1, 3, parts["input_size"], parts["input_size"], device=next(network.parameters()).device)
        width = _features(network, probe).shape[1]
    weights = _weights(network)
    card = EncoderCard(
        **parts,
        dimension=width * parts["crop"].views,
        parameters=sum(value.numel() for value in weights.values() if value.is_floating_point()),
        checksum="",
        training=training or {},
    )
    card = msgspec.structs.replace(card, checksum=_checksum(weights, card))
    card = msgspec.json.decode(msgspec.json.encode(card), type=EncoderCard)  # equal to what a file gives back
    return Encoder(network, card, device)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read weights from safetensors, or from a torch file with ``weights_only=True``."""
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
            state = state.get("model", state.get("state_dict", state))
    except OSError:
        raise EncoderError(f"Cannot read weights from {path}: no such file.") from None
    except (SafetensorError, RuntimeError, AttributeError, EOFError, ValueError, UnpicklingError):
        raise EncoderError(f"{path} holds no weights that can be read safely; give a .safetensors file.") from None
    return {name: value.float() if value.is_floating_point() else value for name, value in state.items()}


def mean_over_views(network: Callable[[Tensor], Tensor], x: Tensor, views: int) -> Tensor:
    """Return a network's features (B, d) of (B, 3, S, S), the mean over 1, 4 (turns) or 8 (turns and flips) views."""
    total = network(x)
    for number in range(1, views):
        seen = torch.rot90(x.flip(3) if number >= 4 else x, number % 4, (2, 3))
        total = total + network(seen)
    return total / views


def _features(network: nn.Module, x: Tensor) -> Tensor:
    return network.features(x) if isinstance(network, LVM) else network(x)


def _network(architecture: str, config: dict[str, Any]) -> nn.Module:
    if architecture == "timm":
        return TimmNetwork(config["model"], config["bottleneck"]) if "bottleneck" in config else timm_backbone(config["model"])
    try:
        return LVM(msgspec.convert(config, LVMConfig))
    except msgspec.ValidationError as error:
        raise EncoderError(f"The card's model configuration is not valid: {error}.") from None


def _load(network: nn.Module, state: dict[str, Tensor]) -> None:
    if isinstance(network, LVM):
        network.load_weights(state, encoder_only=True)
        return
    own = network.state_dict()
    described: dict[str, Any] = getattr(network, "pretrained_cfg", {})
    heads = tuple(f"{name}." for name in np.atleast_1d(described.get("classifier") or []))
    state = {name: value for name, value in state.items() if not (heads and name.startswith(heads))}
    wrong = [name for name in own if name not in state or own[name].shape != state[name].shape]
    wrong += [name for name in state if name not in own]
    if wrong:
        raise EncoderError(f"The checkpoint does not fit the timm model: {len(wrong)} weights, the first is {wrong[0]}.")
    network.load_state_dict(state)


def _weights(network: nn.Module) -> dict[str, Tensor]:
    return network.encoder_state() if isinstance(network, LVM) else network.state_dict()


def _parts(card: EncoderCard) -> dict[str, Any]:
    measured = {"version", "dimension", "parameters", "checksum"}
    return {name: getattr(card, name) for name in card.__struct_fields__ if name not in measured}


def _checksum(weights: Mapping[str, Tensor], card: EncoderCard) -> str:
    defining = {name: value for name, value in sorted(_parts(card).items()) if name not in ("name", "training")}
    if card.views == 1:
        del defining["views"]  # as before there were views
    digest = hashlib.sha256(msgspec.json.encode(defining, order="deterministic"))
    for name in sorted(weights):
        value = weights[name].detach().cpu()
        digest.update(f"{name} {tuple(value.shape)}".encode())
        digest.update((value.float() if value.is_floating_point() else value.long()).numpy().tobytes())
    return digest.hexdigest()
