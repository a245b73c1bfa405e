"""Mask R-CNN on the pyramid of the LVM's encoder, or on ResNet50, with everything behind the backbone alike."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import resnet50
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign
from torchvision.ops.misc import FrozenBatchNorm2d

from discovery.encoders.encoder import Encoder, read_weights
from discovery.encoders.lvm import ENCODER_PREFIXES, LVM
from discovery.errors import ConfigError, EncoderError
from training.finetuning.detection.config import DetectorPlan
from training.loop.checkpoint import load_into
from training.loop.loop import Batch

LEVELS = ("0", "1", "2", "3")
ANCHOR_PIXELS = ((16,), (32,), (64,), (128,))
ANCHOR_RATIOS = (0.7, 1.0, 1.4)
CANONICAL_PIXELS = 112
"""An object of this size is looked up on the third of the four maps; half of it, on the second."""
RESNET_CHANNELS = [256, 512, 1024, 2048]
RGB_MEAN, RGB_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LENS = 1


class LVMBackbone(nn.Module):
    """The LVM's four encoder maps, each normalised over its channels as Swin does, and a feature pyramid."""

    def __init__(self, lvm: LVM, plan: DetectorPlan) -> None:
        super().__init__()
        self.trunk = lvm.resized(plan.size).requires_grad_(True)
        for name in [name for name, _ in self.trunk.named_children() if f"{name}." not in ENCODER_PREFIXES]:
            delattr(self.trunk, name)  # the decoder
        channels = [lvm.config.channels(level) for level in range(len(lvm.config.depths))]
        self.norms = nn.ModuleList(nn.LayerNorm(count) for count in channels)
        self.fpn = FeaturePyramidNetwork(channels, plan.width)
        self.out_channels = plan.width

    def forward(self, image: Tensor) -> OrderedDict[str, Tensor]:
        """Return the feature maps of (B, 3, H, W) by level, ``width`` channels each."""
        maps = zip(LEVELS, self.trunk.pyramid(image), self.norms, strict=True)
        return self.fpn(OrderedDict((name, norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)) for name, x, norm in maps))


class ResNetBackbone(nn.Module):
    """ResNet50 with a feature pyramid; it takes the colours as R G B, as its public weights do."""

    def __init__(self, weights: Path | None, plan: DetectorPlan) -> None:
        super().__init__()
        trunk = resnet50(weights=None, norm_layer=nn.BatchNorm2d if weights is None else FrozenBatchNorm2d)
        if weights is not None:
            _load_trunk(trunk, weights)
        del trunk.fc
        self.trunk, self.fpn = trunk, FeaturePyramidNetwork(RESNET_CHANNELS, plan.width)
        self.out_channels = plan.width

    def forward(self, image: Tensor) -> OrderedDict[str, Tensor]:
        """Return the feature maps of (B, 3, H, W) by level, ``width`` channels each."""
        trunk, maps = self.trunk, OrderedDict()
        x = trunk.maxpool(trunk.relu(trunk.bn1(trunk.conv1(image.flip(1)))))
        for name, stage in zip(LEVELS, (trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4), strict=True):
            maps[name] = x = stage(x)
        return self.fpn(maps)


class Detection(nn.Module):
    """A Mask R-CNN as `training.loop.loop.train` takes it: a batch in, the loss and its parts out.

    ``trunk_rate`` scales the learning rate of the backbone without its feature pyramid, which may be trained already.
    """

    def __init__(self, detector: MaskRCNN, trunk_rate: float = 1.0) -> None:
        super().__init__()
        self.detector = detector
        self.rate_shares = {"detector.backbone.trunk.": trunk_rate}

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the sum of the five losses.

        Parameters
        ----------
        batch
            ``image`` (B, 3, S, S) uint8, ``boxes`` (B, K, 4) float32, ``masks`` (B, K, S, S) uint8 and ``count`` (B,):
            how many of the K are there.
        """
        images = list(batch["image"].float() / 255)
        targets = [
            {"boxes": boxes[:n], "masks": masks[:n], "labels": torch.full((int(n),), LENS, device=boxes.device)}
            for boxes, masks, n in zip(batch["boxes"], batch["masks"], batch["count"], strict=True)
        ]
        parts = self.detector(images, targets)
        return torch.stack(list(parts.values())).sum(), {name.removeprefix("loss_"): value for name, value in parts.items()}


def lvm_detector(encoder: Encoder, plan: DetectorPlan) -> MaskRCNN:
    """Return a Mask R-CNN on a copy of an encoder; raises `EncoderError` where it is no LVM for display colours."""
    card, network = encoder.card, encoder.network
    if not isinstance(network, LVM) or len(network.config.depths) != len(LEVELS):
        raise EncoderError(f"Encoder {card.name} is no LVM of four levels, which the detector stands on; use one, or --backbone resnet50.")
    if card.convention != "dr2_rgb" or card.channel_order != "grz":
        raise EncoderError(f"Encoder {card.name} takes {card.convention} in the order {card.channel_order}; fields are dr2_rgb in g r z.")
    return _mask_rcnn(LVMBackbone(network, plan), plan, card.mean, card.std)


def resnet_detector(weights: Path | None, plan: DetectorPlan) -> MaskRCNN:
    """Return a Mask R-CNN on ResNet50, untrained or with torchvision's weights from a local file."""
    return _mask_rcnn(ResNetBackbone(weights, plan), plan, RGB_MEAN[::-1], RGB_STD[::-1])


def parameters(module: nn.Module) -> int:
    """Return the number of weights."""
    return sum(value.numel() for value in module.parameters())


def _mask_rcnn(backbone: nn.Module, plan: DetectorPlan, mean: tuple[float, ...], std: tuple[float, ...]) -> MaskRCNN:
    width = plan.width
    anchors = AnchorGenerator(ANCHOR_PIXELS, (ANCHOR_RATIOS,) * len(ANCHOR_PIXELS))
    boxes, masks = (MultiScaleRoIAlign(list(LEVELS), side, 2, canonical_scale=CANONICAL_PIXELS) for side in (7, 14))
    return MaskRCNN(
        backbone,
        min_size=plan.size,
        max_size=plan.size,
        image_mean=list(mean),
        image_std=list(std),
        rpn_anchor_generator=anchors,
        rpn_head=RPNHead(width, anchors.num_anchors_per_location()[0]),
        rpn_pre_nms_top_n_train=2 * plan.proposals,
        rpn_pre_nms_top_n_test=2 * plan.proposals,
        rpn_post_nms_top_n_train=plan.proposals,
        rpn_post_nms_top_n_test=plan.proposals,
        rpn_batch_size_per_image=plan.sampled,
        box_batch_size_per_image=plan.sampled,
        box_roi_pool=boxes,
        box_head=TwoMLPHead(width * 7**2, 4 * width),
        box_predictor=FastRCNNPredictor(4 * width, 1 + LENS),
        mask_roi_pool=masks,
        mask_head=MaskRCNNHeads(width, (width,) * 4, 1),
        mask_predictor=MaskRCNNPredictor(width, width, 1 + LENS),
    )


def _load_trunk(trunk: nn.Module, weights: Path) -> None:
    """Load a ResNet50's weights; the classifier and counters of batches are not needed."""
    own = trunk.state_dict()
    given = {name: value for name, value in read_weights(weights).items() if not name.endswith("num_batches_tracked")}
    given |= {name: value for name, value in own.items() if name.startswith("fc.")}
    try:
        load_into(trunk, given, str(weights))
    except ConfigError:
        raise EncoderError(f"{weights} holds no ResNet50 with torchvision's names; save one's state dict as safetensors.") from None

