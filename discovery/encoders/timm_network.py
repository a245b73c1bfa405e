"""A timm network as an encoder: its pooled features, or a few numbers made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import timm
from torch import Tensor, nn

from discovery.errors import EncoderError


class TimmNetwork(nn.Module):
    """A timm backbone with a bottleneck behind it: a linear map of the pooled features, each number standardised.

    Parameters
    ----------
    model
        Name of the timm model.
    bottleneck
        Numbers D of an embedding.
    """

    def __init__(self, model: str, bottleneck: int) -> None:
        super().__init__()
        self.model, self.bottleneck = model, bottleneck
        self.backbone = timm_backbone(model)
        width: Any = getattr(self.backbone, "head_hidden_size", None) or self.backbone.num_features
        self.reduce = nn.Sequential(nn.Linear(width, bottleneck, bias=False), nn.BatchNorm1d(bottleneck, affine=False))

    @property
    def settings(self) -> dict[str, Any]:
        """What timm says of the model's input: ``mean``, ``std``, ``input_size``."""
        return timm.data.resolve_model_data_config(self.backbone)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, D) of (B, 3, S, S), channels and scale as the backbone wants them."""
        return self.reduce(self.backbone(x))


def timm_backbone(model: str) -> nn.Module:
    """Return an untrained timm model without its classifier; nothing is downloaded."""
    if not timm.is_model(model):
        raise EncoderError(f"timm has no model {model!r}; see timm.list_models().")
    return timm.create_model(model, pretrained=False, num_classes=0)


def fitted_by_order(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return foreign weights under a network's own names, by name or, where names differ, by their order.

    Conversions of published networks keep the order of the layers but not their names. Weights beyond the last
    of ``own`` (a classifier) are left out.

    Raises
    ------
    EncoderError
        If a weight is missing or of another shape.
    """
    if own.keys() <= state.keys():
        taken = {name: state[name] for name in own}
    elif len(state) >= len(own):
        taken = dict(zip(own, state.values(), strict=False))
    else:
        raise EncoderError(f"The weights to start from are {len(state)}, fewer than the network's {len(own)}; they are of another network.")
    wrong = [name for name, value in taken.items() if value.shape != own[name].shape]
    if wrong:
        raise EncoderError(f"The weights to start from are of another network: {len(wrong)} do not fit, the first is {wrong[0]}.")
    return taken
