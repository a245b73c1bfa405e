"""The large vision model: a U-Net of Swin Transformer blocks, of which the encoder embeds stamps.

Fu et al. 2024 (Chinese Physics C, doi 10.1088/1674-1137/ad50ab) after SUNet (Fan et al. 2022). Parameter
names are those of the released checkpoint, so that its state dict loads as it is.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from discovery.errors import EncoderError

#: Entries of the released checkpoint that the model never uses or derives by itself.
UNUSED_PREFIXES = ("output_re.", "output_class.", "prelu.")
DERIVED_SUFFIXES = ("relative_position_index", "attn_mask")
PATCH = 4
BLOCKED = -100.0


@dataclass(frozen=True, kw_only=True)
class LVMConfig:
    """Size and constants of the model; the defaults are the published ones (99,670,155 parameters).

    Attributes
    ----------
    attention_scale : float or None
        Factor on the queries; None means ``head_dim ** -0.5``. The released weights need 8.
    drop_path : float
        Largest stochastic depth rate, rising linearly from 0 over the encoder's layers.
    """

    embed_dim: int = 96
    depths: tuple[int, ...] = (8, 8, 8, 8)
    heads: tuple[int, ...] = (8, 8, 8, 8)
    window: int = 8
    image_size: int = 128
    attention_scale: float | None = None
    drop_path: float = 0.1
    attention_dropout: float = 0.1

    def __post_init__(self) -> None:
        if len(self.depths) != len(self.heads) or not self.depths:
            raise EncoderError(f"depths {self.depths} and heads {self.heads} must be lists of the same length.")
        smallest = PATCH * 2 ** (len(self.depths) - 1)
        if self.image_size % smallest:
            raise EncoderError(f"image_size {self.image_size} must be a multiple of {smallest}.")
        for level, heads in enumerate(self.heads):
            channels, side = self.channels(level), self.side(level)
            if channels % heads:
                raise EncoderError(f"Level {level} has {channels} channels, not divisible by {heads} heads.")
            if side % min(self.window, side):
                raise EncoderError(f"Level {level} has {side} tokens a side, not divisible by window {self.window}.")

    def channels(self, level: int) -> int:
        """Return the channels at a level (0 is the finest)."""
        return self.embed_dim * 2**level

    def side(self, level: int) -> int:
        """Return the tokens a side at a level."""
        return self.image_size // PATCH // 2**level

    @property
    def dimension(self) -> int:
        """Length D of a feature vector."""
        return self.channels(len(self.depths) - 1)


class LVM(nn.Module):
    """Encoder and decoder in one module: `encode` for the maps, `features` for search, call for pictures."""

    def __init__(self, config: LVMConfig) -> None:
        super().__init__()
        self.config = config
        levels = len(config.depths)
        rates = np.linspace(0, config.drop_path, sum(config.depths)).tolist()
        first = [sum(config.depths[:level]) for level in range(levels)]
        self.conv_first = nn.Conv2d(3, config.embed_dim, 3, padding=1)
        self.patch_embed = PatchEmbed(config.embed_dim)
        self.layers = nn.ModuleList(
            EncoderLevel(config, level, rates[first[level] :], last=level == levels - 1) for level in range(levels)
        )
        self.norm = nn.LayerNorm(config.dimension)
        self.layers_up = nn.ModuleList([DualUpSample(config.dimension, 2)])
        self.concat_back_dim = nn.ModuleList([nn.Identity()])
        for level in range(levels - 2, -1, -1):
            self.layers_up.append(DecoderLevel(config, level, rates[first[level] :]))
            self.concat_back_dim.append(nn.Linear(2 * config.channels(level), config.channels(level)))
        self.norm_up = nn.LayerNorm(config.embed_dim)
        self.up = DualUpSample(config.embed_dim, PATCH)
        self.low_conv = nn.Conv2d(config.embed_dim, 3, 1)
        self.apply(_initialise)

    def pyramid(self, image: Tensor) -> list[Tensor]:
        """Return the map of each level, finest first: (B, C_l, h_l, w_l), after its blocks and before merging.

        The coarsest is after the final LayerNorm. Heads for pictures and for detection stand on these.
        """
        self._check(image)
        x, maps = self._stem(image), []
        for layer in self.layers:
            assert isinstance(layer, EncoderLevel)
            x = layer.attend(x)
            maps.append(x if layer.downsample is not None else self.norm(x))
            x = layer.merge(x)
        return [level.permute(0, 3, 1, 2) for level in maps]

    def resized(self, image_size: int) -> LVM:
        """Return a copy for stamps of another side in pixels.

        Weights are kept; bias tables of windows that change size are resampled (bicubic), as Swin does between
        resolutions.
        """
        other = LVM(dataclasses.replace(self.config, image_size=image_size))
        other.load_state_dict(fitted(self.state_dict(), other.state_dict()))
        return other.train(self.training)

    def encode(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Encode stamps.

        Parameters
        ----------
        image : Tensor
            (B, 3, S, S) float, bands g r z.

        Returns
        -------
        tokens : Tensor
            (B, N, D) after the final LayerNorm, row-major; N = 16 for 128 pixels.
        skips : list of Tensor
            The maps (B, h, w, C) *entering* each level, finest first.
        """
        self._check(image)
        x = self._stem(image)  # (B, h, w, C)
        skips = []
        for layer in self.layers:
            skips.append(x)
            x = layer(x)
        return self.norm(x).flatten(1, 2), skips

    def _check(self, image: Tensor) -> None:
        side = self.config.image_size
        if image.shape[-3:] != (3, side, side):
            raise EncoderError(f"The model takes stamps of (3, {side}, {side}), not {tuple(image.shape[-3:])}.")

    def _stem(self, image: Tensor) -> Tensor:
        """Apply `conv_first` and the patch embedding as one 6x6 convolution of stride 4.

        Nothing lies between the two, so their composition is exact, at a small part of the cost; the padding of
        the first is that of the composition.
        """
        first, patch = self.conv_first, self.patch_embed.proj
        kernel = F.conv_transpose2d(patch.weight, first.weight)  # (C, 3, 6, 6)
        assert patch.bias is not None and first.bias is not None
        bias = patch.bias + patch.weight.sum((2, 3)) @ first.bias
        patches = F.unfold(image, PATCH + 2, padding=1, stride=PATCH).transpose(1, 2)  # (B, N, 108)
        side = self.config.side(0)
        return self.patch_embed.norm(F.linear(patches, kernel.flatten(1), bias)).unflatten(1, (side, side))

    def features(self, image: Tensor) -> Tensor:
        """Return (B, D): the mean over the tokens, not normalised."""
        return self.encode(image)[0].mean(dim=1)

    def decode(self, tokens: Tensor, skips: list[Tensor]) -> Tensor:
        """Return the picture (B, 3, S, S) from what `encode` gave."""
        side = self.config.side(len(self.config.depths) - 1)
        x = self.layers_up[0](tokens.unflatten(1, (side, side)))
        for index in range(1, len(self.layers_up)):
            skip = skips[len(skips) - 1 - index]
            x = self.layers_up[index](self.concat_back_dim[index](torch.cat([x, skip], dim=-1)))
        x = self.up(self.norm_up(x))
        return self.low_conv(x.permute(0, 3, 1, 2))

    def forward(self, image: Tensor) -> Tensor:
        """Return the decoded image of (B, 3, H, W) stamps."""
        return self.decode(*self.encode(image))

    def encoder_state(self) -> dict[str, Tensor]:
        """Return the weights that `features` needs, under their own names."""
        return {name: value for name, value in self.state_dict().items() if name.startswith(ENCODER_PREFIXES)}

    def load_weights(self, state: Mapping[str, Tensor], *, encoder_only: bool = False) -> None:
        """Load a state dict with the released names; unused and derived entries are ignored.

        Raises
        ------
        EncoderError
            If a needed weight is missing, unknown or of another shape.
        """
        wanted = {
            name: value
            for name, value in state.items()
            if not name.startswith(UNUSED_PREFIXES) and not name.endswith(DERIVED_SUFFIXES)
        }
        own = self.encoder_state() if encoder_only else self.state_dict()
        missing, unknown = sorted(own.keys() - wanted.keys()), sorted(wanted.keys() - self.state_dict().keys())
        wrong = sorted(name for name in own.keys() & wanted.keys() if own[name].shape != wanted[name].shape)
        if missing or unknown or wrong:
            raise EncoderError(
                f"The weights do not fit the model: missing {_few(missing)}, unknown {_few(unknown)}, other shape {_few(wrong)}. "
                "Check embed_dim, depths, heads and window."
            )
        self.load_state_dict(dict(wanted), strict=not encoder_only)


def fitted(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return ``state`` with its relative position bias tables resampled to the shapes in ``own``."""
    taken = dict(state)
    for name, value in state.items():
        if name.endswith("relative_position_bias_table") and name in own and own[name].shape[0] != value.shape[0]:
            before, after = math.isqrt(value.shape[0]), math.isqrt(own[name].shape[0])
            grid = value.T.reshape(1, -1, before, before)
            grid = F.interpolate(grid, (after, after), mode="bicubic", align_corners=True)
            taken[name] = grid.flatten(2)[0].T.contiguous()
    return taken


ENCODER_PREFIXES = ("conv_first.", "patch_embed.", "layers.", "norm.")


class PatchEmbed(nn.Module):
    """The convolution and LayerNorm that make tokens; `LVM` applies them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, channels, PATCH, stride=PATCH)
        self.norm = nn.LayerNorm(channels)


class EncoderLevel(nn.Module):
    """Swin layers, then patch merging except at the coarsest level."""

    def __init__(self, config: LVMConfig, level: int, rates: list[float], last: bool) -> None:
        super().__init__()
        self.blocks = _blocks(config, level, rates)
        self.downsample = None if last else PatchMerging(config.channels(level))

    def forward(self, x: Tensor) -> Tensor:
        """Return the level applied to (B, h, w, C), merged to (B, h/2, w/2, 2C) unless it is the last."""
        return self.merge(self.attend(x))

    def attend(self, x: Tensor) -> Tensor:
        """Apply the Swin layers."""
        for block in self.blocks:
            x = block(x)
        return x

    def merge(self, x: Tensor) -> Tensor:
        """Apply the patch merging, if the level has one."""
        return x if self.downsample is None else self.downsample(x)


class DecoderLevel(nn.Module):
    """Swin layers, then a dual up-sample except at the finest level."""

    def __init__(self, config: LVMConfig, level: int, rates: list[float]) -> None:
        super().__init__()
        self.blocks = _blocks(config, level, rates)
        self.upsample = DualUpSample(config.channels(level), 2) if level else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the level applied to (B, h, w, C), up-sampled to (B, 2h, 2w, C/2) except at the finest."""
        for block in self.blocks:
            x = block(x)
        return x if self.upsample is None else self.upsample(x)


class SwinBlock(nn.Module):
    """Windowed attention and an MLP, pre-norm, on (B, h, w, C)."""

    def __init__(self, config: LVMConfig, level: int, shifted: bool, drop_path: float) -> None:
        super().__init__()
        channels, self.side = config.channels(level), config.side(level)
        self.window = min(config.window, self.side)
        self.shift = config.window // 2 if shifted and self.side > config.window else 0
        self.norm1 = nn.LayerNorm(channels)
        self.attn = WindowAttention(config, channels, config.heads[level], self.window)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = MLP(channels)
        self.drop_path = drop_path
        mask = _shift_mask(self.side, self.window, self.shift) if self.shift else None
        self.register_buffer("attn_mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, h, w, C) after attention and MLP, each added to its input."""
        x = x + self._drop(self._attend(self.norm1(x)))
        return x + self._drop(self.mlp(self.norm2(x)))

    def _attend(self, x: Tensor) -> Tensor:
        batch, side, _, channels = x.shape
        w, count = self.window, side // self.window
        if self.shift:
            x = torch.roll(x, (-self.shift, -self.shift), dims=(1, 2))
        x = x.view(batch, count, w, count, w, channels).transpose(2, 3).reshape(-1, w * w, channels)
        x = self.attn(x, self.attn_mask)
        x = x.view(batch, count, count, w, w, channels).transpose(2, 3).reshape(batch, side, side, channels)
        return torch.roll(x, (self.shift, self.shift), dims=(1, 2)) if self.shift else x

    def _drop(self, x: Tensor) -> Tensor:
        if not self.training or self.drop_path == 0:
            return x
        keep = 1 - self.drop_path
        return x * (x.new_empty(x.shape[0], 1, 1, 1).bernoulli_(keep) / keep)


class WindowAttention(nn.Module):
    """Multi-head attention within a window, with a learned bias for each relative position."""

    def __init__(self, config: LVMConfig, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.tokens = heads, window * window
        self.scale = config.attention_scale or (channels // heads) ** -0.5
        self.dropout = config.attention_dropout
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        self.relative_position_index: Tensor
        self.register_buffer("relative_position_index", _relative_positions(window), persistent=False)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Return (windows, tokens, C) attended within each window; ``mask`` (n, tokens, tokens) is added to the logits."""
        windows, tokens, channels = x.shape
        q, k, v = self.qkv(x).view(windows, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # (B*n, heads, t, d)
        bias = self.relative_position_bias_table[self.relative_position_index.flatten()]
        bias = bias.view(tokens, tokens, self.heads).permute(2, 0, 1)[None]  # (1, heads, t, t)
        if mask is not None:
            bias = (bias + mask[:, None]).repeat(windows // mask.shape[0], 1, 1, 1)
        dropout = self.dropout if self.training else 0.0
        x = F.scaled_dot_product_attention(q, k, v, bias.to(q.dtype), dropout_p=dropout, scale=self.scale)
        return self.proj(x.transpose(1, 2).reshape(windows, tokens, channels))


class MLP(nn.Module):
    """Two linear layers with an exact GELU between, four times as wide inside."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, 4 * channels)
        self.fc2 = nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., C) of the same shape."""
        return self.fc2(F.gelu(self.fc1(x)))


class PatchMerging(nn.Module):
    """(B, h, w, C) to (B, h/2, w/2, 2C)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return four neighbouring patches as one: (B, h/2, w/2, 2C)."""
        x = torch.cat([x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)], dim=-1)
        return self.reduction(self.norm(x))


class DualUpSample(nn.Module):
    """Pixel shuffle beside bilinear, joined: (B, h, w, C) to (B, s h, s w, C / 2 or C)."""

    def __init__(self, channels: int, scale: int) -> None:
        super().__init__()
        if scale == 2:
            wide, out = 2 * channels, channels // 2
        else:
            wide, out = scale * scale * channels, channels
        self.up_p = nn.Sequential(
            nn.Conv2d(channels, wide, 1, bias=False), nn.PReLU(), nn.PixelShuffle(scale), nn.Conv2d(out, out, 1, bias=False)
        )
        self.up_b = nn.Sequential(
            nn.Conv2d(channels, channels, 1),
            nn.PReLU(),
            nn.Upsample(scale_factor=scale, mode="bilinear", align_corners=False),
            nn.Conv2d(channels, out, 1, bias=False),
        )
        self.conv = nn.Conv2d(2 * out, out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the map ``scale`` times as large."""
        x = x.permute(0, 3, 1, 2)
        return self.conv(torch.cat([self.up_p(x), self.up_b(x)], dim=1)).permute(0, 2, 3, 1)


def _blocks(config: LVMConfig, level: int, rates: list[float]) -> nn.ModuleList:
    return nn.ModuleList(
        SwinBlock(config, level, shifted=i % 2 == 1, drop_path=rates[i]) for i in range(config.depths[level])
    )


def _relative_positions(window: int) -> Tensor:
    """Return (t, t) indices into the bias table, as Swin v1 lays it out."""
    grid = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
    row, column = grid[:, :, None] - grid[:, None, :] + window - 1
    return row * (2 * window - 1) + column


def _shift_mask(side: int, window: int, shift: int) -> Tensor:
    """Return (n, t, t): -100 where two tokens of a shifted window come from different sides of the wrap."""
    edges = torch.tensor([side - window, side - shift])
    zone = torch.bucketize(torch.arange(side), edges, right=True)
    zones = (3 * zone[:, None] + zone[None, :]).view(side // window, window, side // window, window)
    zones = zones.transpose(1, 2).reshape(-1, window * window)
    return (zones[:, :, None] != zones[:, None, :]).float() * BLOCKED


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        nn.init.kaiming_uniform_(module.weight, a=math.sqrt(5))
    elif isinstance(module, WindowAttention):
        nn.init.trunc_normal_(module.relative_position_bias_table, std=0.02)


def _few(names: list[str]) -> str:
    return "none" if not names else ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
