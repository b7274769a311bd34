"""The Inception-v3 network of FID and the inception score, in plain torch, for weights from a local file.

The published weights are a TensorFlow graph of 2015 that was converted to PyTorch once
(pt_inception-2015-12-05 of the torch-fidelity and pytorch-fid projects); its state dict, saved as
safetensors, fits the names below. It differs from torchvision's network: average pools leave the border out,
the last block pools by maximum, there are 1008 classes, and images are resized as TensorFlow 1 did. No other
Inception gives figures that compare.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.models.weights.weights_in_use import read_twice

SIDE = 299
# Of the graph of 2015: ImageNet's thousand, and eight that were never used.
CLASSES = 1008
FILE_NAME = "pt_inception-2015-12-05.safetensors"

Size = int | tuple[int, int]


class ConvBn(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: Size, stride: int = 1, padding: Size = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


def _average(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


class BlockA(nn.Module):
    """35 x 35."""

    def __init__(self, inputs: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = ConvBn(inputs, 64, 1)
        self.branch5x5_1 = ConvBn(inputs, 48, 1)
        self.branch5x5_2 = ConvBn(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = ConvBn(inputs, 64, 1)
        self.branch3x3dbl_2 = ConvBn(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = ConvBn(96, 96, 3, padding=1)
        self.branch_pool = ConvBn(inputs, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        five = self.branch5x5_2(self.branch5x5_1(x))
        return torch.cat([self.branch1x1(x), five, double, self.branch_pool(_average(x))], dim=1)


class BlockB(nn.Module):
    """35 x 35 -> 17 x 17."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3 = ConvBn(inputs, 384, 3, stride=2)
        self.branch3x3dbl_1 = ConvBn(inputs, 64, 1)
        self.branch3x3dbl_2 = ConvBn(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = ConvBn(96, 96, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, stride=2)], dim=1)


class BlockC(nn.Module):
    """17 x 17, its 7 x 7 convolutions factored."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        row, column = {"kernel": (1, 7), "padding": (0, 3)}, {"kernel": (7, 1), "padding": (3, 0)}
        self.branch1x1 = ConvBn(inputs, 192, 1)
        self.branch7x7_1 = ConvBn(inputs, width, 1)
        self.branch7x7_2 = ConvBn(width, width, **row)
        self.branch7x7_3 = ConvBn(width, 192, **column)
        self.branch7x7dbl_1 = ConvBn(inputs, width, 1)
        self.branch7x7dbl_2 = ConvBn(width, width, **column)
        self.branch7x7dbl_3 = ConvBn(width, width, **row)
        self.branch7x7dbl_4 = ConvBn(width, width, **column)
        self.branch7x7dbl_5 = ConvBn(width, 192, **row)
        self.branch_pool = ConvBn(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), seven, double, self.branch_pool(_average(x))], dim=1)


class BlockD(nn.Module):
    """17 x 17 -> 8 x 8."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3_1 = ConvBn(inputs, 192, 1)
        self.branch3x3_2 = ConvBn(192, 320, 3, stride=2)
        self.branch7x7x3_1 = ConvBn(inputs, 192, 1)
        self.branch7x7x3_2 = ConvBn(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = ConvBn(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = ConvBn(192, 192, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))
        three = self.branch3x3_2(self.branch3x3_1(x))
        return torch.cat([three, self.branch7x7x3_4(seven), F.max_pool2d(x, 3, stride=2)], dim=1)


class BlockE(nn.Module):
    """8 x 8; the second of the two pools by maximum."""

    def __init__(self, inputs: int, *, pools_maximum: bool) -> None:
        super().__init__()
        self.pools_maximum = pools_maximum
        self.branch1x1 = ConvBn(inputs, 320, 1)
        self.branch3x3_1 = ConvBn(inputs, 384, 1)
        self.branch3x3_2a = ConvBn(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3_2b = ConvBn(384, 384, (3, 1), padding=(1, 0))
        self.branch3x3dbl_1 = ConvBn(inputs, 448, 1)
        self.branch3x3dbl_2 = ConvBn(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = ConvBn(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3dbl_3b = ConvBn(384, 384, (3, 1), padding=(1, 0))
        self.branch_pool = ConvBn(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        three = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pooled = F.max_pool2d(x, 3, stride=1, padding=1) if self.pools_maximum else _average(x)
        parts = [
            self.branch1x1(x),
            self.branch3x3_2a(three),
            self.branch3x3_2b(three),
            self.branch3x3dbl_3a(double),
            self.branch3x3dbl_3b(double),
            self.branch_pool(pooled),
        ]
        return torch.cat(parts, dim=1)


class InceptionV3(nn.Module):
    """Float images (B, 3, 299, 299) on the scale (value - 128) / 128 -> features (B, 2048); `fc` has the
    classes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = ConvBn(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = ConvBn(32, 32, 3)
        self.Conv2d_2b_3x3 = ConvBn(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = ConvBn(64, 80, 1)
        self.Conv2d_4a_3x3 = ConvBn(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = BlockA(192, 32), BlockA(256, 64), BlockA(288, 64)
        self.Mixed_6a = BlockB(288)
        self.Mixed_6b, self.Mixed_6c = BlockC(768, 128), BlockC(768, 160)
        self.Mixed_6d, self.Mixed_6e = BlockC(768, 160), BlockC(768, 192)
        self.Mixed_7a = BlockD(768)
        self.Mixed_7b = BlockE(1280, pools_maximum=False)
        self.Mixed_7c = BlockE(2048, pools_maximum=True)
        self.fc = nn.Linear(2048, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, stride=2)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(F.max_pool2d(x, 3, stride=2))))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        return x.mean(dim=(2, 3))


def load_inception(path: Path) -> InceptionV3:
    """The network with weights of a safetensors file. Raises ConfigError where they are missing or differ."""
    network = InceptionV3()
    wanted = set(network.state_dict())
    try:
        weights = read_twice(path, lambda: load_file(path))
    except (OSError, SafetensorError) as error:
        raise _unusable(path, str(error)) from error
    # Old files lack them, and they play no part in evaluation.
    counters = {key for key in wanted if key.endswith("num_batches_tracked")}
    missing, foreign = sorted(wanted - counters - weights.keys()), sorted(weights.keys() - wanted)
    if missing or foreign:
        raise _unusable(path, f"it lacks {missing[:2]} and has {foreign[:2]} beside them")
    try:
        network.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise _unusable(path, str(error)) from error
    return network.eval().requires_grad_(False)


@torch.no_grad()
def inception_features(network: InceptionV3, images: np.ndarray) -> np.ndarray:
    """uint8 (B, H, W, 3) sRGB of any one size -> float32 (B, 2048)."""
    device = next(network.parameters()).device
    x = torch.from_numpy(np.ascontiguousarray(images)).to(device).permute(0, 3, 1, 2).float()
    return network((resize_as_tensorflow_1(x, SIDE) - 128) / 128).cpu().numpy()


def inception_logits(network: InceptionV3, features: np.ndarray) -> np.ndarray:
    """Features (B, 2048) -> float64 (B, 1008), without the bias, which the published score leaves out."""
    return features.astype(np.float64) @ network.fc.weight.cpu().numpy().astype(np.float64).T


def resize_as_tensorflow_1(images: Tensor, side: int) -> Tensor:
    """Bilinear (B, C, H, W) -> (B, C, side, side) that samples at k H / side: no half pixel, no averaging."""
    for axis in (-2, -1):
        length = images.shape[axis]
        place = torch.arange(side, dtype=torch.float64, device=images.device) * length / side
        low = place.floor().long()
        high = (low + 1).clamp(max=length - 1)
        weight = (place - low).to(images.dtype)
        weight = weight[:, None] if axis == -2 else weight
        before, after = images.index_select(axis, low), images.index_select(axis, high)
        images = before + weight * (after - before)
    return images


def _unusable(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"Inception weights {path}: {why}",
        consequence="there is neither FID nor inception score, and those of other networks do not compare",
        remedy=f"save the published pt_inception-2015-12-05 state dict as safetensors ({FILE_NAME}) and name"
        " it in the evaluation's `inception`, or leave that key out",
    )
